// How a turn begins: frames are received, parsed, tracked, and find their paths.
#include <algorithm>
#include <cstring>
#include <ctime>

#include "engine_reason.h"
#include "lane.h"
#include "lane_choice.h"
#include "parser.h"

namespace sluice {
namespace {

uint64_t MachineTime() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

int32_t Lane::Inhale() {
  Count(layout::kLaneCountersTurns);
  outcome_count_ = 0;
  arrived_ = 0;
  left_ = false;
  extra_ = 0;
  next_hop_ = 0;
  if (!config_.virtual_clock) clock_ns_ = std::max(clock_ns_, MachineTime());
  if (has_returned_.load(std::memory_order_acquire)) TakeReturned();
  if (config_.handover) FollowSpread();
  if (router_) RefreshRoutes();
  BeginMirrors();
  if (spread_.now > 1) ReleaseAstray();
  TakePending();
  uint32_t pending = arrived_;
  if (test_frame_.waiting()) AdmitTestFrame();
  const uint32_t handed = arrived_;
  handed_on_ = 0;
  has_turned_ = false;
  if (config_.handover) TakeHanded();
  const uint32_t fresh = arrived_;
  Receive();
  if (arrived_ == 0) return -1;
  ParseBatch(config_.umem->data(), config_.frames_address, records_, arrivals_.data(), arrived_);
  const uint32_t astray = are_astray_ ? GiveAstray(pending) : 0;
  pending -= astray;
  if (receives_all()) {
    LeaveToOthers(fresh - astray);
  } else if (config_.handover) {
    HandOver(handed - astray, fresh - astray);
  }
  left_ |= astray > 0;
  const uint32_t received = arrived_ - pending - handed_on_;
  received_ += received;
  if (arrived_ > 0) ++Use(layout::kLaneUseCountersCount + CallHistogram::SizeBucket(arrived_));
  Count(layout::kLaneCountersReceived, received);
  if (arrived_ == 0) return -1;
  TrackFlows();
  if (mirrored_) MirrorFrames(pending);
  if (routes_) NoteOriginals();
  Classify();
  return Prepare();
}

// Fragments that waited come before new frames: they are older.
void Lane::TakePending() {
  const auto count = std::min<uint32_t>(static_cast<uint32_t>(pending_.size()), config_.batch_limit);
  for (uint32_t i = 0; i < count; ++i) {
    Admit(pending_[i].port, pending_[i].frame, pending_[i].number);
  }
  pending_.erase(pending_.begin(), pending_.begin() + count);
}

void Lane::AdmitTestFrame() {
  uint32_t slot;
  if (arrived_ == config_.batch_limit || pool_.Take({&slot, 1}, SlotOwner::kLane) == 0) return;
  uint32_t port;
  std::span<const uint8_t> bytes;
  if (!test_frame_.Begin(&port, &bytes)) return pool_.Release(slot);
  const uint32_t offset = slot * config_.slot_bytes + kHeadroomBytes;
  const auto length = static_cast<uint32_t>(bytes.size());
  std::memcpy(config_.umem->data() + offset, bytes.data(), length);
  Admit(port, {offset, length, length, abi::kLinkEthernet, false, clock_ns_}, TestFrame::kNumber);
}

// Where it would leave it is kept, and counted as consumed.
void Lane::KeepTestFrame(uint32_t port, Queue& queue) {
  const auto end = queue.records.begin() + queue.count;
  const auto found = std::find_if(queue.records.begin(), end,
                                  [&](uint16_t record) { return flights_[record].number == TestFrame::kNumber; });
  if (found == end) return;
  const Frame& frame = flights_[*found].frame;
  test_frame_.End({layout::kOutcomeKindsForward, static_cast<uint8_t>(port), -1, 0, false, 0},
                  {config_.umem->data() + frame.offset, frame.length});
  Count(layout::kLaneCountersConsumed);
  Free(*found);
  std::copy(found + 1, end, found);
  --queue.count;
}

uint32_t Lane::Receive() { return config_.virtual_clock ? ReceiveInTime() : ReceiveInTurn(); }

uint32_t Lane::ReceiveInTurn() {
  const uint32_t ports = active_;
  for (uint32_t i = 0; i < ports && arrived_ < config_.batch_limit; ++i) {
    const uint32_t port = (first_port_ + i) % ports;
    const uint32_t count = ports_[port]->Receive({staging_.data(), config_.batch_limit - arrived_});
    AdmitNew(port, {staging_.data(), count});
  }
  if (++first_port_ >= ports) first_port_ = 0;
  return arrived_;
}

// Files and tests: always the frame with the earliest time, the first port on a tie.
uint32_t Lane::ReceiveInTime() {
  while (arrived_ < config_.batch_limit) {
    uint32_t port = 0;
    uint64_t earliest = UINT64_MAX;
    for (uint32_t i = 0; i < active_; ++i) {
      const uint64_t time = ports_[i]->NextTime();
      if (time < earliest) earliest = time, port = i;
    }
    if (earliest == UINT64_MAX) break;
    const uint32_t count = ports_[port]->Receive({staging_.data(), 1});
    if (count == 0) break;
    AdmitNew(port, {staging_.data(), count});
  }
  return arrived_;
}

void Lane::AdmitNew(uint32_t port, std::span<const Frame> frames) {
  for (const Frame& frame : frames) Admit(port, frame, ++number_);
}

void Lane::Admit(uint32_t port, const Frame& frame, uint64_t number, uint32_t entered) {
  const uint32_t index = arrived_++;
  if (config_.virtual_clock) clock_ns_ = std::max(clock_ns_, frame.time_ns);
  flights_[index] = {frame, number, static_cast<uint8_t>(entered)};
  changed_[index] = is_routed_[index] = is_turned_[index] = false;
  Record& record = records_[index];
  record = {};
  record.frame = config_.frames_address + frame.offset;
  record.length = frame.length;
  record.wire_length = frame.wire_length;
  record.port = static_cast<uint8_t>(port);
  record.link = frame.link;
  arrivals_[index] = static_cast<uint16_t>(index);
}

// Frees the parsed frames from index `first` on that are other lanes', and closes the gaps; nothing counts them.
void Lane::LeaveToOthers(uint32_t first) {
  uint32_t kept = first;
  for (uint32_t index = first; index < arrived_; ++index) {
    const uint32_t lane = config_.handover->Agree(flights_[index].number, [&] {
      return LaneChoice(records_[index], BytesOf(records_[index]), config_.handover->detours(), spread_now()).lane();
    });
    if (lane != config_.lane_index) {
      if (config_.flows) config_.flows->PassTime(flights_[index].frame.time_ns);
      if (answers_) Overhear(index);
      Free(index);
      continue;
    }
    records_[kept] = records_[index];
    flights_[kept] = flights_[index];
    ++kept;
  }
  left_ = kept < arrived_;
  arrived_ = kept;
}

void Lane::TrackFlows() {
  if (!config_.flows) {
    std::fill_n(fates_.begin(), arrived_, FlowEngine::Arrival{FlowEngine::Fate::kPass, 0});
    return;
  }
  for (uint32_t i = 0; i < arrived_; ++i) held_[i] = {flights_[i].frame, flights_[i].number, records_[i].port};
  config_.flows->Track({records_, arrived_}, {held_.data(), arrived_}, config_.umem->data(), config_.frames_address,
                       clock_ns_, fates_);
}

void Lane::Classify() {
  for (uint32_t index = 0; index < arrived_; ++index) {
    const Record& record = records_[index];
    if (fates_[index].fate == FlowEngine::Fate::kHeld) continue;
    if (record.malformed != 0) Count(layout::kLaneCountersMalformed);
    if (fates_[index].fate == FlowEngine::Fate::kDropped) {
      DropByEngine(index, -1, fates_[index].reason, layout::kOutcomeKindsDrop);
      continue;
    }
    if (flights_[index].frame.oversize) {
      DropByEngine(index, -1, kOversize, layout::kOutcomeKindsDrop);
      continue;
    }
    if (answers_ && MeetNeighbour(index)) continue;
    const Path* path = FindPath(record);
    if (path == nullptr) {
      DropByEngine(index, -1, kNoPath, layout::kOutcomeKindsDrop);
    } else {
      Send(index, path->first, -1);
    }
  }
}

const Path* Lane::FindPath(const Record& record) const {
  const Side side = config_.flows ? config_.flows->SideOf(record.flow) : Side::kStays;
  for (const Path& path : program_->paths) {
    if (path.from != record.port || (path.side != Side::kAny && path.side != side)) continue;
    if (!path.match || Matches(*path.match, record, BytesOf(record))) return &path;
  }
  return nullptr;
}

const uint8_t* Lane::BytesOf(const Record& record) const {
  return config_.umem->data() + (record.frame - config_.frames_address);
}

}  // namespace sluice
