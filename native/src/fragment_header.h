// What one fragment's headers say: which packet it belongs to, and which of its bytes it brings.
#pragma once

#include <cstdint>

#include "fragment_table.h"
#include "record.h"

namespace sluice {

// All bytes are defined: keys are compared and hashed as memory.
struct FragmentKey {
  uint8_t source[16];  // IPv4 in the first 4 bytes, the rest zero
  uint8_t destination[16];
  uint32_t identification;  // host order
  uint16_t zone;
  uint16_t vlan;     // id of the outermost tag, 0 for none
  uint8_t ip_proto;  // 0 in IPv6, where only the first fragment knows it
  uint8_t ip_version;
  uint8_t reserved[6];
};
static_assert(sizeof(FragmentKey) == 48);

struct FragmentHeader {
  FragmentKey key;
  uint32_t start;        // in bytes of the fragmented part
  uint32_t end;          // on the wire, not only what a capture kept
  uint32_t before;       // bytes of headers before the fragmented part that the length field of the whole counts
  bool more;             // not the last
  FragmentReason fault;  // what is wrong with this fragment, whatever else came of its packet
};

// False if the frame does not say which packet it is a fragment of. `record` has kRecordFlagFragment.
bool ReadFragmentHeader(const Record& record, const uint8_t* bytes, uint16_t zone, FragmentHeader* header);

}  // namespace sluice
