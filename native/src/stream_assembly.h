// One direction of a TCP connection, for the time of one frame: takes its segment, and hands over whatever is in order
// by then. Part of stream_table.cc.
#pragma once

#include <cstdint>
#include <span>

#include "stream_state.h"
#include "waiting_list.h"

namespace sluice {

// The chunks that one frame makes available.
class ChunkSink {
 public:
  ChunkSink(std::span<Chunk> out, uint32_t flow, uint16_t record) : out_(out), flow_(flow), record_(record) {}

  bool full() const { return count_ == out_.size(); }
  uint32_t count() const { return count_; }

  // Not when full. An empty chunk of `direction`.
  Chunk& Add(uint8_t direction) {
    out_[count_] = {.flow = flow_, .record = record_, .direction = direction};
    return out_[count_++];
  }
  // Null if the last chunk is of the other direction or there is none.
  Chunk* LastOf(uint8_t direction) {
    return count_ > 0 && out_[count_ - 1].direction == direction ? &out_[count_ - 1] : nullptr;
  }

 private:
  const std::span<Chunk> out_;
  const uint32_t flow_;
  const uint16_t record_;
  uint32_t count_ = 0;
};

struct StreamFrame {
  uint64_t now_ns;
  uint64_t hold_ns;
  OverlapPolicy overlap;
};

class StreamAssembly {
 public:
  StreamAssembly(StreamState& state, uint8_t direction, WaitingList waiting, const StreamFrame& frame, ChunkSink& sink)
      : state_(state), direction_(direction), waiting_(waiting), frame_(frame), sink_(sink) {}

  // A SYN: the stream's first byte has the number `next`.
  void Start(uint32_t next);
  // The other side's SYN/ACK says which number it expects first; that settles between several SYNs.
  void Settle(uint32_t next);
  // `lost`: so many bytes behind the payload were cut from the frame.
  void Take(Payload payload, uint16_t lost, bool fin);
  // Nothing more will come.
  void Reset();

  // Hands over what is in order.
  void ReleaseAdjacent();
  // The same, and gives up holes that are not waited for any longer (with `all`: every hole); then the stream's end.
  void Release(bool all);
  // What still waits is lost: a gap, once the stream goes on.
  void Drop();

 private:
  enum class Admission : uint8_t { kPlausible, kAhead, kRefused };

  bool Untouched() const { return state_.offset == 0 && waiting_.empty() && (state_.flags & kStreamFin) == 0; }
  bool IsOverdue(uint64_t since_ns) const { return frame_.now_ns >= since_ns + frame_.hold_ns; }
  bool IsMissingOverdue() const;
  void NoteMissing();

  Admission Admit(uint32_t sequence);
  Payload Trim(Payload payload) const;
  void Finish(uint32_t fin);
  void Jump(const Payload& payload, uint16_t lost);
  void Place(Payload part, uint16_t lost);
  // Gives up the first hole, `part` included in what is behind it. False if there is no room for chunks.
  bool GiveUpFirstHole(Payload& part, uint16_t lost);

  bool IsGivenUp(const StreamBlock& head, uint32_t gap) const;
  void ReleaseEnd(bool all);

  // All are false if the sink is full.
  bool EmitFrame(const Payload& payload, uint16_t lost);
  bool EmitHead();
  bool EmitEnd(uint32_t gap);
  Chunk& AddChunk(uint32_t gap, uint32_t length);
  void Advance(uint32_t bytes, uint16_t lost);

  StreamState& state_;
  const uint8_t direction_;
  WaitingList waiting_;
  const StreamFrame& frame_;
  ChunkSink& sink_;
};

}  // namespace sluice
