#include "bind_program.h"

#include <bit>

#include "bind_handover.h"
#include "bind_recording.h"
#include "bind_segment.h"

namespace sluice {
namespace {

uint32_t Unsigned(const Napi::Object& object, const char* key) { return object.Get(key).ToNumber().Uint32Value(); }

bool Flag(const Napi::Object& object, const char* key) { return object.Get(key).ToBoolean().Value(); }

Napi::Array List(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  return value.IsArray() ? value.As<Napi::Array>() : Napi::Array::New(object.Env());
}

// The counters [first, first + count) of a segment; null if they are not all in it.
uint64_t* Counters(const Segment& segment, uint32_t first, uint32_t count) {
  if ((static_cast<uint64_t>(first) + count) * sizeof(uint64_t) > segment.bytes()) return nullptr;
  return reinterpret_cast<uint64_t*>(segment.data()) + first;
}

template <typename T>
std::vector<T> Numbers(const Napi::Array& list) {
  std::vector<T> numbers;
  for (uint32_t i = 0; i < list.Length(); ++i) numbers.push_back(static_cast<T>(list.Get(i).ToNumber().Uint32Value()));
  return numbers;
}

std::vector<Prefix> Prefixes(const Napi::Array& list) {
  std::vector<Prefix> prefixes;
  for (uint32_t i = 0; i < list.Length(); ++i) {
    const auto object = list.Get(i).As<Napi::Object>();
    const auto address = object.Get("address").As<Napi::Uint8Array>();
    Prefix prefix{};
    const size_t bytes = std::min<size_t>(address.ByteLength(), prefix.address.size());
    std::copy_n(address.Data(), bytes, prefix.address.begin());
    prefix.version = bytes == 4 ? 4 : 6;
    prefix.length = static_cast<uint8_t>(std::min<uint32_t>(Unsigned(object, "prefixLength"), bytes * 8));
    prefixes.push_back(prefix);
  }
  return prefixes;
}

std::vector<PortRange> Ranges(const Napi::Array& list) {
  std::vector<PortRange> ranges;
  for (uint32_t i = 0; i < list.Length(); ++i) {
    const std::vector<uint16_t> ends = Numbers<uint16_t>(list.Get(i).As<Napi::Array>());
    if (ends.size() == 2) ranges.push_back({ends[0], ends[1]});
  }
  return ranges;
}

}  // namespace

std::vector<Prefix> ReadPrefixes(const Napi::Value& list) {
  return list.IsArray() ? Prefixes(list.As<Napi::Array>()) : std::vector<Prefix>();
}

std::vector<uint8_t> ReadPortNumbers(const Napi::Value& list) {
  return list.IsArray() ? Numbers<uint8_t>(list.As<Napi::Array>()) : std::vector<uint8_t>();
}

Match ReadMatch(const Napi::Object& object) {
  return {
      .sources = Prefixes(List(object, "sources")),
      .destinations = Prefixes(List(object, "destinations")),
      .source_ports = Ranges(List(object, "sourcePorts")),
      .destination_ports = Ranges(List(object, "destinationPorts")),
      .ip_protos = Numbers<uint8_t>(List(object, "ipProtos")),
      .vlans = Numbers<uint16_t>(List(object, "vlans")),
      .dscps = Numbers<uint8_t>(List(object, "dscps")),
      .ether_types = Numbers<uint16_t>(List(object, "etherTypes")),
      .labels = Unsigned(object, "labels"),
  };
}

namespace {

Target ReadTarget(const Napi::Value& value) { return value.ToNumber().Int32Value(); }

// Frames only ever move to a later hop, so a turn always ends.
bool Leads(Target target, int32_t from, uint32_t hops, uint32_t ports) {
  if (target == kConsume || target == kRoute) return true;
  return IsHop(target) ? target > from && target < static_cast<Target>(hops) : PortOf(target) < ports;
}

bool Sound(const Program& program, uint32_t ports) {
  const auto hops = static_cast<uint32_t>(program.hops.size());
  for (uint32_t i = 0; i < hops; ++i) {
    const Hop& hop = program.hops[i];
    const auto from = static_cast<int32_t>(i);
    if (hop.function >= program.functions.size() || hop.counters == nullptr || hop.calls == nullptr ||
        hop.reasons > abi::kReasonsCapacity)
      return false;
    if (!Leads(hop.next, from, hops, ports)) return false;
    for (const Target branch : hop.branches) {
      if (!Leads(branch, from, hops, ports)) return false;
    }
  }
  for (const Path& path : program.paths) {
    if (path.from >= ports || !Leads(path.first, -1, hops, ports)) return false;
  }
  return true;
}

Hop ReadHop(const Napi::Object& object, const Segment& counters) {
  Hop hop{};
  hop.function = Unsigned(object, "function");
  hop.next = ReadTarget(object.Get("next"));
  const Napi::Array branches = List(object, "branches");
  for (uint32_t i = 0; i < branches.Length(); ++i) hop.branches.push_back(ReadTarget(branches.Get(i)));
  hop.counters = Counters(counters, Unsigned(object, "counters"), layout::kHopCountersCount + abi::kReasonsCapacity);
  hop.calls = Counters(counters, Unsigned(object, "calls"), layout::kCallCounters);
  hop.reasons = Unsigned(object, "reasons");
  hop.bypass = Flag(object, "bypass");
  hop.writable = Flag(object, "writable");
  hop.quarantined = Flag(object, "quarantined");
  return hop;
}

// A part of a segment that a function and its lane exchange; null if there is none. False if it is not all there.
bool ReadPage(const Napi::Object& object, const char* key, uint32_t bytes, std::vector<std::shared_ptr<Segment>>* held,
              uint8_t** page) {
  *page = nullptr;
  const Napi::Value value = object.Get(key);
  if (!value.IsObject()) return true;
  const auto part = value.As<Napi::Object>();
  const auto segment = SegmentOf(part.Get("segment"));
  const uint64_t offset = Unsigned(part, "offset");
  if (!segment || offset + bytes > segment->bytes()) return false;
  held->push_back(segment);
  *page = segment->data() + offset;
  return true;
}

Side ReadSide(const Napi::Object& object) {
  const Napi::Value side = object.Get("side");
  if (!side.IsString()) return Side::kAny;
  return side.As<Napi::String>().Utf8Value() == "canary" ? Side::kCanary : Side::kStays;
}

bool ReadFunction(const Napi::Object& object, const Segment& counters, Program* program) {
  Function function;
  function.name = object.Get("name").ToString().Utf8Value();
  function.side = ReadSide(object);
  function.subscribes = Unsigned(object, "subscribes");
  function.defines = Unsigned(object, "defines");
  function.labels = Unsigned(object, "labels");
  function.counters = Counters(counters, Unsigned(object, "counters"), layout::kFunctionCountersCount);
  auto* held = &program->segments;
  const bool sound = function.counters != nullptr &&
                     ReadPage(object, "outbox", abi::kOutboxBytes, held, &function.outbox) &&
                     ReadPage(object, "chunks", abi::kChunksBytes, held, &function.chunks) &&
                     ReadPage(object, "events", abi::kEventsBytes, held, &function.events);
  program->functions.push_back(function);
  return sound;
}

Path ReadPath(const Napi::Object& object) {
  Path path{};
  path.from = Unsigned(object, "from");
  const Napi::Value match = object.Get("match");
  if (match.IsObject()) path.match = ReadMatch(match.As<Napi::Object>());
  path.first = ReadTarget(object.Get("first"));
  path.side = ReadSide(object);
  return path;
}

}  // namespace

namespace {

template <size_t N>
void ReadSeconds(const Napi::Object& timeouts, const char* key, std::array<uint32_t, N>* seconds) {
  const auto list = Numbers<uint32_t>(List(timeouts, key));
  std::copy_n(list.begin(), std::min(list.size(), N), seconds->begin());
}

TrackerConfig ReadTracker(const Napi::Object& flows) {
  TrackerConfig tracker{DefaultFlowTimeouts(), Flag(flows, "midstream"), Flag(flows, "liberal")};
  const Napi::Value value = flows.Get("timeouts");
  if (!value.IsObject()) return tracker;
  const auto timeouts = value.As<Napi::Object>();
  ReadSeconds(timeouts, "tcp", &tracker.timeouts.tcp);
  ReadSeconds(timeouts, "udp", &tracker.timeouts.udp);
  ReadSeconds(timeouts, "icmp", &tracker.timeouts.icmp);
  ReadSeconds(timeouts, "sctp", &tracker.timeouts.sctp);
  ReadSeconds(timeouts, "other", &tracker.timeouts.other);
  tracker.timeouts.tcp_unacknowledged = Unsigned(timeouts, "tcpUnacknowledged");
  tracker.timeouts.tcp_retransmissions = Unsigned(timeouts, "tcpRetransmissions");
  return tracker;
}

FragmentLimits ReadFragmentLimits(const Napi::Object& object) {
  return {.packets = Unsigned(object, "packets"),
          .fragments = Unsigned(object, "fragments"),
          .held = Unsigned(object, "held"),
          .held_per_packet = Unsigned(object, "heldPerPacket"),
          .timeout_ms = Unsigned(object, "timeoutMs")};
}

bool ReadColumns(const Napi::Array& list, uint32_t capacity, FlowProgram* program) {
  for (uint32_t i = 0; i < list.Length(); ++i) {
    const auto object = list.Get(i).As<Napi::Object>();
    const auto segment = SegmentOf(object.Get("segment"));
    const uint32_t bytes = Unsigned(object, "bytes");
    if (!segment || bytes == 0 || bytes > 8 || segment->bytes() < (capacity + 1ull) * bytes) return false;
    program->columns.push_back({segment->data(), bytes, Flag(object, "exported")});
    program->segments.push_back(segment);
  }
  return true;
}

// Its sides are a column, zeroed where a flow begins. True if there is none.
bool ReadCanary(const Napi::Value& value, uint32_t capacity, FlowProgram* program) {
  if (!value.IsObject()) return true;
  const auto object = value.As<Napi::Object>();
  const auto sides = SegmentOf(object.Get("sides"));
  if (!sides || sides->bytes() < capacity + 1ull) return false;
  std::optional<Match> match;
  if (object.Get("match").IsObject()) match = ReadMatch(object.Get("match").As<Napi::Object>());
  const auto threshold = static_cast<uint64_t>(object.Get("threshold").ToNumber().Int64Value());
  program->canary = std::make_shared<Canary>(threshold, std::move(match), sides);
  program->columns.push_back({sides->data(), 1, false});
  return true;
}

StreamLimits ReadStreamLimits(const Napi::Object& flows) {
  return {.flows = Unsigned(flows, "capacity"),
          .per_flow_bytes = Unsigned(flows, "streamBytesPerFlow"),
          .hold_ms = Unsigned(flows, "streamHoldMs"),
          .overlap = Flag(flows, "lastOverlapWins") ? OverlapPolicy::kLast : OverlapPolicy::kFirst};
}

bool ReadFlows(const Napi::Object& flows, LaneConfig* lane) {
  FlowEngineConfig config{};
  config.flows = SegmentOf(flows.Get("segment"));
  config.capacity = Unsigned(flows, "capacity");
  if (!config.flows || config.capacity == 0 || config.flows->bytes() < FlowTable::BytesFor(config.capacity)) {
    return false;
  }
  bool lossless;
  if (flows.Get("seed").IsBigInt()) config.seed = flows.Get("seed").As<Napi::BigInt>().Uint64Value(&lossless);
  config.fragments = ReadFragmentLimits(flows.Get("fragments").ToObject());
  config.stream_buffer = SegmentOf(flows.Get("streamBuffer"));
  config.streams = ReadStreamLimits(flows);
  config.keep_reports = Flag(flows, "keepReports");
  lane->flows = std::make_unique<FlowEngine>(std::move(config));
  return true;
}

bool ReadFlowProgram(const Napi::Object& flows, const FlowEngine& engine, Program* program) {
  program->flows.tracker = ReadTracker(flows);
  program->flows.zones = Numbers<uint16_t>(List(flows, "zones"));
  program->stream_buffer_address = Unsigned(flows, "streamBufferAddress");
  program->flows.stream_buffer = SegmentOf(flows.Get("streamBuffer"));
  if (program->flows.stream_buffer && !engine.has_streams()) {
    const Segment& buffer = *program->flows.stream_buffer;
    program->flows.streams = StreamTable::Make({buffer.data(), buffer.bytes()}, ReadStreamLimits(flows));
  }
  return ReadColumns(List(flows, "columns"), engine.table().capacity(), &program->flows) &&
         ReadCanary(flows.Get("canary"), engine.table().capacity(), &program->flows);
}

// What each function sees of flows.
bool ReadSight(const Napi::Array& functions, Program* program) {
  const std::vector<FlowColumn>& columns = program->flows.columns;
  for (uint32_t i = 0; i < program->functions.size(); ++i) {
    const auto object = functions.Get(i).As<Napi::Object>();
    Function& function = program->functions[i];
    function.reads_frames = Flag(object, "readsFrames");
    function.reads_flow = Flag(object, "readsFlow");
    function.recorder = RecorderOf(object.Get("recorder"));
    for (const uint32_t index : Numbers<uint32_t>(List(object, "columns"))) {
      if (index >= columns.size()) return false;
      function.seen.push_back({columns[index].data, columns[index].bytes});
    }
  }
  return true;
}

void ReadAnswers(const Napi::Array& by_port, const LaneConfig& config, Program* program) {
  bool answers = false;
  for (uint32_t port = 0; port < program->port_counters.size(); ++port) {
    const Napi::Value list = by_port.Get(port);
    program->answers.push_back(ReadPrefixes(list));
    answers = answers || !program->answers.back().empty();
  }
  const bool shared = config.handover && config.lane_count == 1;
  if (answers) program->hosts = shared ? config.handover->hosts() : std::make_shared<HostTable>();
}

// A queue of events for each function that takes them.
void AddSubscribers(Program* program) {
  for (Function& function : program->functions) {
    if (!function.events) continue;
    function.subscriber = static_cast<uint32_t>(program->flows.subscribers.size());
    program->flows.subscribers.push_back(FlowEngine::MakeSubscriber(function.name, function.subscribes, function.side));
  }
}

}  // namespace

std::optional<LaneConfig> ReadLaneConfig(const Napi::Object& options) {
  LaneConfig config{};
  config.umem = SegmentOf(options.Get("umem"));
  config.counters = SegmentOf(options.Get("counters"));
  if (!config.umem || !config.counters) return std::nullopt;
  config.slot_bytes = Unsigned(options, "slotBytes");
  config.frames_address = Unsigned(options, "framesAddress");
  config.batch_limit = Unsigned(options, "batchLimit");
  config.virtual_clock = Flag(options, "virtualClock");
  config.keep_outcomes = Flag(options, "keepOutcomes");
  config.keep_bad_results = Flag(options, "keepBadResults");
  if (options.Has("laneCount")) config.lane_count = Unsigned(options, "laneCount");
  if (options.Has("laneIndex")) config.lane_index = Unsigned(options, "laneIndex");
  if (options.Has("handover")) {
    config.handover = HandoverOf(options.Get("handover"));
    if (!config.handover || config.lane_index >= config.handover->lanes()) return std::nullopt;
  }
  config.lane_counters =
      Counters(*config.counters, Unsigned(options, "laneCounters"),
               layout::kLaneCountersCount + layout::kEngineDropReasonsCount + layout::kFlowCountersCount);
  config.lane_use = Counters(*config.counters, Unsigned(options, "laneUse"),
                             layout::kLaneUseCountersCount + layout::kCallSizeBuckets);
  if (options.Get("reports").IsObject()) {
    config.reports = ReportRing::Attach(SegmentOf(options.Get("reports")));
    if (!config.reports) return std::nullopt;
  }
  const bool sound = std::has_single_bit(config.slot_bytes) && config.slot_bytes > kHeadroomBytes &&
                     config.umem->bytes() % config.slot_bytes == 0 &&
                     config.umem->bytes() + config.frames_address <= abi::kMemoryBase && config.batch_limit >= 1 &&
                     config.batch_limit <= abi::kBatchCapacity && (config.handover || config.lane_count == 1) &&
                     config.lane_counters != nullptr && config.lane_use != nullptr;
  if (!sound) return std::nullopt;
  if (options.Get("flows").IsObject() && !ReadFlows(options.Get("flows").As<Napi::Object>(), &config)) {
    return std::nullopt;
  }
  return config;
}

std::shared_ptr<Program> ReadProgram(const Napi::Object& options, const LaneConfig& config) {
  auto made = std::make_shared<Program>();
  Program& program = *made;
  program.shared = SegmentOf(options.Get("shared"));
  if (!program.shared || program.shared->bytes() < layout::kSharedBytes) return nullptr;
  const Napi::Array functions = List(options, "functions");
  for (uint32_t i = 0; i < functions.Length(); ++i) {
    if (!ReadFunction(functions.Get(i).As<Napi::Object>(), *config.counters, &program)) return nullptr;
  }
  const Napi::Array hops = List(options, "hops");
  for (uint32_t i = 0; i < hops.Length(); ++i) {
    program.hops.push_back(ReadHop(hops.Get(i).As<Napi::Object>(), *config.counters));
  }
  const Napi::Array paths = List(options, "paths");
  for (uint32_t i = 0; i < paths.Length(); ++i) program.paths.push_back(ReadPath(paths.Get(i).As<Napi::Object>()));
  for (const uint32_t first : Numbers<uint32_t>(List(options, "portCounters"))) {
    program.port_counters.push_back(Counters(*config.counters, first, layout::kPortCountersCount));
    if (program.port_counters.back() == nullptr) return nullptr;
  }
  for (const uint32_t first : Numbers<uint32_t>(List(options, "portGauges"))) {
    program.port_gauges.push_back(Counters(*config.counters, first, layout::kPortGaugesCount));
    if (program.port_gauges.back() == nullptr) return nullptr;
  }
  if (program.port_gauges.size() != program.port_counters.size()) return nullptr;
  for (const uint32_t routed : Numbers<uint32_t>(List(options, "routedPorts")))
    program.routed_ports.push_back(routed != 0);
  ReadAnswers(List(options, "answers"), config, &program);
  program.report_names = Unsigned(options, "reportNames");
  if (!Sound(program, static_cast<uint32_t>(program.port_counters.size()))) return nullptr;
  if (config.flows && (!options.Get("flows").IsObject() ||
                       !ReadFlowProgram(options.Get("flows").ToObject(), *config.flows, &program))) {
    return nullptr;
  }
  if (!ReadSight(functions, &program)) return nullptr;
  AddSubscribers(&program);
  program.queues.resize(program.hops.size());
  return made;
}

}  // namespace sluice
