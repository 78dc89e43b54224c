// libFuzzer target of the flow engine: few endpoints, a small table, fragments, streams, second tuples and time that
// jumps. Input: six bytes of configuration, then a step each twelve bytes (FlowStep). Each frame lies in a slot of
// which only its own bytes may be touched.
#include <sanitizer/asan_interface.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "flow_engine.h"
#include "flow_frames.h"
#include "parser.h"

namespace {

using namespace sluice;

#define CHECK(condition) \
  if (!(condition)) __builtin_trap()

constexpr uint32_t kLargestCapacity = 64;
constexpr uint32_t kSlots = 128;
constexpr uint32_t kSlotBytes = 2048;
constexpr uint32_t kBatch = 32;
constexpr uint32_t kFramesAddress = 0x10000;
constexpr uint32_t kStreamBytes = 8 * kStreamBlockBytes;
std::shared_ptr<Segment> OpenSegment(uint64_t bytes) {
  SystemError error;
  return Segment::Open(bytes, "", &error);
}

// Outlives the engines, as the file does the processes.
std::shared_ptr<Segment> TheSegment() {
  static const auto segment = OpenSegment(FlowTable::BytesFor(kLargestCapacity));
  return segment;
}

class Checker {
 public:
  explicit Checker(const uint8_t* config);
  ~Checker() { ASAN_UNPOISON_MEMORY_REGION(umem_.get(), kSlots * kSlotBytes); }

  void Run(const FlowStep& step);
  void Finish();

 private:
  void Attach();
  void Ask(const FlowStep& step);
  void Add(const FlowStep& step);
  void Put(const Frame& frame, uint64_t number, uint8_t port);
  void Flush();
  void Settle(uint32_t index);
  void TakeReleased();
  void Free(const Frame& frame);
  void CheckRecords();
  void CheckChunks();
  void CheckFlows();
  void CheckCounts();
  void Expire();
  void Abandon(uint64_t now_ns);
  void TakeEvents();
  uint32_t AnyFlow(uint32_t number) const { return 1 + number % capacity_; }

  const uint32_t capacity_;
  const bool own_time_;  // frames have a time of their own
  const uint8_t* const config_;
  std::vector<uint8_t> column_;
  std::shared_ptr<Segment> stream_buffer_;
  const std::unique_ptr<uint8_t[]> umem_ = std::make_unique<uint8_t[]>(kSlots * kSlotBytes);
  std::optional<FlowEngine> engine_;
  uint32_t subscriber_ = 0;
  std::vector<uint32_t> free_;
  std::set<uint64_t> held_;            // numbers of frames that the engine keeps
  std::vector<HeldFragment> pending_;  // released, for the next batch
  std::array<Record, kBatch> records_;
  std::array<HeldFragment, kBatch> frames_;
  std::array<FlowEngine::Arrival, kBatch> arrivals_;
  uint32_t count_ = 0;
  uint64_t numbers_ = 0;
  uint64_t counted_ = 0;   // frames of flows since the engine took over
  uint64_t reported_ = 0;  // frames of flows that ended
  uint64_t inherited_ = 0;
  uint64_t now_ns_ = 1'000'000'000'000'000'000;
};

Checker::Checker(const uint8_t* config)
    : capacity_(8 + config[0] % (kLargestCapacity - 7)),
      own_time_(config[1] & 1),
      config_(config),
      column_((capacity_ + 1) * sizeof(uint32_t)) {
  static const auto buffer = OpenSegment(kStreamBytes);
  if (config[1] & 2) stream_buffer_ = buffer;
  std::memset(TheSegment()->data(), 0, TheSegment()->bytes());
  for (uint32_t slot = 0; slot < kSlots; ++slot) free_.push_back(slot);
  ASAN_POISON_MEMORY_REGION(umem_.get(), kSlots * kSlotBytes);
  Attach();
  CHECK(engine_->recovery().fresh);
}

// A new process over the same file.
void Checker::Attach() {
  engine_.reset();
  TrackerConfig tracker = {DefaultFlowTimeouts(), (config_[1] & 4) != 0, (config_[1] & 8) != 0};
  FragmentLimits fragments = {.packets = 1u + config_[2] % 8,
                              .fragments = 1u + config_[2] / 8 % 8,
                              .held = 1u + config_[3] % 16,
                              .held_per_packet = 1u + config_[3] / 16,
                              .timeout_ms = 1000};
  StreamLimits streams = {.flows = capacity_,
                          .per_flow_bytes = config_[4] % 4 * kStreamBlockBytes,
                          .hold_ms = 100,
                          .overlap = config_[4] & 4 ? OverlapPolicy::kLast : OverlapPolicy::kFirst};
  engine_.emplace(FlowEngineConfig{.flows = TheSegment(),
                                   .capacity = capacity_,
                                   .seed = config_[5],
                                   .tracker = tracker,
                                   .fragments = fragments,
                                   .zones = {0, 0, 9},
                                   .columns = {{column_.data(), sizeof(uint32_t), true}},
                                   .segments = {},
                                   .stream_buffer = stream_buffer_,
                                   .streams = streams,
                                   .keep_reports = true});
  subscriber_ = engine_->Subscribe(0xffff);
  counted_ = reported_ = inherited_ = 0;
  for (uint32_t flow = 1; flow <= capacity_; ++flow) {
    if (!engine_->IsLive(flow)) continue;
    inherited_ += engine_->table().state(flow).packets[0] + engine_->table().state(flow).packets[1];
  }
}

void Checker::Run(const FlowStep& step) {
  static constexpr uint64_t kUnits[] = {0, 1'000'000, 50'000'000, 1'000'000'000, 30'000'000'000, 700'000'000'000};
  now_ns_ += kUnits[step.time % 6] * (step.time / 6);
  if (step.kind % 8 == 0) return Ask(step);
  Add(step);
  if (count_ == kBatch || step.kind % 8 == 1) Flush();
}

void Checker::Ask(const FlowStep& step) {
  const uint32_t flow = AnyFlow(step.cut);
  const bool live = engine_->IsLive(flow);
  switch (step.kind / 8) {
    case 0:
    case 1:
    case 2:
    case 3: {
      if (!live || engine_->table().state(flow).ip_version != VersionOf(step)) return;
      const Endpoints reply = EndpointsOf(step);
      if (engine_->Bind(flow, reply)) CHECK(engine_->IsLive(flow));
      break;
    }
    case 4:
      CHECK(engine_->SetTimeout(flow, step.payload * 10u) == live);
      break;
    case 5:
      CHECK(engine_->SetLabels(flow, step.payload, step.flags & 1) == live);
      break;
    case 6:
      CHECK(engine_->Close(flow, now_ns_) == live);
      break;
    case 7:
      return TakeEvents();
    case 8:
      Flush();
      engine_->EndAll(now_ns_);
      CHECK(engine_->table().size() == 0);
      break;
    case 9: {
      Flush();
      CheckCounts();
      Abandon(UINT64_MAX);
      const uint32_t before = engine_->table().size();
      Attach();
      CHECK(!engine_->recovery().fresh && engine_->recovery().dropped == 0);
      CHECK(engine_->table().size() == before && engine_->recovery().kept == before);
      break;
    }
    default:
      Flush();
      Expire();
  }
  CheckFlows();
}

void Checker::Add(const FlowStep& step) {
  const std::vector<uint8_t> bytes = FrameOf(step);
  if (free_.empty() || bytes.size() > kSlotBytes / 2) return;
  const auto wire = static_cast<uint32_t>(bytes.size());
  const uint32_t length = wire - (step.cut > 0xf0 ? std::min(wire, step.cut - 0xf0u) : 0);
  const uint32_t offset = free_.back() * kSlotBytes + (kSlotBytes - wire) / 8 * 8;
  free_.pop_back();
  ASAN_UNPOISON_MEMORY_REGION(umem_.get() + offset, length);
  std::copy_n(bytes.data(), length, umem_.get() + offset);
  const Frame frame = {offset, length, wire, abi::kLinkEthernet, false, own_time_ ? now_ns_ : 0};
  Put(frame, ++numbers_, step.place & 3);
}

void Checker::Put(const Frame& frame, uint64_t number, uint8_t port) {
  frames_[count_] = {frame, number, port};
  Record& record = records_[count_++];
  record = {.frame = kFramesAddress + frame.offset, .length = frame.length, .wire_length = frame.wire_length};
  record.port = port;
  record.link = frame.link;
  ParseFrame(umem_.get() + frame.offset, record);
}

void Checker::Flush() {
  do {
    engine_->Track({records_.data(), count_}, {frames_.data(), count_}, umem_.get(), kFramesAddress, now_ns_,
                   arrivals_);
    CheckRecords();
    CheckChunks();
    for (uint32_t i = 0; i < count_; ++i) Settle(i);
    count_ = 0;
    TakeReleased();
    CheckFlows();
  } while (count_ > 0);
  Abandon(now_ns_);
}

void Checker::Settle(uint32_t index) {
  const HeldFragment& frame = frames_[index];
  if (arrivals_[index].fate != FlowEngine::Fate::kHeld) return Free(frame.frame);
  CHECK(held_.insert(frame.number).second);
}

// They come in again with the next batch, as in a lane.
void Checker::TakeReleased() {
  std::array<HeldFragment, 3> released;
  for (uint32_t count; (count = engine_->Released(released)) > 0;) {
    for (uint32_t i = 0; i < count; ++i) {
      CHECK(held_.erase(released[i].number) == 1);
      pending_.push_back(released[i]);
    }
  }
  while (!pending_.empty() && count_ < kBatch) {
    Put(pending_.front().frame, pending_.front().number, pending_.front().port);
    pending_.erase(pending_.begin());
  }
}

void Checker::Free(const Frame& frame) {
  const uint32_t slot = frame.offset / kSlotBytes;
  CHECK(std::find(free_.begin(), free_.end(), slot) == free_.end());
  ASAN_POISON_MEMORY_REGION(umem_.get() + uint64_t{slot} * kSlotBytes, kSlotBytes);
  free_.push_back(slot);
}

void Checker::CheckRecords() {
  for (uint32_t i = 0; i < count_; ++i) {
    const Record& record = records_[i];
    CHECK(record.direction <= 1 && record.flow <= capacity_);
    CHECK(arrivals_[i].fate == FlowEngine::Fate::kPass || record.flow == 0);
    CHECK((arrivals_[i].fate == FlowEngine::Fate::kDropped) == (arrivals_[i].reason != 0));
    CHECK(record.flow != 0 || record.events == 0);
    counted_ += record.flow != 0;
  }
  // Nothing can have ended the last one's flow.
  if (count_ > 0 && records_[count_ - 1].flow != 0) CHECK(engine_->IsLive(records_[count_ - 1].flow));
}

void Checker::CheckChunks() {
  for (const Chunk& chunk : engine_->chunks()) {
    CHECK(chunk.record < count_ && chunk.direction <= 1);
    CHECK(chunk.flow == records_[chunk.record].flow);
    if (chunk.length == 0) continue;
    if (chunk.in_buffer) {
      CHECK(uint64_t{chunk.data} + chunk.length <= kStreamBytes);
      continue;
    }
    const Frame& frame = frames_[chunk.record].frame;
    CHECK(chunk.data >= frame.offset && chunk.data + chunk.length <= frame.offset + frame.length);
  }
}

void Checker::CheckFlows() {
  const FlowTable& table = engine_->table();
  uint32_t live = 0;
  uint64_t earliest = UINT64_MAX;
  for (uint32_t flow = 1; flow <= capacity_; ++flow) {
    if (!table.IsLive(flow)) continue;
    ++live;
    const FlowState& state = table.state(flow);
    CHECK(flow <= table.used() && state.end == abi::kFlowEndNone && state.deadline_ns != 0);
    earliest = std::min(earliest, state.deadline_ns);
    for (const uint8_t tuple : {0, 1}) {
      const FlowKey* key = table.KeyOf(flow, tuple);
      CHECK(key != nullptr || tuple == 1);
      if (key == nullptr) continue;
      const uint8_t side = table.SideOf(flow, tuple);
      FlowHit hit;
      table.Find(key, &side, 1, &hit);
      CHECK(hit.flow == flow && hit.tuple == tuple && hit.direction == 0);
    }
  }
  CHECK(live == table.size() && live <= capacity_);
  // What is overdue is due now.
  CHECK(engine_->NextDeadline() <= std::max(earliest, now_ns_));
}

// Every frame of a flow counts for one flow, once.
void Checker::CheckCounts() {
  const uint32_t bytes = engine_->report_bytes();
  for (size_t at = 0; at < engine_->reports().size(); at += bytes) {
    FlowReport report;
    std::memcpy(&report, engine_->reports().data() + at, sizeof(report));
    CHECK(report.serial != 0 && report.state.end != abi::kFlowEndNone);
    reported_ += report.state.packets[0] + report.state.packets[1];
  }
  engine_->ClearReports();
  uint64_t living = 0;
  for (uint32_t flow = 1; flow <= capacity_; ++flow) {
    if (!engine_->IsLive(flow)) continue;
    living += engine_->table().state(flow).packets[0] + engine_->table().state(flow).packets[1];
  }
  CHECK(inherited_ + counted_ == reported_ + living);
}

void Checker::Expire() {
  engine_->Expire(now_ns_, true);
  for (uint32_t flow = 1; flow <= capacity_; ++flow) {
    if (engine_->IsLive(flow)) CHECK(engine_->table().state(flow).deadline_ns > now_ns_);
  }
  Abandon(now_ns_);
}

void Checker::Abandon(uint64_t now_ns) {
  std::array<HeldFragment, 3> abandoned;
  for (uint32_t count; (count = engine_->Abandoned(now_ns, abandoned)) > 0;) {
    for (uint32_t i = 0; i < count; ++i) {
      CHECK(held_.erase(abandoned[i].number) == 1);
      Free(abandoned[i].frame);
    }
  }
}

void Checker::TakeEvents() {
  std::array<FlowEvent, 7> events;
  uint32_t missed = 0;
  for (uint32_t count; (count = engine_->TakeEvents(subscriber_, events, &missed)) > 0;) {
    for (uint32_t i = 0; i < count; ++i) {
      CHECK(events[i].flow != 0 && events[i].flow <= capacity_ && events[i].direction <= 1);
      CHECK((events[i].event & (events[i].event - 1)) == 0 && (events[i].event & 0xffff) != 0);
    }
  }
  CHECK(!engine_->HasEvents(subscriber_));
}

void Checker::Finish() {
  Flush();
  TakeEvents();
  CheckCounts();
  for (uint64_t next; (next = engine_->NextDeadline()) != UINT64_MAX;) {
    now_ns_ = std::max(now_ns_, next);
    Expire();
  }
  CheckFlows();
  CheckCounts();
  const FlowEngine::Counters& counters = engine_->counters();
  CHECK(engine_->table().size() == 0 && held_.empty() && free_.size() == kSlots);
  CHECK(counters.ended >= counters.started && counters.evicted <= counters.ended);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kConfigBytes = 6;
  if (size < kConfigBytes) return 0;
  Checker checker(data);
  for (size_t at = kConfigBytes; at + sizeof(FlowStep) <= size; at += sizeof(FlowStep)) {
    FlowStep step;
    std::memcpy(&step, data + at, sizeof(step));
    checker.Run(step);
  }
  checker.Finish();
  return 0;
}
