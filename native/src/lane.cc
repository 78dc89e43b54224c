#include "lane.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>

#include "engine_reason.h"
#include "tick_clock.h"

namespace sluice {
namespace {

// 255 is "no port" in a record.
constexpr uint32_t kPortsCapacity = 255;
// With frames that wait for a host, or for their first fragment.
constexpr int kLookAgainMs = 5;

PortCounters ReadPortCounters(const uint64_t* from) {
  return {.receive_frames = from[layout::kPortCountersReceiveFrames],
          .receive_bytes = from[layout::kPortCountersReceiveBytes],
          .transmit_frames = from[layout::kPortCountersTransmitFrames],
          .transmit_bytes = from[layout::kPortCountersTransmitBytes],
          .receive_dropped = from[layout::kPortCountersReceiveDropped],
          .transmit_dropped = from[layout::kPortCountersTransmitDropped]};
}

}  // namespace

Lane::Lane(LaneConfig config, std::shared_ptr<Program> program)
    : config_(std::move(config)),
      pool_(static_cast<uint32_t>(config_.umem->bytes() / config_.slot_bytes), config_.slot_bytes),
      slot_mask_(config_.slot_bytes - 1),
      wake_(config_.handover ? dup(config_.handover->descriptor(config_.lane_index))
                             : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      histogram_(TickHz()) {
  outcomes_ = std::make_shared<std::vector<Outcome>>(config_.keep_outcomes ? 2 * layout::kRecordsCapacity : 0);
  pending_.reserve(kPendingCapacity);
  ports_.reserve(kPortsCapacity);
  ports_before_.resize(kPortsCapacity);
  port_queues_.resize(kPortsCapacity);
  routed_ports_.reserve(kPortsCapacity);
  refused_.resize(kPortsCapacity);
  port_macs_ = std::vector<std::atomic<uint64_t>>(kPortsCapacity);
  answering_macs_.reserve(kPortsCapacity);
  learns_.resize(kPortsCapacity);
  log_.reserve(kLogBytes);
  if (config_.keep_bad_results) bad_result_.call.resize(kBadCallBytes);
  if (config_.reports && config_.flows) config_.flows->ReportTo(config_.reports.get());
  drops_skipped_before_ = Use(layout::kLaneUseCountersDropsSkipped);
  events_skipped_before_ = Use(layout::kLaneUseCountersEventsSkipped);
  if (config_.handover && config_.flows) {
    spread_ = config_.handover->spread();
    config_.handover->NoteSeen(config_.lane_index, spread_.epoch);
    DiscardHanded();
    moving_flow_.reserve(kMovedFlowBytes);
    config_.flows->ShareLanes({&config_.handover->detours(), config_.lane_index, spread_now()});
  }
  Install(std::move(program));
  if (config_.flows) flows_before_ = ReadFlowCounters();
}

Lane::~Lane() {
  if (router_) router_->mirror().Forget(wake_);
  ports_.clear();
  close(wake_);
}

uint32_t Lane::AddPort(std::unique_ptr<Port> port, bool inactive) {
  const auto index = static_cast<uint32_t>(ports_.size());
  ports_.push_back(std::move(port));
  if (!inactive) ActivatePorts();
  return index;
}

void Lane::ActivatePorts() {
  const auto wanted = std::min(program_->port_counters.size(), ports_.size());
  while (active_ > wanted) ports_[--active_]->Deactivate();
  for (; active_ < wanted; ++active_) {
    ports_[active_]->Activate();
    ports_before_[active_] = ReadPortCounters(program_->port_counters[active_]);
    refused_[active_] = 0;
  }
  BeginAnswering();
}

void Lane::ClosePorts(uint32_t first) {
  while (ports_.size() > first) {
    const std::vector<uint32_t> slots = ports_.back()->Abandon();
    ports_.pop_back();
    const std::lock_guard lock(returning_);
    returned_.insert(returned_.end(), slots.begin(), slots.end());
    has_returned_.store(true, std::memory_order_release);
  }
}

void Lane::TakeReturned() {
  const std::lock_guard lock(returning_);
  for (const uint32_t slot : returned_) pool_.Release(slot);
  returned_.clear();
  has_returned_.store(false, std::memory_order_relaxed);
}

// ---- generations ----

void Lane::Install(std::shared_ptr<Program> program) {
  uint8_t* shared = program->shared->data();
  batch_ = reinterpret_cast<Batch*>(shared + layout::kSharedBatchOffset);
  results_ = reinterpret_cast<Result*>(shared + layout::kSharedResultsOffset);
  records_ = reinterpret_cast<Record*>(shared + layout::kSharedRecordsOffset);
  if (config_.flows) config_.flows->Adopt(program->flows);
  // Another generation may have had the state since.
  for (const Function& function : program->functions) {
    if (function.recorder) function.recorder->Reset();
  }
  clockid_t cpu_clock;
  if (pthread_getcpuclockid(pthread_self(), &cpu_clock) == 0) cpu_clock_.store(cpu_clock, std::memory_order_relaxed);
  program_ = std::move(program);
  BeginUse();
  ActivatePorts();
  ports_changed_ = true;
  if (router_) RefreshRoutes();
}

int32_t Lane::TakeOver(std::shared_ptr<Program> program) {
  const int32_t hop = called_.load(std::memory_order_relaxed);
  if (hop < 0) {
    Install(std::move(program));
    return -1;
  }
  const std::shared_ptr<Program> before = program_;
  const Record* records = records_;
  const bool alike = program->hops.size() == before->hops.size();
  if (!alike) {
    for (uint32_t index = 0; index < before->queues.size(); ++index) {
      Queue& queue = before->queues[index];
      for (uint32_t i = 0; i < queue.count; ++i) {
        DropByEngine(queue.records[i], static_cast<int32_t>(index), kFault, layout::kOutcomeKindsFault);
      }
      queue.count = 0;
    }
  }
  Install(std::move(program));
  std::copy_n(records, layout::kRecordsCapacity, records_);
  called_.store(-1, std::memory_order_relaxed);
  if (!alike) return -1;
  for (uint32_t index = 0; index < before->queues.size(); ++index) {
    program_->queues[index] = before->queues[index];
    before->queues[index].count = 0;
  }
  return Fault(static_cast<uint32_t>(hop));
}

Lane::Pulse Lane::pulse() const {
  const std::atomic_ref turns(config_.lane_counters[layout::kLaneCountersTurns]);
  timespec used{};
  clock_gettime(cpu_clock_.load(std::memory_order_relaxed), &used);
  return {turns.load(std::memory_order_relaxed), waiting_.load(std::memory_order_relaxed),
          called_.load(std::memory_order_relaxed),
          static_cast<uint64_t>(used.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(used.tv_nsec)};
}

int32_t Lane::GonePort() const {
  for (uint32_t port = 0; port < active_; ++port) {
    if (ports_[port]->gone()) return static_cast<int32_t>(port);
  }
  return -1;
}

// ---- between turns ----

void Lane::Wait(int timeout_ms) {
  // The answer, or the first fragment, may come to another lane.
  const bool looks_again = !waiting_for_hosts_.empty() || (config_.flows && config_.flows->holds_fragments());
  if (spread_.now > 1 && looks_again) timeout_ms = std::min(timeout_ms, kLookAgainMs);
  std::array<pollfd, 64> descriptors;
  nfds_t count = 0;
  descriptors[count++] = {wake_, POLLIN, 0};
  for (const auto& port : active()) {
    const int descriptor = port->gone() ? -1 : port->PollDescriptor();
    if (descriptor >= 0 && count < descriptors.size()) descriptors[count++] = {descriptor, POLLIN, 0};
  }
  if (config_.handover && !config_.handover->BeginSleep(config_.lane_index)) return;
  waiting_.store(true, std::memory_order_relaxed);
  poll(descriptors.data(), count, timeout_ms);
  waiting_.store(false, std::memory_order_relaxed);
  if (config_.handover) config_.handover->EndSleep(config_.lane_index);
  uint64_t woken;
  if (descriptors[0].revents & POLLIN) [[maybe_unused]]
    const ssize_t drained = read(wake_, &woken, sizeof(woken));
}

bool Lane::RunOut() {
  if (!config_.flows) return false;
  uint64_t next = std::min(config_.flows->NextDeadline(), waiting_for_hosts_.deadline_ns());
  if (routes_) next = std::min(next, waiting_frames_.deadline_ns());
  if (next == UINT64_MAX && pending_.empty()) return false;
  outcome_count_ = 0;
  extra_ = 0;
  if (next != UINT64_MAX) clock_ns_ = std::max(clock_ns_, next);
  config_.flows->Expire(clock_ns_, true);
  AbandonFragments(clock_ns_);
  Publish();
  return true;
}

void Lane::EndFlows() {
  GiveWaitingUp();
  if (!config_.flows) return;
  config_.flows->EndAll(clock_ns_);
  for (const HeldFragment& held : pending_) pool_.Release(held.frame.offset / config_.slot_bytes);
  pending_.clear();
  do {
    extra_ = 0;
    AbandonFragments(UINT64_MAX);
  } while (extra_ > 0);
  Publish();
}

uint32_t Lane::TakeOutcomes() { return outcome_count_; }

bool Lane::IsBehind() {
  if (!config_.handover) return !pending_.empty();
  ReleaseAstray();
  return !pending_.empty() || !config_.handover->is_empty(config_.lane_index);
}

int32_t Lane::RecordOf(uint64_t number) const {
  for (uint32_t index = 0; index < arrived_; ++index) {
    if (flights_[index].number == number) return static_cast<int32_t>(index);
  }
  return -1;
}

uint64_t Lane::NextTime() {
  uint64_t earliest = UINT64_MAX;
  for (const auto& port : active()) earliest = std::min(earliest, port->NextTime());
  return earliest;
}

}  // namespace sluice
