#include "stream_assembly.h"

#include <algorithm>

namespace sluice {

namespace {

// From 1 on: 0 is never, but for a millisecond in 49 days.
uint32_t Milliseconds(uint64_t ns) { return static_cast<uint32_t>(ns / 1'000'000) + 1; }

// What is left of `lost` bytes when the stream goes on by `bytes`.
uint16_t LostBehind(uint16_t lost, uint32_t bytes) {
  if (bytes == 0) return lost;
  return lost == kLostUnknown || lost <= bytes ? 0 : static_cast<uint16_t>(lost - bytes);
}

}  // namespace

void StreamAssembly::Start(uint32_t next) {
  if ((state_.flags & kStreamOpen) == 0) {
    state_.flags |= kStreamOpen | kStreamStart;
    state_.next = next;
  } else if (Untouched() && !state_.has_acknowledged) {
    state_.next = next;  // another attempt to connect
  }
}

void StreamAssembly::Settle(uint32_t next) {
  if ((state_.flags & kStreamOpen) != 0 && Untouched()) state_.next = next;
}

void StreamAssembly::Take(Payload payload, uint16_t lost, bool fin) {
  if ((state_.flags & (kStreamEnded | kStreamReset)) != 0) return;
  if ((state_.flags & kStreamOpen) == 0) Start(payload.sequence);
  const Admission admission = Admit(payload.sequence);
  if (admission == Admission::kRefused) return;
  const uint32_t end = payload.end() + lost;
  payload = Trim(payload);
  if (admission == Admission::kAhead) {
    Jump(payload, lost);
  } else {
    if (payload.length == 0 && lost > 0 && payload.sequence == state_.next) state_.lost = lost;
    waiting_.Reconcile(payload, frame_.overlap);
    while (payload.length > 0) {
      const Payload part = waiting_.FirstMissing(payload);
      if (part.length == 0) break;
      payload = payload.From(part.end() - payload.sequence);
      Place(part, payload.length == 0 ? lost : 0);
      payload = Trim(payload);
    }
  }
  if (fin) Finish(end);
}

StreamAssembly::Admission StreamAssembly::Admit(uint32_t sequence) {
  if (IsNear(state_.next, sequence)) return Admission::kPlausible;
  if (Distance(state_.next, sequence) < 0) return Admission::kRefused;
  const bool acknowledged = state_.has_acknowledged && Distance(state_.next, state_.acknowledged) > 0 &&
                            IsNear(state_.acknowledged, sequence);
  if (acknowledged || IsMissingOverdue()) return Admission::kAhead;
  NoteMissing();
  return Admission::kRefused;
}

bool StreamAssembly::IsMissingOverdue() const {
  if (state_.missing_ms == 0) return false;
  return Milliseconds(frame_.now_ns) - state_.missing_ms >= frame_.hold_ns / 1'000'000;
}

void StreamAssembly::NoteMissing() {
  if (state_.missing_ms == 0) state_.missing_ms = Milliseconds(frame_.now_ns);
}

// What was delivered stands, what is behind the FIN does not count.
Payload StreamAssembly::Trim(Payload payload) const {
  const int32_t delivered = Distance(payload.sequence, state_.next);
  if (delivered > 0) payload = payload.From(std::min<uint32_t>(payload.length, delivered));
  if ((state_.flags & kStreamFin) == 0) return payload;
  const int32_t room = std::max(Distance(payload.sequence, state_.fin), 0);
  return payload.First(std::min<uint32_t>(payload.length, room));
}

void StreamAssembly::Finish(uint32_t fin) {
  if ((state_.flags & (kStreamFin | kStreamEnded)) != 0 || Distance(state_.next, fin) < 0) return;
  state_.flags |= kStreamFin;
  state_.fin = fin;
  waiting_.Truncate(fin);
}

// What came before never will: there is no room to wait for it.
void StreamAssembly::Jump(const Payload& payload, uint16_t lost) {
  if (payload.length == 0) return;
  while (!waiting_.empty()) {
    if (!EmitHead()) return;
  }
  EmitFrame(payload, lost);
}

// No byte of `part` waits already or was delivered.
void StreamAssembly::Place(Payload part, uint16_t lost) {
  while (part.length > 0) {
    if (part.sequence == state_.next && EmitFrame(part, lost)) return ReleaseAdjacent();
    part = part.From(waiting_.Insert(part, lost, frame_.now_ns));
    if (part.length > 0 && !GiveUpFirstHole(part, lost)) {
      if (part.sequence == state_.next) state_.lost = static_cast<uint16_t>(std::min(part.length + lost, 0xffffu));
      return;
    }
  }
}

bool StreamAssembly::GiveUpFirstHole(Payload& part, uint16_t lost) {
  if (waiting_.empty() || Distance(part.sequence, waiting_.head().sequence) > 0) {
    if (!EmitFrame(part, lost)) return false;
    part = part.From(part.length);
  } else if (!EmitHead()) {
    return false;
  }
  ReleaseAdjacent();
  return true;
}

void StreamAssembly::Reset() {
  if ((state_.flags & kStreamEnded) != 0) return;
  state_.flags |= (state_.flags & kStreamOpen) != 0 ? kStreamReset : kStreamOpen | kStreamEnded;
}

void StreamAssembly::Release(bool all) {
  all = all || (state_.flags & kStreamReset) != 0;
  while (!waiting_.empty()) {
    const StreamBlock& head = waiting_.head();
    const uint32_t gap = head.sequence - state_.next;
    if (gap > 0 && !all && !IsGivenUp(head, gap)) break;
    if (!EmitHead()) return;
  }
  ReleaseEnd(all);
  if ((state_.flags & kStreamStart) != 0 && !sink_.full()) AddChunk(0, 0);
}

void StreamAssembly::ReleaseAdjacent() {
  while (!waiting_.empty() && waiting_.head().sequence == state_.next && EmitHead()) continue;
}

bool StreamAssembly::IsGivenUp(const StreamBlock& head, uint32_t gap) const {
  return (state_.flags & kStreamGiveUp) != 0 || gap <= state_.lost || IsOverdue(head.since_ns);
}

void StreamAssembly::ReleaseEnd(bool all) {
  const bool fin = (state_.flags & kStreamFin) != 0;
  if (!waiting_.empty() || (state_.flags & kStreamOpen) == 0 || (state_.flags & kStreamEnded) != 0) return;
  const uint32_t gap = fin ? state_.fin - state_.next : 0;
  if (gap > 0) NoteMissing();
  const bool given_up = (state_.flags & kStreamGiveUp) != 0 || gap <= state_.lost || IsMissingOverdue();
  if (all || (fin && given_up)) EmitEnd(gap);
}

void StreamAssembly::Drop() {
  if (waiting_.empty()) return;
  waiting_.Clear();
  state_.flags |= kStreamGiveUp;
}

bool StreamAssembly::EmitFrame(const Payload& payload, uint16_t lost) {
  if (sink_.full()) return false;
  Chunk& chunk = AddChunk(payload.sequence - state_.next, payload.length);
  chunk.data = payload.umem_offset;
  Advance(payload.length, lost);
  return true;
}

bool StreamAssembly::EmitHead() {
  if (sink_.full()) return false;
  const StreamBlock& head = waiting_.head();
  Chunk& chunk = AddChunk(head.sequence - state_.next, head.length);
  chunk.in_buffer = true;
  if (head.doubt_end > 0) chunk.flags |= abi::kChunkFlagAmbiguous;
  Advance(head.length, head.lost);
  chunk.data = waiting_.RetireHead();
  return true;
}

bool StreamAssembly::EmitEnd(uint32_t gap) {
  Chunk* last = gap == 0 ? sink_.LastOf(direction_) : nullptr;
  if (last == nullptr && sink_.full()) return false;
  Chunk& chunk = last == nullptr ? AddChunk(gap, 0) : *last;
  chunk.flags |= abi::kChunkFlagEnd;
  state_.flags = kStreamOpen | kStreamEnded;
  return true;
}

// The next chunk of the direction, `gap` bytes behind the last.
Chunk& StreamAssembly::AddChunk(uint32_t gap, uint32_t length) {
  Chunk& chunk = sink_.Add(direction_);
  if ((state_.flags & kStreamStart) != 0) chunk.flags |= abi::kChunkFlagStart;
  if (gap > 0) chunk.flags |= abi::kChunkFlagGap;
  state_.flags &= static_cast<uint8_t>(~(kStreamStart | (gap > 0 ? kStreamGiveUp : 0)));
  state_.offset += gap;
  state_.next += gap;
  state_.lost = LostBehind(state_.lost, gap);
  chunk.gap = gap;
  chunk.offset = state_.offset;
  chunk.length = length;
  return chunk;
}

void StreamAssembly::Advance(uint32_t bytes, uint16_t lost) {
  state_.offset += bytes;
  state_.next += bytes;
  state_.lost = std::max(lost, LostBehind(state_.lost, bytes));
  state_.missing_ms = 0;
}

}  // namespace sluice
