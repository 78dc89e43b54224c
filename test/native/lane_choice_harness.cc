// Chooses lanes: one line `LANES HEX` per frame, answers each with the lane. `rule BITS HOSTS SHARED` says by what
// lanes are chosen from then on: ports in turn as a power of two, and IPv4 prefixes such as `0a000000/8`, `-` for none.
//
//   detour LANE HEX          frames of the flow come to that lane from then on
//   clear LANE HEX           and no more
//   moves BEFORE NOW HEX     of a frame while flows move → its lane by now, and by before
//   turned LANES LANE HEX    where a frame that LANE has turned is to come, or -1
//   flow LANES HEX           the lane of the flow that the frame begins
//   quoted LANES HEX         the same, where it is an ICMP error of no other flow
#include <stdio.h>

#include <iostream>
#include <sstream>
#include <string>

#include "harness_frame.h"
#include "lane_choice.h"

namespace {

std::vector<sluice::Prefix> ReadPrefixes(const std::string& text) {
  unsigned bytes[4];
  unsigned length;
  if (sscanf(text.c_str(), "%2x%2x%2x%2x/%u", &bytes[0], &bytes[1], &bytes[2], &bytes[3], &length) != 5) return {};
  sluice::Prefix prefix{{}, 4, static_cast<uint8_t>(length)};
  for (int i = 0; i < 4; ++i) prefix.address[i] = static_cast<uint8_t>(bytes[i]);
  return {prefix};
}

class LaneChoiceHarness {
 public:
  void Run(const std::string& line) {
    std::istringstream in(line);
    std::string command;
    in >> command;
    if (command == "rule") return ReadRule(in);
    const bool is_command = !isdigit(command[0]);
    uint32_t lanes = 0, other = 0;
    if (is_command) in >> lanes;
    if (command == "moves" || command == "turned") in >> other;
    std::string hex;
    in >> hex;
    const sluice::HarnessFrame frame = sluice::ReadHarnessFrame(hex);
    const sluice::Record record = frame.Parse(0);
    const uint8_t* bytes = frame.bytes.get();
    if (!is_command) {
      printf("%u\n", sluice::LaneChoice(record, bytes, detours_, SpreadOver(std::stoul(command))).lane());
    } else if (command == "moves") {
      const sluice::LaneChoice choice(record, bytes, detours_, SpreadOver(other));
      printf("[%u,%u]\n", choice.lane(), choice.Among(SpreadOver(lanes)));
    } else if (command == "turned") {
      printf("%d\n", sluice::LaneOfTurned(record, bytes, detours_, SpreadOver(lanes), other));
    } else {
      OfFlow(command, lanes, record, bytes);
    }
  }

 private:
  void ReadRule(std::istringstream& in) {
    std::string hosts, shared;
    in >> rule_.port_bits >> hosts >> shared;
    rule_.hosts = ReadPrefixes(hosts);
    rule_.shared = ReadPrefixes(shared);
    has_rule_ = true;
    puts("0");
  }

  void OfFlow(const std::string& command, uint32_t lane, const sluice::Record& record, const uint8_t* bytes) {
    sluice::FlowKey key;
    uint8_t side = 0;
    sluice::ReadFlowKey(record, bytes, 0, &key, &side);
    if (command == "detour") return printf("%d\n", detours_.Add(key, lane)), void();
    if (command == "clear") return detours_.Remove(key, lane), puts("0"), void();
    if (command == "quoted") {
      sluice::FlowKey quoted;
      sluice::ReadChoiceKey(record, bytes, &quoted);
      key.quoted = SpreadOver(lane).NumberOf(quoted);
    }
    printf("%u\n", sluice::LaneOfFlow(key, side, SpreadOver(lane)));
  }

  sluice::LaneSpread SpreadOver(uint32_t lanes) const { return {has_rule_ ? &rule_ : nullptr, lanes}; }

  sluice::Detours detours_{1024};
  sluice::SpreadRule rule_;
  bool has_rule_ = false;
};

}  // namespace

int main() {
  LaneChoiceHarness harness;
  for (std::string line; std::getline(std::cin, line);) {
    harness.Run(line);
    fflush(stdout);
  }
  return 0;
}
