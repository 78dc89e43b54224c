#include "fragment_table.h"

#include <algorithm>

#include "detours.h"
#include "fragment_header.h"
#include "fragment_packets.h"
#include "held_queue.h"
#include "parse_transport.h"

namespace sluice {
namespace {

constexpr uint64_t kNsPerMs = 1000000;
constexpr uint32_t kLookedAt = 32;

constexpr FragmentResult Drop(FragmentReason reason) { return {FragmentVerdict::kDrop, reason, 0, 0, 0}; }

// ICMP and ICMPv6 have type and code where the record has a source port.
FragmentResult PassFirst(const Record& record) {
  const bool icmp = record.ip_proto == kProtoIcmp || record.ip_proto == kProtoIcmpv6;
  const uint16_t source = icmp ? record.destination_port : record.source_port;
  return {FragmentVerdict::kPass, FragmentReason::kNone, record.ip_proto, source, record.destination_port};
}

// Two fragments do not agree where the packet ends.
bool Contradicts(const FragmentedPacket& packet, const FragmentHeader& header) {
  if (header.more) return packet.whole && header.end >= packet.end;
  return packet.whole ? header.end != packet.end : header.end <= packet.end;
}

class Table final : public FragmentTable {
 public:
  Table(const FragmentLimits& limits, uint64_t seed)
      : limits_(limits),
        packets_(limits.packets, limits.fragments, seed),
        held_(limits.held * 2) {}  // as many as wait, and as many that the caller has yet to take back

  FragmentResult Admit(const Record& record, const uint8_t* bytes, uint16_t zone, const HeldFragment& held,
                       uint64_t now_ns) override {
    if ((record.flags & abi::kRecordFlagFragment) == 0) return PassFirst(record);
    FragmentHeader header;
    if (!ReadFragmentHeader(record, bytes, zone, &header)) return Drop(FragmentReason::kMalformed);
    const uint32_t index = FindOrInsert(header.key, now_ns);
    if (index == kNoIndex) return Drop(FragmentReason::kTableFull);

    FragmentedPacket& packet = packets_[index];
    if (packet.refused != FragmentReason::kNone) return Drop(packet.refused);
    const FragmentReason fault = FaultIn(index, header);
    if (fault != FragmentReason::kNone) return Refuse(index, fault, now_ns);
    if (FragmentRange* range = SameRange(index, header)) return AdmitAgain(index, range, now_ns);
    if (packet.range_count == limits_.fragments) return Refuse(index, FragmentReason::kTooMany, now_ns);
    if (header.start == 0) {
      NoteFirst(index, record, header, now_ns);
    } else if (packet.stage == FragmentStage::kWaiting) {
      return Hold(index, header, held, now_ns);
    }
    NoteRange(index, header, false);
    return PassPart(index, header.end - header.start, now_ns);
  }

  uint32_t Released(std::span<HeldFragment> out) override { return held_.Drain(released_, out); }

  uint32_t Expired(uint64_t now_ns, std::span<HeldFragment> out) override {
    uint32_t first = packets_.First(FragmentStage::kWaiting);
    while (first != kNoIndex && packets_[first].deadline_ns <= now_ns && abandoned_.count < out.size()) {
      Forget(first);
      first = packets_.First(FragmentStage::kWaiting);
    }
    return held_.Drain(abandoned_, out);
  }

  uint64_t Next() const override { return abandoned_.count > 0 ? 0 : packets_.FirstDeadline(FragmentStage::kWaiting); }

  bool Leave(const Detours& detours, uint32_t lane) override {
    const uint32_t waiting = waiting_frames_;
    for (uint32_t looked = 0; look_ != kNoIndex && looked < kLookedAt; ++looked) {
      const uint32_t index = look_;
      LookPast(index);
      FragmentKey key = packets_[index].key;
      key.zone = 0;  // of which lanes know nothing
      const int32_t first = detours.FindFragments(key);
      if (first < 0 || static_cast<uint32_t>(first) == lane) continue;
      waiting_frames_ -= packets_[index].held.count;
      held_.Move(packets_[index].held, released_);
      packets_.Erase(index);
    }
    return waiting_frames_ != waiting;
  }

  void LookAgain() override { look_ = packets_.First(FragmentStage::kWaiting); }
  bool looks() const override { return look_ != kNoIndex; }

  bool holds() const override { return waiting_frames_ > 0; }

  uint64_t evicted() const override { return evicted_; }

 private:
  // ---- what a fragment means for its packet ----

  FragmentReason FaultIn(uint32_t index, const FragmentHeader& header) {
    if (header.fault != FragmentReason::kNone) return header.fault;
    const FragmentedPacket& packet = packets_[index];
    const uint32_t before = header.start == 0 ? header.before : packet.header;
    if (before + std::max(header.end, packet.end) > 0xffff) return FragmentReason::kTooLong;
    return Contradicts(packet, header) || Overlaps(index, header) ? FragmentReason::kOverlap : FragmentReason::kNone;
  }

  bool Overlaps(uint32_t index, const FragmentHeader& header) {
    for (const FragmentRange& range : packets_.RangesOf(index)) {
      const bool same = range.start == header.start && range.end == header.end;
      if (!same && range.start < header.end && header.start < range.end) return true;
    }
    return false;
  }

  FragmentRange* SameRange(uint32_t index, const FragmentHeader& header) {
    for (FragmentRange& range : packets_.RangesOf(index)) {
      if (range.start == header.start && range.end == header.end) return &range;
    }
    return nullptr;
  }

  void NoteRange(uint32_t index, const FragmentHeader& header, bool waiting) {
    packets_.AddRange(index, {static_cast<uint16_t>(header.start), static_cast<uint16_t>(header.end), waiting});
    FragmentedPacket& packet = packets_[index];
    packet.end = std::max(packet.end, header.end);
    packet.whole |= !header.more;
  }

  // ---- what becomes of it ----

  void NoteFirst(uint32_t index, const Record& record, const FragmentHeader& header, uint64_t now_ns) {
    FragmentedPacket& packet = packets_[index];
    const FragmentResult first = PassFirst(record);
    packet.source_port = first.source_port;
    packet.destination_port = first.destination_port;
    packet.ip_proto = first.ip_proto;
    packet.header = header.before;
    Settle(index, now_ns);
  }

  FragmentResult PassPart(uint32_t index, uint32_t bytes, uint64_t now_ns) {
    FragmentedPacket& packet = packets_[index];
    packet.passed += bytes;
    if (packet.whole && packet.passed == packet.end) {
      packets_.MoveTo(FragmentStage::kDone, index, now_ns + limits_.linger_ms * kNsPerMs);
    }
    return {FragmentVerdict::kPass, FragmentReason::kNone, packet.ip_proto, packet.source_port,
            packet.destination_port};
  }

  // A fragment of a known range: one that waited for the first and comes back, or a duplicate.
  FragmentResult AdmitAgain(uint32_t index, FragmentRange* range, uint64_t now_ns) {
    if (!range->waiting || packets_[index].stage == FragmentStage::kWaiting) return Drop(FragmentReason::kDuplicate);
    range->waiting = false;
    return PassPart(index, range->end - range->start, now_ns);
  }

  FragmentResult Hold(uint32_t index, const FragmentHeader& header, const HeldFragment& held, uint64_t now_ns) {
    FragmentedPacket& packet = packets_[index];
    if (packet.held.count == limits_.held_per_packet) return Refuse(index, FragmentReason::kTooMany, now_ns);
    if (!MakeRoomToHold(index, now_ns)) {
      if (packet.held.count == 0) Forget(index);
      return Drop(FragmentReason::kTableFull);
    }
    held_.Push(packet.held, held);
    ++waiting_frames_;
    NoteRange(index, header, true);
    return {FragmentVerdict::kHold, FragmentReason::kNone, 0, 0, 0};
  }

  FragmentResult Refuse(uint32_t index, FragmentReason reason, uint64_t now_ns) {
    FragmentedPacket& packet = packets_[index];
    // It passed whole, and its identification may soon be another packet's.
    if (packet.stage == FragmentStage::kDone) return Drop(reason);
    packet.refused = reason;
    if (packet.stage == FragmentStage::kWaiting) Settle(index, now_ns);
    return Drop(reason);
  }

  void Settle(uint32_t index, uint64_t now_ns) {
    LookPast(index);
    waiting_frames_ -= packets_[index].held.count;
    held_.Move(packets_[index].held, released_);
    packets_.MoveTo(FragmentStage::kSettled, index, now_ns + limits_.timeout_ms * kNsPerMs);
  }

  // ---- room ----

  // Packets whose time is over are forgotten where they are met, if not earlier.
  uint32_t FindOrInsert(const FragmentKey& key, uint64_t now_ns) {
    const uint32_t index = packets_.Find(key);
    if (index != kNoIndex && packets_[index].deadline_ns > now_ns) return index;
    if (index != kNoIndex) Forget(index);
    if (packets_.First(FragmentStage::kFree) == kNoIndex) MakeRoomForPacket(now_ns);
    return packets_.Insert(key, now_ns + limits_.timeout_ms * kNsPerMs);
  }

  // Packets that passed whole are worth least. Of the others the oldest goes, whatever came of it.
  void MakeRoomForPacket(uint64_t now_ns) {
    const uint32_t done = packets_.First(FragmentStage::kDone);
    if (done != kNoIndex) return Forget(done);
    const bool waiting =
        packets_.FirstDeadline(FragmentStage::kWaiting) <= packets_.FirstDeadline(FragmentStage::kSettled);
    const uint32_t oldest = packets_.First(waiting ? FragmentStage::kWaiting : FragmentStage::kSettled);
    if (oldest != kNoIndex) Evict(oldest, now_ns);
  }

  // The packet whose frames wait longest gives way, unless it is this one.
  bool MakeRoomToHold(uint32_t index, uint64_t now_ns) {
    if (waiting_frames_ == limits_.held) {
      const uint32_t oldest = packets_.First(FragmentStage::kWaiting);
      if (oldest == index) return false;
      Evict(oldest, now_ns);
    }
    return !held_.full();
  }

  void Evict(uint32_t index, uint64_t now_ns) {
    if (packets_[index].deadline_ns > now_ns) ++evicted_;
    Forget(index);
  }

  // Before it waits no more.
  void LookPast(uint32_t index) {
    if (index == look_) look_ = packets_[index].after_in_stage;
  }

  void Forget(uint32_t index) {
    LookPast(index);
    waiting_frames_ -= packets_[index].held.count;
    held_.Move(packets_[index].held, abandoned_);
    packets_.Erase(index);
  }

  const FragmentLimits limits_;
  FragmentPackets packets_;
  HeldPool held_;
  HeldQueue released_;
  HeldQueue abandoned_;
  uint32_t waiting_frames_ = 0;
  uint32_t look_ = kNoIndex;  // of those that wait, the next one to look at
  uint64_t evicted_ = 0;
};

}  // namespace

std::unique_ptr<FragmentTable> FragmentTable::Make(const FragmentLimits& limits, uint64_t seed) {
  return std::make_unique<Table>(limits, seed);
}

}  // namespace sluice
