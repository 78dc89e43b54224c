// The packets whose fragments are under way: found by key, and in the order in which their time is over.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "fragment_header.h"
#include "held_queue.h"

namespace sluice {

// Bytes [start, end) of a packet.
struct FragmentRange {
  uint16_t start;
  uint16_t end;
  bool waiting;  // its frame is held, or was released and has not come back yet
};

// As a packet grows older (fragment_table.h). All packets of a stage get the same time, so they end in the order in
// which they entered it.
enum class FragmentStage : uint8_t { kWaiting, kSettled, kDone, kFree };

struct FragmentedPacket {
  FragmentKey key;
  uint64_t deadline_ns;
  HeldQueue held;
  uint32_t passed;  // bytes
  uint32_t header;  // FragmentHeader::before of the first fragment
  uint32_t end;     // of all ranges
  uint32_t range_count;
  uint16_t source_port;
  uint16_t destination_port;
  uint8_t ip_proto;
  bool whole;  // the last fragment came: `end` is the packet's
  FragmentReason refused;
  FragmentStage stage;

  uint32_t next_in_bucket;
  uint32_t before_in_stage;
  uint32_t after_in_stage;
};

class FragmentPackets {
 public:
  FragmentPackets(uint32_t packets, uint32_t ranges_per_packet, uint64_t seed);

  FragmentedPacket& operator[](uint32_t index) { return packets_[index]; }
  const FragmentedPacket& operator[](uint32_t index) const { return packets_[index]; }

  // kNoIndex if there is none.
  uint32_t Find(const FragmentKey& key) const;
  // A packet of which nothing came, in stage kWaiting; kNoIndex if there is no room.
  uint32_t Insert(const FragmentKey& key, uint64_t deadline_ns);
  void Erase(uint32_t index);

  void MoveTo(FragmentStage stage, uint32_t index, uint64_t deadline_ns);
  // The packet that entered the stage first, or kNoIndex.
  uint32_t First(FragmentStage stage) const { return ListOf(stage).first; }
  // When its time is over, or UINT64_MAX.
  uint64_t FirstDeadline(FragmentStage stage) const;

  std::span<FragmentRange> RangesOf(uint32_t index);
  // Not if there are ranges_per_packet already.
  void AddRange(uint32_t index, const FragmentRange& range);

 private:
  struct List {
    uint32_t first = kNoIndex;
    uint32_t last = kNoIndex;
  };

  const List& ListOf(FragmentStage stage) const { return lists_[static_cast<int>(stage)]; }
  List& ListOf(FragmentStage stage) { return lists_[static_cast<int>(stage)]; }
  size_t BucketOf(const FragmentKey& key) const;
  void Append(FragmentStage stage, uint32_t index, uint64_t deadline_ns);
  void Remove(uint32_t index);

  const uint32_t ranges_per_packet_;
  const uint64_t seed_;
  std::vector<FragmentedPacket> packets_;
  std::vector<FragmentRange> ranges_;
  std::vector<uint32_t> buckets_;
  List lists_[4];
};

}  // namespace sluice
