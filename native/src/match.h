// The condition of a path: which frames it takes. An empty list takes all.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "record.h"

namespace sluice {

struct Prefix {
  std::array<uint8_t, 16> address;
  uint8_t version;  // 4 or 6
  uint8_t length;   // in bits
};

struct PortRange {
  uint16_t first;
  uint16_t last;
};

struct Match {
  std::vector<Prefix> sources;
  std::vector<Prefix> destinations;
  std::vector<PortRange> source_ports;
  std::vector<PortRange> destination_ports;
  std::vector<uint8_t> ip_protos;
  std::vector<uint16_t> vlans;  // id of the outermost tag
  std::vector<uint8_t> dscps;
  std::vector<uint16_t> ether_types;
  uint32_t labels = 0;  // all of these are set on the flow
};

bool Covers(const Prefix& prefix, const uint8_t* address);

// `bytes` is the start of the frame that `record` describes.
bool Matches(const Match& match, const Record& record, const uint8_t* bytes);

}  // namespace sluice
