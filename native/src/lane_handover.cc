// What a lane hands over to others, and takes from them.
#include <cstring>

#include "lane.h"
#include "lane_choice.h"

namespace sluice {
namespace {

// Flows that are looked at, and given away at the most, in one turn of a lane.
constexpr uint32_t kLookedAt = 1024;
constexpr uint32_t kGivenAway = 64;

}  // namespace

// What has changed since the last turn.
void Lane::FollowSpread() {
  const Spread spread = config_.handover->spread();
  if (spread.epoch != spread_.epoch) {
    spread_ = spread;
    config_.handover->NoteSeen(config_.lane_index, spread.epoch);
    moved_ = 0;
    FindSharedOwn();
    if (config_.flows) {
      config_.flows->SpreadOver(spread_now());
      moving_flow_.resize(config_.flows->moved_bytes());
    }
  }
  if (spread_.moves()) MoveFlows();
}

LaneSpread Lane::spread_now() const {
  LaneSpread spread = config_.handover->now(spread_);
  spread.own = &shared_own_;
  return spread;
}

LaneSpread Lane::spread_before() const {
  LaneSpread spread = config_.handover->before(spread_);
  spread.own = &shared_own_;
  return spread;
}

// What other lanes have handed over. It is copied into slots of this lane; where there is none it waits.
void Lane::TakeHanded() {
  const uint32_t lanes = config_.handover->lanes();
  handed_on_ = 0;
  const uint32_t limit = arrived_ + (config_.batch_limit - arrived_ + 1) / 2;
  for (uint32_t from = 0; from < lanes; ++from) {
    if (from == config_.lane_index) continue;
    LaneRing& ring = config_.handover->RingOf(from, config_.lane_index);
    for (const HandedFrame* front; arrived_ < limit && (front = ring.Front()) != nullptr; ring.Pop()) {
      const auto* bytes = reinterpret_cast<const uint8_t*>(front + 1);
      if (front->kind == kHandedFlow) {
        TakeFlow(bytes);
        continue;
      }
      uint32_t slot;
      if (pool_.Take({&slot, 1}, SlotOwner::kLane) == 0) return;
      const uint32_t offset = slot * config_.slot_bytes + kHeadroomBytes;
      std::memcpy(config_.umem->data() + offset, bytes, front->length);
      // Who gave it by an older spread did not know that its flow may have gone on.
      const auto age = static_cast<int8_t>(front->epoch - spread_.epoch);
      const bool was_turned = front->kind == kHandedTurned;
      const bool was_counted = was_turned || front->kind == kHandedOn;
      settled_[arrived_] = was_counted || (front->kind == kHandedOwn && age >= 0);
      if (was_counted) ++handed_on_;
      const uint64_t number = receives_all() ? front->number : ++number_;
      Admit(front->port, {offset, front->length, front->wire_length, front->link, false, front->time_ns}, number,
            front->entered);
      flights_[arrived_ - 1].was_turned = was_turned;
    }
  }
}

// What was for an earlier lane of this number.
void Lane::DiscardHanded() {
  for (uint32_t from = 0; from < config_.handover->lanes(); ++from) {
    if (from == config_.lane_index) continue;
    LaneRing& ring = config_.handover->RingOf(from, config_.lane_index);
    while (ring.Front() != nullptr) ring.Pop();
  }
}

void Lane::TakeFlow(const uint8_t* from) {
  if (config_.flows) config_.flows->PutIn(from, clock_ns_);
}

// Gives the parsed frames from index `handed` on to the lanes that they belong to, and closes the gaps. Those from
// `fresh` on come from the lane's own ports.
void Lane::HandOver(uint32_t handed, uint32_t fresh) {
  left_ = false;
  if (spread_.before == 1 && spread_.now == 1 && config_.lane_index == 0) return;
  uint32_t kept = handed;
  for (uint32_t index = handed; index < arrived_; ++index) {
    const bool stays = index < fresh && settled_[index];
    if (!stays && GiveAway(index)) continue;
    if (kept != index) {
      records_[kept] = records_[index];
      flights_[kept] = flights_[index];
    }
    ++kept;
  }
  left_ = kept < arrived_;
  arrived_ = kept;
  config_.handover->Wake(config_.lane_index);
}

// While flows move, a frame goes to the lane that had its flow; and from there, with or after the flow, to the next
// one.
bool Lane::GiveAway(uint32_t index) {
  const Record& record = records_[index];
  const uint8_t* bytes = BytesOf(record);
  const LaneChoice choice(record, bytes, config_.handover->detours(), spread_now());
  const uint32_t owner = choice.lane();
  const uint32_t before = spread_.moves() ? choice.Among(spread_before()) : owner;
  const bool passes = before != config_.lane_index;
  uint32_t lane = passes ? before : owner;
  if (lane == config_.lane_index) return false;
  const uint32_t flow = !passes && config_.flows ? config_.flows->FlowOf(record, bytes) : 0;
  if (flow != 0) {
    // Where its other direction belongs: this may stay.
    lane = LaneOf(flow);
    if (lane == config_.lane_index) return false;
    if (!GiveFlow(flow, lane)) return Refuse(index), true;
  }
  if (!Give(index, lane, record.port, lane == owner ? kHandedOwn : kHandedFrame)) return Refuse(index), true;
  Free(index);
  return true;
}

// False if the other lane has no room. There it comes in at that port.
bool Lane::Give(uint32_t index, uint32_t lane, uint32_t port, uint8_t kind) {
  const auto& [frame, number, entered, was_turned] = flights_[index];
  const HandedFrame head = {.length = frame.length,
                            .wire_length = frame.wire_length,
                            .port = static_cast<uint8_t>(port),
                            .link = frame.link,
                            .epoch = spread_.epoch,
                            .kind = kind,
                            .number = number,
                            .entered = entered,
                            .time_ns = frame.time_ns};
  return config_.handover->Give(config_.lane_index, lane, head, BytesOf(records_[index]));
}

// False if the other lane has no room: the flow stays for now.
bool Lane::GiveFlow(uint32_t flow, uint32_t lane) {
  const auto bytes = static_cast<uint32_t>(moving_flow_.size());
  if (!config_.handover->RingOf(config_.lane_index, lane).HasRoom(bytes)) return false;
  config_.flows->TakeOut(flow, moving_flow_.data());
  const HandedFrame head = {.length = bytes, .epoch = spread_.epoch, .kind = kHandedFlow};
  return config_.handover->Give(config_.lane_index, lane, head, moving_flow_.data());
}

uint32_t Lane::LaneOf(uint32_t flow) const {
  const FlowTable& table = config_.flows->table();
  return LaneOfFlow(*table.KeyOf(flow, 0), table.SideOf(flow, 0), spread_now());
}

// Some more of those that nobody has asked for.
void Lane::MoveFlows() {
  const FlowTable* table = config_.flows ? &config_.flows->table() : nullptr;
  const uint32_t used = table ? table->used() : 0;
  uint32_t given = 0;
  for (uint32_t looked = 0; moved_ < used && looked < kLookedAt && given < kGivenAway; ++looked) {
    const uint32_t flow = moved_ + 1;
    if (table->IsLive(flow)) {
      const uint32_t lane = LaneOf(flow);
      if (lane == config_.lane_index) {
        config_.flows->KeepDetour(flow);
      } else if (GiveFlow(flow, lane)) {
        ++given;
      } else {
        break;
      }
    }
    ++moved_;
  }
  if (given > 0) config_.handover->Wake(config_.lane_index);
  if (moved_ >= used) config_.handover->NoteMoved(config_.lane_index, spread_.epoch);
}

// The other lane has no room. The frame is no part of the batch: nobody who watches sees it, but it is counted.
void Lane::Refuse(uint32_t record_index) {
  Count(layout::kLaneCountersReceived);
  Count(layout::kLaneCountersDropped);
  Count(layout::kLaneCountersCount + layout::kEngineDropReasonsLaneFull);
  Free(record_index);
}

}  // namespace sluice
