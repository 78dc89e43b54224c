// Chooses lanes: one line `LANES HEX` per frame, answers each with the lane. `rule BITS HOSTS SHARED` says by what
// lanes are chosen from then on: ports in turn as a power of two, and IPv4 prefixes such as `0a000000/8`, `-` for none.
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

}  // namespace

int main() {
  sluice::Detours detours(1024);
  sluice::SpreadRule rule;
  bool has_rule = false;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    std::string first;
    in >> first;
    if (first == "rule") {
      std::string hosts, shared;
      in >> rule.port_bits >> hosts >> shared;
      rule.hosts = ReadPrefixes(hosts);
      rule.shared = ReadPrefixes(shared);
      has_rule = true;
      puts("0");
    } else {
      std::string hex;
      in >> hex;
      const sluice::HarnessFrame frame = sluice::ReadHarnessFrame(hex);
      const sluice::LaneSpread spread{has_rule ? &rule : nullptr, static_cast<uint32_t>(std::stoul(first))};
      printf("%u\n", sluice::LaneChoice(frame.Parse(0), frame.bytes.get(), detours, spread).lane());
    }
    fflush(stdout);
  }
  return 0;
}
