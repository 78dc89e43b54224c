#include "mirror.h"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "abi.h"
#include "flow_engine.h"

namespace sluice {
namespace {

// Time passes for the shadow, too, when no frames come.
constexpr uint64_t kIdleBlockNs = 1'000'000;

// What was touched is copied again and again, each time faster, until the rest is a matter of microseconds.
constexpr uint32_t kRounds = 8;
constexpr uint32_t kFewBlocks = 16;

uint64_t Now() {
  return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1));
}

}  // namespace

std::shared_ptr<Mirror> Mirror::Make(uint64_t ring_bytes, uint32_t slot_bytes, uint32_t flow_capacity, bool whole_flows,
                                     SystemError* error) {
  auto ring = MirrorRing::Make(ring_bytes, error);
  if (!ring) return nullptr;
  auto spoilt = PrivateMemory::Make(uint64_t{flow_capacity} + 1, uint64_t{flow_capacity} + 1);
  if (spoilt.data() == nullptr) {
    *error = {"mmap", "mirror", ENOMEM};
    return nullptr;
  }
  return std::make_shared<Mirror>(std::move(ring), std::move(spoilt), slot_bytes, flow_capacity, whole_flows);
}

Mirror::Mirror(std::unique_ptr<MirrorRing> ring, PrivateMemory spoilt, uint32_t slot_bytes, uint32_t flow_capacity,
               bool whole_flows)
    : ring_(std::move(ring)),
      spoilt_memory_(std::move(spoilt)),
      spoilt_(static_cast<bool*>(spoilt_memory_.data())),
      slot_bytes_(slot_bytes),
      flow_capacity_(flow_capacity),
      whole_flows_(whole_flows) {
  entries_.fill(kNone);
}

// ---- the state ----

int Mirror::PrepareCopy() {
  if (const int error = copy_.Run(); error != 0) return error;
  copied_bytes_ = copy_.bytes();
  if (!flows_) return 0;
  if (const int error = flows_->CopyAll(); error != 0) return error;
  copied_bytes_ += flows_->bytes();
  for (uint32_t round = 0; round < kRounds && flows_->CopyTouched() > kFewBlocks; ++round) {
  }
  return 0;
}

void Mirror::Prepare(FlowEngine* engine) {
  const Phase phase = phase_.load(std::memory_order_acquire);
  if (phase == Phase::kNotesWanted) {
    if (engine != nullptr && flows_) {
      if (engine->touched() != nullptr) return;  // another mirror's turn
      engine->NoteTouched(&flows_->touched());
    }
    phase_.store(Phase::kNoting, std::memory_order_release);
  } else if (phase == Phase::kCopyWanted) {
    if (engine != nullptr) StopNoting(*engine);
    CopyState();
  }
}

void Mirror::StopNoting(FlowEngine& engine) {
  if (flows_ && engine.touched() == &flows_->touched()) engine.NoteTouched(nullptr);
}

void Mirror::CopyState() {
  const uint64_t start = Now();
  copy_error_ = copy_.Run();
  if (flows_) flows_->CopyTouched();
  copy_ns_ = Now() - start;
  phase_.store(copy_error_ == 0 ? Phase::kOpen : Phase::kFailed, std::memory_order_release);
}

// ---- the traffic ----

void Mirror::BeginTurn(uint64_t clock_ns, FlowEngine* engine) {
  if (phase_.load(std::memory_order_relaxed) != Phase::kOpen) Prepare(engine);
  if (phase_.load(std::memory_order_relaxed) != Phase::kOpen || !ring_->HasRoom(sizeof(MirrorBlock))) return;
  block_ = ring_->back();
  used_ = sizeof(MirrorBlock);
  reserved_ = 0;
  head_ = {0, clock_ns, 0, 0};
}

// A flow of which a frame had no place has none any more: the shadow does not know its state.
bool Mirror::HasPlace(const Record& record, uint64_t needed) {
  bool none = false;
  bool& spoilt = record.flow != 0 && record.flow <= flow_capacity_ ? spoilt_[record.flow] : none;
  if (record.events & abi::kEventStart) spoilt = false;
  if (block_ != nullptr && !spoilt && ring_->HasRoom(used_ + reserved_ + needed)) return true;
  spoilt = whole_flows_;
  Miss(record.port);
  return false;
}

void Mirror::Miss(uint8_t port) {
  for (std::atomic<uint64_t>* count : {&missed_, &missed_of_[port]}) {
    count->store(count->load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
}

void Mirror::Frame(uint32_t index, const Record& record, const sluice::Frame& frame, uint64_t number,
                   const uint8_t* bytes) {
  entries_[index] = kNone;
  if (phase_.load(std::memory_order_relaxed) != Phase::kOpen) return;
  const uint64_t entry_bytes = sizeof(MirroredFrame) + MirrorPadded(frame.length);
  const uint64_t outcome_bytes = sizeof(MirroredOutcome) + slot_bytes_;
  entries_[index] = kMissed;
  if (!HasPlace(record, entry_bytes + outcome_bytes)) return;
  const bool begins = (record.events & abi::kEventStart) != 0;
  const MirroredFrame entry = {number,      frame.length, frame.wire_length, record.flow,
                               record.port, frame.link,   frame.oversize,    begins};
  Append(entry, bytes, frame.length);
  entries_[index] = static_cast<uint16_t>(head_.frames++);
  reserved_ += outcome_bytes;
}

template <typename Entry>
void Mirror::Append(const Entry& entry, const uint8_t* bytes, uint32_t length) {
  std::memcpy(block_ + used_, &entry, sizeof(entry));
  if (length > 0) std::memcpy(block_ + used_ + sizeof(entry), bytes, length);
  used_ += sizeof(entry) + MirrorPadded(length);
}

void Mirror::Outcome(uint32_t index, const MirroredOutcome& outcome, const sluice::Frame& frame, const uint8_t* bytes,
                     bool may_differ) {
  const uint16_t entry = std::exchange(entries_[index], kNone);
  if (entry == kMissed || block_ == nullptr) return;
  const bool loose = entry == kNone;
  const uint64_t needed = sizeof(MirroredOutcome) + MirrorPadded(frame.length);
  if (loose && !ring_->HasRoom(used_ + reserved_ + needed)) return Miss(outcome.port);
  MirroredOutcome noted = outcome;
  noted.frame = loose ? kLooseOutcome : entry;
  noted.has_bytes = loose || may_differ;
  noted.length = noted.has_bytes ? frame.length : 0;
  Append(noted, bytes, noted.length);
  ++head_.outcomes;
}

void Mirror::EndTurn() {
  if (block_ == nullptr) return;
  const bool idle = head_.frames == 0 && head_.outcomes == 0;
  if (!idle || head_.clock_ns >= published_ns_ + kIdleBlockNs) {
    head_.bytes = used_;
    std::memcpy(block_, &head_, sizeof(head_));
    ring_->Publish(used_);
    published_ns_ = head_.clock_ns;
  }
  block_ = nullptr;
}

}  // namespace sluice
