// Parses a frame's headers into its record. Never reads past `length`; never fails: what is wrong is in record.malformed.
#pragma once

#include "record.h"

namespace sluice {

// Fills every header field of `record` (l3_offset … fragment_offset, hash) from `bytes[0, length)`. The caller has set
// frame, length, wire_length, port and link; flow, direction, events, mark and labels are left as they are.
void ParseFrame(const uint8_t* bytes, Record& record);

// Parses records[index[0 … count)], fetching each frame's headers ahead of their use. `umem` is the address that
// corresponds to Record::frame == `frames_address`.
void ParseBatch(const uint8_t* umem, uint32_t frames_address, Record* records, const uint16_t* index, uint32_t count);

}  // namespace sluice
