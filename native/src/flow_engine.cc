#include "flow_engine.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "icmp_quote.h"
#include "lane_choice.h"
#include "parse_transport.h"

namespace sluice {
namespace {

constexpr uint32_t kEventQueue = 4096;
// Flows that end in one turn of a live lane at the most: some tens of microseconds.
constexpr uint32_t kExpireRoom = 64;
// How far ahead of its frame a flow's record is fetched.
constexpr uint32_t kFetchAhead = 8;

constexpr uint16_t kFragmentReasons[] = {
    0,
    layout::kEngineDropReasonsFragmentOverlap,
    layout::kEngineDropReasonsFragmentTiny,
    layout::kEngineDropReasonsFragmentTooLong,
    layout::kEngineDropReasonsFragmentTooMany,
    layout::kEngineDropReasonsFragmentTableFull,
    layout::kEngineDropReasonsFragmentIncomplete,
    layout::kEngineDropReasonsFragmentDuplicate,
    layout::kEngineDropReasonsFragmentMalformed,
};

// What a flow's end is called when its time is over.
uint8_t EndOf(const FlowState& state) {
  if (state.flags & abi::kFlowFlagClosing) return abi::kFlowEndFunction;
  if (state.ip_proto != 6) return abi::kFlowEndTimeout;
  if (state.state == abi::kFlowStateTimeWait || state.state == abi::kFlowStateLastAck) return abi::kFlowEndClosed;
  return state.state == abi::kFlowStateClosed ? abi::kFlowEndReset : abi::kFlowEndTimeout;
}

// The event that tells of an end; 0 if the tracker has told of it when it saw it.
uint32_t EventOfEnd(uint8_t end, const FlowState& state) {
  const bool told = state.state == abi::kFlowStateTimeWait || state.state == abi::kFlowStateClosed;
  switch (end) {
    case abi::kFlowEndTimeout:
      return abi::kEventTimeout;
    case abi::kFlowEndEvicted:
      return abi::kEventEvicted;
    case abi::kFlowEndFunction:
    case abi::kFlowEndReused:
      return told ? 0 : abi::kEventClosed;
    default:
      return 0;
  }
}

// What a translator makes of a protocol: ICMP is another one in each family.
uint8_t ProtoIn(uint8_t ip_version, uint8_t ip_proto) {
  if (ip_proto != kProtoIcmp && ip_proto != kProtoIcmpv6) return ip_proto;
  return ip_version == 6 ? kProtoIcmpv6 : kProtoIcmp;
}

}  // namespace

FlowEngine::FlowEngine(FlowEngineConfig config)
    : config_(std::move(config)),
      table_(FlowTable::Attach({config_.flows->data(), config_.flows->bytes()}, config_.capacity, config_.seed,
                               &recovery_)),
      timers_(FlowTimers::Make(config_.capacity, 0)),
      fragments_(FragmentTable::Make(config_.fragments, config_.seed)),
      serials_(std::make_unique<uint32_t[]>(config_.capacity + 1)) {
  MeasureReports();
  if (config_.stream_buffer) {
    streams_ = StreamTable::Make({config_.stream_buffer->data(), config_.stream_buffer->bytes()}, config_.streams);
  }
  AttachTimers();
}

void FlowEngine::MeasureReports() {
  uint32_t exported = 0;
  for (const FlowColumn& column : config_.columns) exported += column.exported;
  report_bytes_ = sizeof(FlowReport) + exported * sizeof(uint64_t);
}

void FlowEngine::Adopt(FlowProgram& program) {
  config_.tracker = program.tracker;
  config_.zones = program.zones;
  config_.columns = program.columns;
  config_.segments = program.segments;
  canary_ = program.canary;
  MeasureReports();
  if (!streams_ && program.streams) {
    streams_ = std::move(program.streams);
    config_.stream_buffer = program.stream_buffer;
  }
  if (subscribers_ == &program.subscribers) return;
  wanted_ = 0;
  for (FlowSubscriber& next : program.subscribers) {
    wanted_ |= next.mask;
    next.head = next.tail = 0;
    next.missed = 0;
    for (FlowSubscriber& before : *subscribers_) {
      if (before.name != next.name) continue;
      for (; before.tail != before.head; ++before.tail) {
        const FlowEvent& event = before.ring[before.tail % kEventQueue];
        if (Takes(next, event) && next.head - next.tail < kEventQueue) next.ring[next.head++ % kEventQueue] = event;
      }
      next.missed += std::exchange(before.missed, 0);
    }
  }
  subscribers_ = &program.subscribers;
}

// The flows of an earlier process go on where they were.
void FlowEngine::AttachTimers() {
  for (uint32_t flow = 1; flow <= table_->used() && table_->size() > 0; ++flow) {
    if (!table_->IsLive(flow)) continue;
    const FlowState& state = table_->state(flow);
    if (state.end != abi::kFlowEndNone) {  // the process died while it ended the flow
      table_->Remove(flow);
      continue;
    }
    serials_[flow] = ++serial_;
    timers_->Set(flow, state.deadline_ns);
    if ((state.flags & abi::kFlowFlagAssured) == 0) timers_->AddUnassured(flow);
  }
}

// ---- one batch ----

void FlowEngine::Track(std::span<Record> records, std::span<const HeldFragment> held, const uint8_t* umem,
                       uint32_t frames_address, uint64_t now_ns, std::span<Arrival> arrivals) {
  count_ = 0;
  table_changed_ = false;
  chunk_count_ = 0;
  if (held.empty() || held[0].frame.time_ns == 0) time_ns_ = now_ns;
  if (streams_) streams_->BeginBatch();
  const auto bytes_of = [&](const Record& record) { return umem + (record.frame - frames_address); };
  for (uint32_t i = 0; i < records.size(); ++i) {
    arrivals[i] = {Fate::kPass, 0};
    if (ReadKey(i, records[i], bytes_of(records[i]), held[i], now_ns, &arrivals[i])) ++count_;
  }
  table_->Find(keys_.data(), sides_.data(), count_, hits_.data());
  for (uint32_t position = 0; position < std::min(count_, kFetchAhead); ++position) Prefetch(position);
  uint32_t passed = 0;
  for (uint32_t position = 0; position < count_; ++position) {
    const uint16_t index = candidates_[position].record;
    if (position + kFetchAhead < count_) Prefetch(position + kFetchAhead);
    // Frames that have a time of their own are tracked by it, whatever batch they came in.
    while (passed <= index) PassTime(held[passed++].frame.time_ns);
    tracked_ = records.first(index);
    TrackOne(position, records[index], bytes_of(records[index]), time_ns_, &arrivals[index]);
    if (streams_) PushStream(records[index], index, bytes_of(records[index]), umem, time_ns_);
  }
  tracked_ = {};
  while (passed < held.size()) PassTime(held[passed++].frame.time_ns);
}

// A full table gives a number again at once: frames of the batch that belong to its last owner must not seem to be the
// next one's.
void FlowEngine::Disown(uint32_t flow) {
  for (Record& record : tracked_) {
    if (record.flow == flow) record.flow = 0;
  }
  for (Chunk& chunk : std::span(chunks_).first(chunk_count_)) {
    if (chunk.flow == flow) chunk.flow = 0;
  }
}

void FlowEngine::Prefetch(uint32_t position) const {
  const uint32_t flow = hits_[position].flow;
  table_->Prefetch(flow);
  timers_->Prefetch(flow);
  if (streams_) streams_->Prefetch(flow);
}

// Only frames that belong where they stand: what the tracker refuses is not part of anybody's stream.
void FlowEngine::PushStream(const Record& record, uint16_t index, const uint8_t* bytes, const uint8_t* umem,
                            uint64_t now_ns) {
  constexpr uint8_t kTcp = 6, kUdp = 17;
  const bool streams = record.ip_proto == kTcp || record.ip_proto == kUdp;
  const bool sound = record.malformed == 0 && record.l4_offset != abi::kOffsetNone;
  if (!streams || !sound || record.flow == 0 || (record.events & (abi::kEventInvalid | abi::kEventIcmpError))) return;
  chunk_count_ += streams_->Push(record.flow, record.direction, record, index, bytes,
                                 static_cast<uint32_t>(bytes - umem), now_ns, std::span(chunks_).subspan(chunk_count_));
}

uint32_t FlowEngine::FlowOf(const Record& record, const uint8_t* frame) const {
  const uint16_t zone = record.port < config_.zones.size() ? config_.zones[record.port] : 0;
  FlowKey key;
  uint8_t side;
  FlowHit hit;
  if (!ReadFlowKey(record, frame, zone, &key, &side)) return 0;
  table_->Find(&key, &side, 1, &hit);
  return hit.flow;
}

// The key of a frame that belongs to a flow; false if it does not, has to wait, or is dropped.
bool FlowEngine::ReadKey(uint32_t index, Record& record, const uint8_t* bytes, const HeldFragment& held,
                         uint64_t now_ns, Arrival* arrival) {
  Candidate& candidate = candidates_[count_];
  FlowKey& key = keys_[count_];
  const uint16_t zone = record.port < config_.zones.size() ? config_.zones[record.port] : 0;
  if (!ReadFlowKey(record, bytes, zone, &key, &candidate.side)) return false;
  candidate = {static_cast<uint16_t>(index), candidate.side, 0, false};
  if (record.flags & abi::kRecordFlagFragment) {
    const FragmentResult result = fragments_->Admit(record, bytes, zone, held, now_ns);
    if (result.verdict == FragmentVerdict::kHold) {
      ++counters_.fragments_held;
      *arrival = {Fate::kHeld, 0};
      return false;
    }
    if (result.verdict == FragmentVerdict::kDrop) {
      *arrival = {Fate::kDropped, kFragmentReasons[static_cast<int>(result.reason)]};
      return false;
    }
    Endpoints endpoints;
    std::memcpy(endpoints.source, key.address[candidate.side], sizeof(endpoints.source));
    std::memcpy(endpoints.destination, key.address[1 - candidate.side], sizeof(endpoints.destination));
    endpoints.source_port = result.source_port;
    endpoints.destination_port = result.destination_port;
    key = MakeFlowKey(endpoints, result.ip_proto, key.ip_version, key.zone, key.vlan, &candidate.side);
  }
  Endpoints quoted;
  uint8_t ip_proto;
  uint8_t ip_version;
  if (ReadQuotedPacket(record, bytes, &quoted, &ip_proto, &ip_version)) {
    candidate.quotes = true;
    quotes_[count_] = MakeFlowKey(quoted, ip_proto, ip_version, key.zone, key.vlan, &candidate.quoted_side);
    // Errors about different hosts may be of different lanes: each lane has a flow of its own for them.
    if ((record.flags & abi::kRecordFlagFragment) == 0) {
      key.quoted = lanes_.spread.NumberOf(quotes_[count_]);
    }
  }
  sides_[count_] = candidate.side;
  return true;
}

void FlowEngine::TrackOne(uint32_t position, Record& record, const uint8_t* bytes, uint64_t now_ns, Arrival* arrival) {
  const Candidate& candidate = candidates_[position];
  FlowHit hit = Settle(keys_[position], candidate.side, hits_[position], now_ns);
  if (hit.flow == 0) hit = Begin(keys_[position], candidate.side, now_ns);
  if (hit.flow == 0) {
    ++counters_.refused;
    *arrival = {Fate::kDropped, layout::kEngineDropReasonsFlowTableFull};
    return;
  }
  TrackResult result = TrackFrame(table_->state(hit.flow), hit.direction, record, bytes, now_ns, config_.tracker,
                                  table_->shifts(hit.flow));
  if (result.reuse) {
    const TcpTrack successor = TrackOfSuccessor(table_->state(hit.flow));
    End(hit.flow, abi::kFlowEndReused, now_ns);
    hit = Begin(keys_[position], candidate.side, now_ns);
    table_->state(hit.flow).tcp = successor;
    result = TrackFrame(table_->state(hit.flow), hit.direction, record, bytes, now_ns, config_.tracker);
  }
  FlowState& state = table_->state(hit.flow);
  if (state.state == abi::kFlowStateNone) state.state = abi::kFlowStateNew;  // its header was damaged
  Account(hit.flow, hit.direction, record, now_ns);
  Schedule(hit.flow, result.deadline_ns);
  record.flow = hit.flow;
  record.direction = hit.direction;
  record.events = result.events;
  record.labels = state.labels;
  if (result.events & abi::kEventInvalid) ++counters_.invalid;
  if (canary_) canary_->Decide(hit.flow, *table_->KeyOf(hit.flow, 0), hit.direction, record, bytes);
  Tell(hit.flow, hit.direction, result.events, now_ns);
  if (candidate.quotes) RelateError(position, record, now_ns);
}

// A batched lookup is of the table before the batch: looks again where frames before this one changed it, and ends a
// flow whose time was over before the frame came.
FlowHit FlowEngine::Settle(const FlowKey& key, uint8_t side, FlowHit hit, uint64_t now_ns) {
  if (table_changed_) table_->Find(&key, &side, 1, &hit);
  if (hit.flow != 0 && table_->state(hit.flow).deadline_ns <= now_ns) {
    End(hit.flow, EndOf(table_->state(hit.flow)), table_->state(hit.flow).deadline_ns);
    hit = {};
  }
  return hit;
}

FlowHit FlowEngine::Begin(const FlowKey& key, uint8_t side, uint64_t now_ns) {
  uint32_t flow = table_->Insert(key, side);
  if (flow == 0) {
    const uint32_t oldest = timers_->OldestUnassured();
    if (oldest == 0) return {};
    ++counters_.evicted;
    End(oldest, abi::kFlowEndEvicted, now_ns);
    flow = table_->Insert(key, side);
  }
  if (flow == 0) return {};
  table_changed_ = true;
  FlowState& state = table_->state(flow);
  state.start_ns = now_ns;
  if (!expected_.empty() && expected_.Take(key, side, now_ns)) state.flags |= abi::kFlowFlagRelated;
  serials_[flow] = ++serial_;
  for (const FlowColumn& column : config_.columns) {
    std::memset(column.data + static_cast<uint64_t>(flow) * column.bytes, 0, column.bytes);
  }
  timers_->AddUnassured(flow);
  ++counters_.started;
  return {flow, 0, 0};
}

void FlowEngine::Account(uint32_t flow, uint8_t direction, const Record& record, uint64_t now_ns) {
  FlowState& state = table_->state(flow);
  state.packets[direction] += 1;
  state.octets[direction] += record.wire_length;
  state.last_ns = now_ns;
  uint8_t& entered = table_->PortsOf(flow).entered[direction];
  // It hardly ever differs, and other threads read these bytes.
  if (entered != record.port + 1) entered = record.port + 1;
  if (state.flags & abi::kFlowFlagAssured) timers_->RemoveUnassured(flow);
}

void FlowEngine::NoteLeft(uint32_t flow, uint32_t port) {
  if (table_->IsLive(flow)) table_->PortsOf(flow).left = static_cast<uint8_t>(port + 1);
}

void FlowEngine::Schedule(uint32_t flow, uint64_t deadline_ns) {
  table_->state(flow).deadline_ns = deadline_ns;
  timers_->Set(flow, deadline_ns);
  Touch(flow);
}

// An ICMP error counts for its own flow, and is told of to the functions as one about the flow that it quotes.
void FlowEngine::RelateError(uint32_t position, Record& record, uint64_t now_ns) {
  const uint8_t side = candidates_[position].quoted_side;
  FlowHit hit;
  table_->Find(&quotes_[position], &side, 1, &hit);
  if (hit.flow == 0) return;
  ++counters_.icmp_errors;
  record.flow = hit.flow;
  record.direction = hit.direction ^ 1;
  record.events = abi::kEventIcmpError;
  record.labels = table_->state(hit.flow).labels;
  Tell(hit.flow, record.direction, abi::kEventIcmpError, now_ns);
}

// ---- ends ----

void FlowEngine::Expire(uint64_t now_ns, bool all) {
  std::array<uint32_t, kExpireRoom> flows;
  do {
    const uint32_t count = timers_->Expired(now_ns, flows.data(), flows.size());
    for (uint32_t i = 0; i < count; ++i) {
      const FlowState& state = table_->state(flows[i]);
      End(flows[i], EndOf(state), state.deadline_ns);
    }
  } while (all && timers_->Next() <= now_ns);
}

uint64_t FlowEngine::NextDeadline() const { return std::min(timers_->Next(), fragments_->Next()); }

void FlowEngine::EndAll(uint64_t now_ns) {
  for (uint32_t flow = 1; flow <= table_->used() && table_->size() > 0; ++flow) {
    if (table_->IsLive(flow)) End(flow, abi::kFlowEndShutdown, now_ns);
  }
}

void FlowEngine::End(uint32_t flow, uint8_t reason, uint64_t now_ns) {
  FlowState& state = table_->state(flow);
  state.end = reason;
  Tell(flow, 0, EventOfEnd(reason, state), now_ns);
  if (config_.keep_reports || report_ring_ != nullptr) Report(flow, now_ns);
  if (streams_) streams_->End(flow, {});
  timers_->Clear(flow);
  timers_->RemoveUnassured(flow);
  if (lanes_.detours != nullptr) RemoveDetour(flow);
  table_->Remove(flow);
  Touch(flow);
  if (!tracked_.empty()) Disown(flow);
  table_changed_ = true;
  ++counters_.ended;
}

void FlowEngine::Report(uint32_t flow, uint64_t now_ns) {
  if (config_.keep_reports) {
    const size_t at = reports_.size();
    reports_.resize(at + report_bytes_);
    WriteReport(flow, now_ns, reports_.data() + at);
  }
  if (report_ring_ == nullptr) return;
  WriteReport(flow, now_ns, report_ring_->Begin(layout::kReportKindsFlow, flow, serials_[flow], report_bytes_));
  report_ring_->End();
}

void FlowEngine::ReportTo(ReportRing* ring) {
  report_ring_ = ring;
  const uint32_t before = ring->serial();
  serial_ += before;
  for (uint32_t flow = 1; flow <= table_->used(); ++flow) {
    if (serials_[flow] != 0) serials_[flow] += before;
  }
}

void FlowEngine::Describe(uint32_t flow, uint64_t now_ns, uint8_t* to) const {
  auto* report = reinterpret_cast<FlowReport*>(to);
  const FlowKey* second = table_->KeyOf(flow, 1);
  const FlowPorts& ports = table_->PortsOf(flow);
  *report = {.serial = serials_[flow],
             .reply = static_cast<uint8_t>(second ? 1u + (table_->SideOf(flow, 1) ^ 1) : 0),
             .entered = {ports.entered[0], ports.entered[1]},
             .left = ports.left,
             .time_ns = now_ns,
             .keys = {*table_->KeyOf(flow, 0), second ? *second : FlowKey{}},
             .state = table_->state(flow)};
}

void FlowEngine::WriteReport(uint32_t flow, uint64_t now_ns, uint8_t* to) const {
  Describe(flow, now_ns, to);
  uint8_t* values = to + sizeof(FlowReport);
  for (const FlowColumn& column : config_.columns) {
    if (!column.exported) continue;
    std::memset(values, 0, sizeof(uint64_t));
    std::memcpy(values, column.data + static_cast<uint64_t>(flow) * column.bytes, column.bytes);
    values += sizeof(uint64_t);
  }
}

// ---- events ----

void FlowEngine::Tell(uint32_t flow, uint8_t direction, uint32_t events, uint64_t now_ns) {
  for (uint32_t rest = events & wanted_; rest != 0; rest &= rest - 1) {
    Raise({now_ns, flow, rest & (~rest + 1), 0, direction});
  }
}

FlowSubscriber FlowEngine::MakeSubscriber(std::string name, uint32_t mask, Side side) {
  FlowSubscriber subscriber;
  subscriber.side = side;
  subscriber.name = std::move(name);
  subscriber.mask = mask;
  subscriber.ring = std::make_unique<FlowEvent[]>(kEventQueue);
  return subscriber;
}

uint32_t FlowEngine::Subscribe(uint32_t mask) {
  subscribers_->push_back(MakeSubscriber("", mask));
  wanted_ |= mask;
  return static_cast<uint32_t>(subscribers_->size() - 1);
}

bool FlowEngine::Takes(const FlowSubscriber& subscriber, const FlowEvent& event) const {
  if ((subscriber.mask & event.event) == 0) return false;
  return subscriber.side == Side::kAny || subscriber.side == SideOf(event.flow);
}

void FlowEngine::Raise(const FlowEvent& event) {
  for (FlowSubscriber& subscriber : *subscribers_) {
    if (!Takes(subscriber, event)) continue;
    if (subscriber.head - subscriber.tail == kEventQueue) {
      ++subscriber.missed;
      ++counters_.events_missed;
    } else {
      subscriber.ring[subscriber.head++ % kEventQueue] = event;
    }
  }
}

bool FlowEngine::HasEvents(uint32_t subscriber) const {
  const FlowSubscriber& each = (*subscribers_)[subscriber];
  return each.head != each.tail;
}

uint32_t FlowEngine::TakeEvents(uint32_t index, std::span<FlowEvent> events, uint32_t* missed) {
  FlowSubscriber& subscriber = (*subscribers_)[index];
  uint32_t count = 0;
  while (count < events.size() && subscriber.tail != subscriber.head) {
    events[count++] = subscriber.ring[subscriber.tail++ % kEventQueue];
  }
  *missed = std::exchange(subscriber.missed, 0);
  return count;
}

// ---- what functions ask for ----

bool FlowEngine::Bind(uint32_t flow, const Endpoints& reply, uint8_t ip_version) {
  if (!IsLive(flow)) return false;
  const FlowKey& first = *table_->KeyOf(flow, 0);
  const uint8_t version = ip_version == 0 ? first.ip_version : ip_version;
  uint8_t side;
  const FlowKey key = MakeFlowKey(reply, ProtoIn(version, first.ip_proto), version, first.zone, first.vlan, &side);
  if (lanes_.detours != nullptr) RemoveDetour(flow);
  const bool bound = table_->Bind(flow, key, side);
  if (lanes_.detours != nullptr) KeepDetour(flow);
  Touch(flow);
  return bound;
}

bool FlowEngine::Shift(uint32_t flow, uint8_t direction, uint32_t shift) {
  if (!IsLive(flow) || direction > 1 || table_->state(flow).ip_proto != 6) return false;
  table_->Shift(flow, direction, shift);
  Touch(flow);
  return true;
}

bool FlowEngine::Expect(uint32_t flow, uint8_t ip_proto, const Endpoints& first, uint32_t within_ms, uint64_t now_ns) {
  if (!IsLive(flow)) return false;
  const FlowKey& key = *table_->KeyOf(flow, 0);
  const uint64_t deadline_ns = now_ns + static_cast<uint64_t>(within_ms) * 1'000'000;
  return expected_.Add({first, key.zone, key.vlan, ip_proto, key.ip_version, deadline_ns}, now_ns);
}

void FlowEngine::ShareLanes(const FlowLanes& lanes) {
  lanes_ = lanes;
  for (uint32_t flow = 1; flow <= table_->used() && table_->size() > 0; ++flow) {
    if (table_->IsLive(flow)) KeepDetour(flow);
  }
}

uint32_t FlowEngine::moved_bytes() const {
  auto bytes = static_cast<uint32_t>(sizeof(MovedFlow));
  for (const FlowColumn& column : config_.columns) bytes += column.bytes;
  return bytes;
}

void FlowEngine::TakeOut(uint32_t flow, uint8_t* to) {
  MovedFlow moved{};
  const FlowKey* second = table_->KeyOf(flow, 1);
  moved.keys[0] = *table_->KeyOf(flow, 0);
  moved.sides[0] = table_->SideOf(flow, 0);
  if (second != nullptr) {
    moved.keys[1] = *second;
    moved.sides[1] = table_->SideOf(flow, 1);
    moved.has_second = 1;
  }
  moved.state = table_->state(flow);
  moved.shifts = table_->shifts(flow);
  std::memcpy(to, &moved, sizeof(moved));
  to += sizeof(moved);
  for (const FlowColumn& column : config_.columns) {
    std::memcpy(to, column.data + static_cast<uint64_t>(flow) * column.bytes, column.bytes);
    to += column.bytes;
  }
  if (streams_) streams_->End(flow, {});
  timers_->Clear(flow);
  timers_->RemoveUnassured(flow);
  if (lanes_.detours != nullptr) RemoveDetour(flow);
  table_->Remove(flow);
  Touch(flow);
  ++counters_.moved;
}

void FlowEngine::PutIn(const uint8_t* from, uint64_t now_ns) {
  MovedFlow moved;
  std::memcpy(&moved, from, sizeof(moved));
  from += sizeof(moved);
  FlowHit hit;
  table_->Find(moved.keys, moved.sides, 1, &hit);
  if (hit.flow == 0) {
    hit = Begin(moved.keys[0], moved.sides[0], now_ns);
    if (hit.flow == 0) {
      ++counters_.moved_lost;
      return;
    }
    --counters_.started;
  }
  const uint32_t flow = hit.flow;
  // Whatever Insert knows of the flow is in its state, and the same there.
  table_->state(flow) = moved.state;
  if (moved.state.flags & abi::kFlowFlagShifted) {
    for (const uint8_t direction : {0, 1}) table_->Shift(flow, direction, moved.shifts.of[direction]);
  }
  for (const FlowColumn& column : config_.columns) {
    std::memcpy(column.data + static_cast<uint64_t>(flow) * column.bytes, from, column.bytes);
    from += column.bytes;
  }
  if (moved.has_second) {
    if (lanes_.detours != nullptr) RemoveDetour(flow);
    table_->Bind(flow, moved.keys[1], moved.sides[1]);
    if (lanes_.detours != nullptr) KeepDetour(flow);
  }
  if (moved.state.flags & abi::kFlowFlagAssured) timers_->RemoveUnassured(flow);
  timers_->Set(flow, moved.state.deadline_ns);
  Touch(flow);
}

// Its second key comes here, whatever the spread is now.
void FlowEngine::KeepDetour(uint32_t flow) {
  const FlowKey* second = table_->KeyOf(flow, 1);
  if (second == nullptr) return;
  const bool is_known = lanes_.detours->Find(*second) == static_cast<int32_t>(lanes_.lane);
  if (is_known == IsElsewhere(*second)) return;
  lanes_.detours->Remove(*second, lanes_.lane);
  if (!is_known) lanes_.detours->Add(*second, lanes_.lane);
}

// Without a detour the key would be another lane's.
bool FlowEngine::IsElsewhere(const FlowKey& key) const { return lanes_.spread.LaneOf(key) != lanes_.lane; }

bool FlowEngine::ReleaseAstray() {
  const uint64_t notes = lanes_.detours->notes();
  if (!fragments_->looks()) {
    if (notes == notes_seen_) return false;
    notes_seen_ = notes;
    fragments_->LookAgain();
  }
  return fragments_->Leave(*lanes_.detours, lanes_.lane);
}

void FlowEngine::RemoveDetour(uint32_t flow) {
  const FlowKey* second = table_->KeyOf(flow, 1);
  if (second != nullptr) lanes_.detours->Remove(*second, lanes_.lane);
}

bool FlowEngine::SetTimeout(uint32_t flow, uint32_t timeout_ms) {
  if (!IsLive(flow)) return false;
  FlowState& state = table_->state(flow);
  state.timeout_ms = timeout_ms;
  Touch(flow);
  if (timeout_ms != 0) Schedule(flow, state.last_ns + static_cast<uint64_t>(timeout_ms) * 1'000'000);
  return true;
}

bool FlowEngine::SetLabels(uint32_t flow, uint32_t labels, bool set) {
  if (!IsLive(flow)) return false;
  uint32_t& bits = table_->state(flow).labels;
  bits = set ? bits | labels : bits & ~labels;
  Touch(flow);
  return true;
}

bool FlowEngine::Close(uint32_t flow, uint64_t now_ns) {
  if (!IsLive(flow)) return false;
  table_->state(flow).flags |= abi::kFlowFlagClosing;
  Schedule(flow, now_ns);
  return true;
}

}  // namespace sluice
