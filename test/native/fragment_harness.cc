// The fragment table without a lane. Reads commands, one per line, and answers each with one line of JSON:
//
//   table PACKETS FRAGMENTS HELD HELD_PER_PACKET TIMEOUT_MS LINGER_MS SEED   a new table                     → []
//   frame NUMBER TIME_MS ZONE WIRE_LENGTH HEX    admits it, and again what was released by it   → what became of each
//   expire TIME_MS ROOM                          takes at most ROOM frames whose time is over   → their numbers
//   elsewhere LANE HEX                           the packet's first fragment has come to that lane    → [lane]
//   known LANE HEX                               where it came, if that is still known                → [lane], [-1]
//   leave                                        of those that wait some are looked at: released are  → their numbers
//   look                                         all are to be looked at once more                    → []
//   looks                                        whether there are more to look at                    → [0], [1]
//   next                                         → [milliseconds], [] if nothing is held
//   evicted                                      → [count]
#include <inttypes.h>
#include <stdio.h>

#include <cstdint>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "detours.h"
#include "fragment_header.h"
#include "fragment_table.h"
#include "harness_frame.h"

namespace {

using namespace sluice;

constexpr uint64_t kNsPerMs = 1000000;
constexpr const char* kVerdicts[] = {"pass", "hold", "drop"};
constexpr const char* kReasons[] = {"none",       "overlap",    "tiny",      "too-long", "too-many",
                                    "table-full", "incomplete", "duplicate", "malformed"};

class FragmentHarness {
 public:
  void Run(const std::string& line) {
    std::istringstream in(line);
    std::string command;
    in >> command;
    separator_ = "";
    printf("[");
    if (command == "table") MakeTable(in);
    if (command == "frame") AdmitFrame(in);
    if (command == "expire") Expire(in);
    if (command == "elsewhere" || command == "known") NoteElsewhere(command, in);
    if (command == "leave") Leave();
    if (command == "look") table_->LookAgain();
    if (command == "looks") printf("%d", table_->looks());
    if (command == "next" && table_->Next() != UINT64_MAX) printf("%" PRIu64, table_->Next() / kNsPerMs);
    if (command == "evicted") printf("%" PRIu64, table_->evicted());
    printf("]\n");
    fflush(stdout);
  }

 private:
  struct KeptFrame {
    HarnessFrame frame;
    uint32_t wire_length;
    uint16_t zone;
  };

  void MakeTable(std::istringstream& in) {
    FragmentLimits limits;
    uint64_t seed = 0;
    in >> limits.packets >> limits.fragments >> limits.held >> limits.held_per_packet >> limits.timeout_ms >>
        limits.linger_ms >> seed;
    table_ = FragmentTable::Make(limits, seed);
    kept_.clear();
  }

  void AdmitFrame(std::istringstream& in) {
    uint64_t number = 0, time_ms = 0;
    KeptFrame kept = {};
    std::string hex;
    in >> number >> time_ms >> kept.zone >> kept.wire_length >> hex;
    kept.frame = ReadHarnessFrame(hex);
    kept_.insert_or_assign(number, std::move(kept));
    Admit(number, time_ms * kNsPerMs);
    HeldFragment released[2];  // fewer than a packet may have, so that it takes several calls
    for (uint32_t count; (count = table_->Released(released)) > 0;) {
      for (uint32_t i = 0; i < count; ++i) Admit(released[i].number, time_ms * kNsPerMs);
    }
  }

  void Admit(uint64_t number, uint64_t now_ns) {
    const KeptFrame& kept = kept_.at(number);
    const Record record = kept.frame.Parse(kept.wire_length);
    const HeldFragment held = {{}, number, 0};
    const FragmentResult result = table_->Admit(record, kept.frame.bytes.get(), kept.zone, held, now_ns);
    printf("%s{\"number\":%" PRIu64 ",\"verdict\":\"%s\",\"reason\":\"%s\",\"ipProto\":%u,\"ports\":[%u,%u]}",
           separator_, number, kVerdicts[static_cast<int>(result.verdict)], kReasons[static_cast<int>(result.reason)],
           result.ip_proto, result.source_port, result.destination_port);
    separator_ = ",";
    if (result.verdict != FragmentVerdict::kHold) kept_.erase(number);
  }

  void Expire(std::istringstream& in) {
    uint64_t time_ms = 0, room = 0;
    in >> time_ms >> room;
    std::vector<HeldFragment> out(room);
    const uint32_t count = table_->Expired(time_ms * kNsPerMs, out);
    for (uint32_t i = 0; i < count; ++i) {
      printf("%s%" PRIu64, separator_, out[i].number);
      separator_ = ",";
      kept_.erase(out[i].number);
    }
  }

  void NoteElsewhere(const std::string& command, std::istringstream& in) {
    uint32_t lane = 0;
    std::string hex;
    in >> lane >> hex;
    const HarnessFrame frame = ReadHarnessFrame(hex);
    FragmentHeader header;
    if (!ReadFragmentHeader(frame.Parse(0), frame.bytes.get(), 0, &header)) return;
    if (command == "elsewhere") detours_.NoteFragments(header.key, lane);
    printf("%d", detours_.FindFragments(header.key));
  }

  void Leave() {
    table_->Leave(detours_, 0);
    HeldFragment released[64];
    const uint32_t count = table_->Released(released);
    for (uint32_t i = 0; i < count; ++i) {
      printf("%s%" PRIu64, separator_, released[i].number);
      separator_ = ",";
      kept_.erase(released[i].number);
    }
  }

  Detours detours_{16};
  std::unique_ptr<FragmentTable> table_ = FragmentTable::Make({}, 0);
  std::map<uint64_t, KeptFrame> kept_;
  const char* separator_ = "";
};

}  // namespace

int main() {
  FragmentHarness harness;
  for (std::string line; std::getline(std::cin, line);) harness.Run(line);
  return 0;
}
