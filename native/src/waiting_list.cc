#include "waiting_list.h"

#include <algorithm>
#include <cstring>

namespace sluice {

namespace {

// Whether both lie in the same range of kStreamBlockBytes, and so have room in one block.
bool IsSameBlock(uint32_t a, uint32_t b) { return a / kStreamBlockBytes == b / kStreamBlockBytes; }

void NoteDoubt(StreamBlock& block, uint32_t begin, uint32_t end) {
  const bool first = block.doubt_end == 0;
  block.doubt_begin = static_cast<uint16_t>(first ? begin : std::min<uint32_t>(block.doubt_begin, begin));
  block.doubt_end = static_cast<uint16_t>(std::max<uint32_t>(block.doubt_end, end));
}

void Compare(StreamBlock& block, const uint8_t* mine, const uint8_t* theirs, uint32_t place, uint32_t length) {
  if (std::memcmp(mine, theirs, length) == 0) return;
  uint32_t begin = 0, end = length;
  while (mine[begin] == theirs[begin]) ++begin;
  while (mine[end - 1] == theirs[end - 1]) --end;
  NoteDoubt(block, place + begin, place + end);
}

}  // namespace

uint32_t WaitingList::Successor(uint32_t block) {
  if (tail_ == 0 || block == tail_) return 0;
  return buffer_[block == 0 ? tail_ : block].next;
}

uint32_t WaitingList::Predecessor(uint32_t sequence) {
  if (tail_ != 0 && Distance(buffer_[tail_].sequence, sequence) > 0) return tail_;
  uint32_t previous = 0;
  for (uint32_t block = Successor(0); block != 0; block = Successor(block)) {
    if (Distance(buffer_[block].sequence, sequence) <= 0) break;
    previous = block;
  }
  return previous;
}

void WaitingList::Reconcile(const Payload& payload, OverlapPolicy policy) {
  uint32_t index = Predecessor(payload.sequence);
  for (index = index == 0 ? Successor(0) : index; index != 0; index = Successor(index)) {
    StreamBlock& block = buffer_[index];
    if (Distance(block.sequence, payload.end()) <= 0) return;
    const uint32_t begin = Distance(payload.sequence, block.sequence) > 0 ? block.sequence : payload.sequence;
    const uint32_t end = Distance(payload.end(), block.end()) < 0 ? block.end() : payload.end();
    if (Distance(begin, end) <= 0) continue;
    uint8_t* mine = buffer_.At(index, begin);
    const uint8_t* theirs = payload.data + (begin - payload.sequence);
    Compare(block, mine, theirs, begin % kStreamBlockBytes, end - begin);
    if (policy == OverlapPolicy::kLast) std::memcpy(mine, theirs, end - begin);
  }
}

Payload WaitingList::FirstMissing(Payload payload) {
  uint32_t index = Predecessor(payload.sequence);
  for (index = index == 0 ? Successor(0) : index; index != 0 && payload.length > 0; index = Successor(index)) {
    const StreamBlock& block = buffer_[index];
    const int32_t before = Distance(payload.sequence, block.sequence);
    if (before > 0) return payload.First(std::min<uint32_t>(payload.length, before));
    const int32_t covered = Distance(payload.sequence, block.end());
    if (covered > 0) payload = payload.From(std::min<uint32_t>(payload.length, covered));
  }
  return payload;
}

uint32_t WaitingList::Insert(Payload payload, uint16_t lost, uint64_t now_ns) {
  uint32_t previous = Predecessor(payload.sequence), stored = 0;
  while (payload.length > 0) {
    const uint32_t room = kStreamBlockBytes - payload.sequence % kStreamBlockBytes;
    const Payload part = payload.First(std::min(payload.length, room));
    previous = Fill(previous, part, now_ns);
    if (previous == 0) return stored;
    payload = payload.From(part.length);
    stored += part.length;
    StreamBlock& block = buffer_[previous];
    if (block.end() == part.end()) block.lost = payload.length == 0 ? lost : 0;
    MergeSuccessor(previous);
  }
  return stored;
}

// `part` lies within one block's range: it joins a neighbour in that range or gets a block of its own. Returns which,
// 0 for no room.
uint32_t WaitingList::Fill(uint32_t previous, const Payload& part, uint64_t now_ns) {
  const uint32_t next = Successor(previous);
  uint32_t index;
  if (previous != 0 && buffer_[previous].end() == part.sequence &&
      IsSameBlock(buffer_[previous].sequence, part.sequence)) {
    index = previous;
  } else if (next != 0 && buffer_[next].sequence == part.end() && IsSameBlock(buffer_[next].sequence, part.sequence)) {
    index = next;
    buffer_[next].sequence = part.sequence;
  } else {
    index = Link(previous, part, now_ns);
    if (index == 0) return 0;
  }
  buffer_[index].length = static_cast<uint16_t>(buffer_[index].length + part.length);
  std::memcpy(buffer_.At(index, part.sequence), part.data, part.length);
  return index;
}

uint32_t WaitingList::Link(uint32_t previous, const Payload& part, uint64_t now_ns) {
  if (account_.used >= account_.limit) return 0;
  const uint32_t index = buffer_.Take(), next = Successor(previous);
  if (index == 0) return 0;
  ++account_.used;
  const uint64_t since_ns = next == 0 ? now_ns : buffer_[next].since_ns;
  buffer_[index] = {.sequence = part.sequence, .next = index, .since_ns = since_ns};
  if (tail_ != 0) {
    StreamBlock& before = buffer_[previous == 0 ? tail_ : previous];
    buffer_[index].next = before.next;
    before.next = index;
  }
  if (next == 0) tail_ = index;
  return index;
}

// A block whose bytes follow in the same range moves into `block`; they keep their places.
void WaitingList::MergeSuccessor(uint32_t index) {
  const uint32_t next = Successor(index);
  if (next == 0) return;
  StreamBlock &block = buffer_[index], &follower = buffer_[next];
  if (follower.sequence != block.end() || !IsSameBlock(follower.sequence, block.sequence)) return;
  std::memcpy(buffer_.At(index, follower.sequence), buffer_.At(next, follower.sequence), follower.length);
  block.length = static_cast<uint16_t>(block.length + follower.length);
  block.lost = follower.lost;
  if (follower.doubt_end > 0) NoteDoubt(block, follower.doubt_begin, follower.doubt_end);
  ReleaseSuccessor(index);
}

uint32_t WaitingList::TakeHead() {
  const uint32_t index = buffer_[tail_].next;
  buffer_[tail_].next = buffer_[index].next;
  if (index == tail_) tail_ = 0;
  --account_.used;
  return index;
}

uint32_t WaitingList::RetireHead() {
  const uint32_t index = TakeHead();
  buffer_.Retire(index);
  return buffer_.OffsetOf(index, buffer_[index].sequence);
}

void WaitingList::Truncate(uint32_t end) {
  if (tail_ == 0 || Distance(end, buffer_[tail_].end()) <= 0) return;
  const uint32_t last = Predecessor(end);
  if (last == 0) return Clear();
  while (tail_ != last) ReleaseSuccessor(last);
  StreamBlock& block = buffer_[last];
  if (Distance(end, block.end()) <= 0) return;
  block.length = static_cast<uint16_t>(end - block.sequence);
  const uint32_t place_end = block.sequence % kStreamBlockBytes + block.length;
  block.doubt_end =
      static_cast<uint16_t>(block.doubt_begin < place_end ? std::min<uint32_t>(block.doubt_end, place_end) : 0);
}

void WaitingList::ReleaseSuccessor(uint32_t block) {
  const uint32_t next = buffer_[block].next;
  buffer_[block].next = buffer_[next].next;
  if (next == tail_) tail_ = block;
  --account_.used;
  buffer_.Release(next);
}

void WaitingList::Clear() {
  while (tail_ != 0) buffer_.Release(TakeHead());
}

}  // namespace sluice
