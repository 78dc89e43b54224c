// In-order payload of TCP connections for functions that subscribed: handed over where it lies while segments come in
// order, buffered within limits when they do not. UDP datagrams in the same form.
//
// What a chunk says is what an end host would have seen if it resolves overlaps by the stated policy. Bytes that were
// delivered stand: a later copy is not compared with them, since nothing of them is kept. Two copies of bytes that
// still wait are compared, and a chunk with bytes that differed is marked. Not looked at here: checksums, hop limits
// and timestamps (the engine decides which frames count; those with EVENT_INVALID must not be pushed) and the urgent
// pointer (urgent bytes stay in line, as with SO_OOBINLINE). Data in a SYN counts from the stream's first byte on. Of
// fragments the first counts, with what it carries; the rest of its packet becomes a gap.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "flow_state.h"
#include "record.h"

namespace sluice {

// As functions see it (abi::kChunk*), but for `data`: in the UMEM or in the stream buffer.
struct Chunk {
  uint64_t offset;
  uint32_t data;  // offset in the UMEM, or in the buffer
  uint32_t length;
  uint32_t flow;
  uint32_t gap;
  uint16_t record;  // the frame that made it available, kNoRecord if the flow's end did
  uint8_t direction;
  uint8_t flags;
  bool in_buffer;
};

inline constexpr uint16_t kNoRecord = 0xffff;

// Which copy of bytes that came twice, and were not delivered yet, counts.
enum class OverlapPolicy : uint8_t { kFirst, kLast };

struct StreamLimits {
  uint32_t flows;                     // capacity of the flow table
  uint32_t per_flow_bytes = 1 << 18;  // buffered, both directions together, in whole blocks (kStreamBlockBytes)
  uint32_t hold_ms = 2000;            // a hole older than this is given up and reported as a gap
  OverlapPolicy overlap = OverlapPolicy::kFirst;
};

// Buffer memory is handed out in blocks of so many bytes; each holds neighbouring bytes of one direction.
inline constexpr uint32_t kStreamBlockBytes = 2048;

// Segments that begin further from the bytes expected next are not buffered (RFC 9293, section 3.10.7.4, with a fixed
// window). They count once the receiver acknowledged bytes near them, or if hold_ms later there still are no others.
inline constexpr uint32_t kStreamReach = 1 << 20;

class StreamTable {
 public:
  // `buffer` is shared with functions, read-only; its size is the limit for all flows together. Borrowed. It may be
  // empty, or per_flow_bytes 0: then every hole is a gap at once. Null if there is no memory for the flows' states.
  static std::unique_ptr<StreamTable> Make(std::span<uint8_t> buffer, const StreamLimits& limits);
  virtual ~StreamTable() = default;

  // Asks for the flow's state ahead of Push.
  void Prefetch(uint32_t flow) const { __builtin_prefetch(states_ + uint64_t{flow} * kStateBytes, 1); }

  // Before each batch: buffers that the last batch's chunks lie in may be used again.
  virtual void BeginBatch() = 0;

  // One frame of a flow (TCP or UDP, sound). Chunks that it made available go to `out`; returns how many. Some may be
  // of the other direction. What does not fit is not lost: it comes with the flow's next frame, unless it found no room
  // in the buffer either (then it is a gap). Of a datagram that does not fit, the number is all that is left.
  virtual uint32_t Push(uint32_t flow, uint8_t direction, const Record& record, uint16_t record_index,
                        const uint8_t* bytes, uint32_t umem_offset, uint64_t now_ns, std::span<Chunk> out) = 0;

  // The flow ended: its buffers are free, those of `out` from the next batch on. Takes first what was still waiting,
  // with its gaps, and the ends of its TCP streams; what does not fit is lost (per_flow_bytes / kStreamBlockBytes + 2
  // chunks always do). The flow's number may then be used again.
  virtual uint32_t End(uint32_t flow, std::span<Chunk> out) = 0;

  // Of the buffer, in whole blocks, with those that this batch's chunks lie in. 0 at the next batch after all flows
  // ended.
  virtual uint64_t buffered_bytes() const = 0;

 protected:
  static constexpr uint32_t kStateBytes = 64;
  const uint8_t* states_ = nullptr;
};

}  // namespace sluice
