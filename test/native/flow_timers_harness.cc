// Flow timers that obey lines: `flow_timers_harness`. Prints one JSON value per line of input; times are strings, since
// they do not fit JavaScript's numbers.
//
//   make CAPACITY NOW | set FLOW DEADLINE | clear FLOW | next
//   expired NOW ROOM           (one call)
//   drain NOW ROOM             (calls until nothing is due; [time, flow] each)
//   jump ROOM                  (the same, from one next time to the next, to the end)
//   add FLOW | remove FLOW | oldest   (the unassured)
#include <stdio.h>
#include <stdlib.h>

#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "flow_timers.h"

namespace {

class Harness {
 public:
  void Obey(const std::string& line) {
    std::istringstream words(line);
    std::string verb;
    uint64_t first = 0, second = 0;
    words >> verb >> first >> second;
    const auto flow = static_cast<uint32_t>(first);
    if (verb == "make") {
      timers_ = sluice::FlowTimers::Make(flow, second);
    } else if (verb == "set") {
      timers_->Set(flow, second);
    } else if (verb == "clear") {
      timers_->Clear(flow);
    } else if (verb == "add") {
      timers_->AddUnassured(flow);
    } else if (verb == "remove") {
      timers_->RemoveUnassured(flow);
    } else {
      return Answer(verb, first, second);
    }
    printf("null");
  }

 private:
  void Answer(const std::string& verb, uint64_t first, uint64_t second) {
    if (verb == "next") {
      printf("\"%lu\"", timers_->Next());
    } else if (verb == "oldest") {
      printf("%u", timers_->OldestUnassured());
    } else if (verb == "expired") {
      Take(first, static_cast<uint32_t>(second));
      PrintTaken();
    } else if (verb == "drain") {
      while (timers_->Next() <= first) Take(first, static_cast<uint32_t>(second));
      PrintTaken();
    } else if (verb == "jump") {
      for (uint64_t now = timers_->Next(); now != UINT64_MAX; now = timers_->Next()) {
        Take(now, static_cast<uint32_t>(first));
      }
      PrintTaken();
    } else {
      fprintf(stderr, "flow_timers_harness: %s\n", verb.c_str());
      exit(1);
    }
  }

  void Take(uint64_t now, uint32_t room) {
    std::vector<uint32_t> flows(room);
    const uint32_t count = timers_->Expired(now, flows.data(), room);
    for (uint32_t i = 0; i < count; ++i) taken_.push_back({now, flows[i]});
  }

  void PrintTaken() {
    printf("[");
    for (size_t i = 0; i < taken_.size(); ++i) {
      printf("%s[\"%lu\",%u]", i == 0 ? "" : ",", taken_[i].now, taken_[i].flow);
    }
    printf("]");
    taken_.clear();
  }

  struct Taken {
    uint64_t now;
    uint32_t flow;
  };
  std::unique_ptr<sluice::FlowTimers> timers_;
  std::vector<Taken> taken_;
};

}  // namespace

int main() {
  Harness harness;
  for (std::string line; std::getline(std::cin, line);) {
    harness.Obey(line);
    printf("\n");
  }
}
