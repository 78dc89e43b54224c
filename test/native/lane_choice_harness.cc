// Chooses lanes: one line `LANES HEX` per frame, answers each with the lane.
#include <stdio.h>

#include <iostream>
#include <sstream>
#include <string>

#include "harness_frame.h"
#include "lane_choice.h"

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    uint32_t lanes = 1;
    std::string hex;
    in >> lanes >> hex;
    const sluice::HarnessFrame frame = sluice::ReadHarnessFrame(hex);
    const sluice::Record record = frame.Parse(0);
    printf("%u\n", sluice::LaneOf(record, frame.bytes.get(), lanes));
    fflush(stdout);
  }
  return 0;
}
