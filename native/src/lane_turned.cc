// What a lane passes on after it has received it: frames that functions turn to an address whose port is another
// lane's, and fragments whose first one went to another lane.
#include "lane.h"
#include "lane_choice.h"

namespace sluice {

// Fragments that wait here go on in the next turn; those that came as they were released are here already.
void Lane::ReleaseAstray() {
  if (!config_.flows) return;
  if (config_.flows->holds_fragments() && config_.flows->ReleaseAstray()) {
    TakeReleased();
    are_astray_ = true;
  }
  looks_on_ = config_.flows->holds_fragments() && config_.flows->looks_for_astray();
}

// Gives the pending frames at the front of the batch on to the lanes of their first fragments, and closes the gaps.
// Returns how many have gone.
uint32_t Lane::GiveAstray(uint32_t pending) {
  are_astray_ = !pending_.empty();
  uint32_t kept = 0;
  for (uint32_t index = 0; index < arrived_; ++index) {
    if (index < pending && GiveFragment(index)) continue;
    if (kept != index) {
      records_[kept] = records_[index];
      flights_[kept] = flights_[index];
      settled_[kept] = settled_[index];
    }
    ++kept;
  }
  const uint32_t gone = arrived_ - kept;
  arrived_ = kept;
  if (gone > 0) config_.handover->Wake(config_.lane_index);
  return gone;
}

bool Lane::GiveFragment(uint32_t index) {
  const Record& record = records_[index];
  const LaneChoice choice(record, BytesOf(record), config_.handover->detours(), spread_now());
  if (choice.lane() == config_.lane_index) return false;
  if (Give(index, choice.lane(), record.port, kHandedOn)) return Free(index), true;
  // Its place in the batch is another frame's by now, for whoever watches; it was received when it began to wait.
  Count(layout::kLaneCountersDropped);
  Count(layout::kLaneCountersCount + layout::kEngineDropReasonsLaneFull);
  return Free(index), true;
}

// A hairpin between hosts of two lanes: the frame goes out as the one lane's function made it, and comes in again at
// the port by which it would have left, where it is the other lane's. From there it leaves, or lanes that do not agree
// whose it is would pass it to each other for ever.
void Lane::PassTurned() {
  for (uint32_t port = 0; port < active_; ++port) {
    Queue& queue = port_queues_[port];
    uint32_t kept = 0;
    for (uint32_t i = 0; i < queue.count; ++i) {
      const uint16_t index = queue.records[i];
      const bool may_pass = is_turned_[index] && !flights_[index].was_turned;
      if (!may_pass || !PassOn(index, port)) queue.records[kept++] = index;
    }
    queue.count = kept;
  }
  config_.handover->Wake(config_.lane_index);
}

bool Lane::PassOn(uint32_t index, uint32_t port) {
  if (test_frame_.under_way() && flights_[index].number == TestFrame::kNumber) return false;
  const Record& record = records_[index];
  Handover& handover = *config_.handover;
  const int32_t lane = LaneOfTurned(record, BytesOf(record), handover.detours(), spread_now(), config_.lane_index);
  if (lane < 0 || static_cast<uint32_t>(lane) == config_.lane_index) return false;
  if (!Give(index, static_cast<uint32_t>(lane), port, kHandedTurned)) {
    DropByEngine(index, -1, layout::kEngineDropReasonsLaneFull, layout::kOutcomeKindsDrop);
    return true;
  }
  if (mirrored_) MirrorOutcome(index, -1, layout::kOutcomeKindsForward, port, 0, 0, false);
  Free(index);
  return true;
}

}  // namespace sluice
