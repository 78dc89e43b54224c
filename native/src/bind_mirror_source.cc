// The shadow's end of a mirror as a JavaScript object (MirrorSource in runtime/dataplane/native-mirror.ts).
#include <algorithm>
#include <utility>
#include <vector>

#include "bind_error.h"
#include "bind_mirror.h"
#include "mirror_port.h"
#include "mirror_source.h"
#include "parser.h"

namespace sluice {
namespace {

using Source = std::shared_ptr<MirrorSource>;

Napi::Value Big(Napi::Env env, uint64_t value) { return Napi::Number::New(env, static_cast<double>(value)); }

template <typename Function>
void Set(Napi::Env env, Napi::Object object, const char* name, Function function) {
  object.Set(name, Napi::Function::New(env, function, name));
}

std::vector<uint16_t> ReadNumbers(const Napi::Value& value) {
  std::vector<uint16_t> numbers;
  if (!value.IsArray()) return numbers;
  const auto list = value.As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length(); ++i) {
    numbers.push_back(static_cast<uint16_t>(list.Get(i).ToNumber().Uint32Value()));
  }
  return numbers;
}

EndingNames ReadNames(const Napi::Object& object) {
  EndingNames names;
  names.functions = ReadNumbers(object.Get("functions"));
  names.engine_reasons = ReadNumbers(object.Get("engineReasons"));
  const auto reasons = object.Get("reasons").As<Napi::Array>();
  for (uint32_t i = 0; i < reasons.Length(); ++i) names.reasons.push_back(ReadNumbers(reasons.Get(i)));
  return names;
}

Napi::Value DescribeEnding(Napi::Env env, const Ending& ending) {
  const auto name = [&](uint16_t index) -> Napi::Value {
    return index == UINT16_MAX ? Napi::Number::New(env, -1) : Napi::Number::New(env, index);
  };
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", static_cast<uint32_t>(ending.kind));
  object.Set("to", static_cast<uint32_t>(ending.to));
  object.Set("function", name(ending.function));
  object.Set("reason", name(ending.reason));
  object.Set("detail", ending.detail);
  return object;
}

Napi::Value DescribeExample(Napi::Env env, const DifferenceExample& example) {
  const auto bytes = [&](const std::vector<uint8_t>& from) -> Napi::Value {
    if (from.empty()) return env.Null();
    return Napi::Buffer<uint8_t>::Copy(env, from.data(), from.size());
  };
  Napi::Object object = Napi::Object::New(env);
  object.Set("number", Big(env, example.number));
  object.Set("timeNs", Napi::BigInt::New(env, example.time_ns));
  object.Set("flow", example.flow);
  object.Set("received", bytes(example.received));
  object.Set("live", bytes(example.live_bytes));
  object.Set("next", bytes(example.next_bytes));
  return object;
}

Napi::Value DescribeGroups(Napi::Env env, const Differences& differences) {
  Napi::Array list = Napi::Array::New(env);
  for (const DifferenceGroup& group : differences.groups()) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("live", DescribeEnding(env, group.live));
    object.Set("next", DescribeEnding(env, group.next));
    object.Set("rewrite", static_cast<uint32_t>(group.rewrite));
    object.Set("count", Big(env, group.count));
    object.Set("flows", group.flow_count);
    Napi::Array examples = Napi::Array::New(env);
    for (const DifferenceExample& example : group.examples) {
      examples.Set(examples.Length(), DescribeExample(env, example));
    }
    object.Set("examples", examples);
    list.Set(list.Length(), object);
  }
  return list;
}

Napi::Value DescribeCounters(Napi::Env env, const MirrorSource& source) {
  const MirrorSource::Counters& counters = source.counters();
  Napi::Object object = Napi::Object::New(env);
  object.Set("frames", Big(env, counters.frames));
  object.Set("compared", Big(env, counters.compared));
  object.Set("skipped", Big(env, counters.skipped));
  object.Set("dropped", Big(env, counters.dropped));
  object.Set("badResults", Big(env, counters.faults));
  object.Set("differing", Big(env, source.differences().count()));
  object.Set("ungrouped", Big(env, source.differences().ungrouped()));
  return object;
}

// ---- for who watches ----

Napi::Value BytesOf(Napi::Env env, std::span<const uint8_t> bytes) {
  return Napi::Buffer<uint8_t>::Copy(env, bytes.data(), bytes.size());
}

Napi::Value DescribeOutcome(Napi::Env env, const MirroredTurn::Place& place) {
  if (!place.has_outcome) return env.Null();
  const MirroredOutcome& outcome = place.outcome;
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", static_cast<uint32_t>(outcome.kind));
  object.Set("to", static_cast<uint32_t>(outcome.to));
  object.Set("hop", static_cast<int32_t>(outcome.hop));
  object.Set("reason", static_cast<uint32_t>(outcome.reason));
  object.Set("byEngine", outcome.engine != 0);
  object.Set("detail", outcome.detail);
  const bool left = outcome.kind == layout::kOutcomeKindsForward;
  object.Set("bytes", left ? BytesOf(env, place.left()) : env.Null());
  return object;
}

// The flow that the shadow's lane has of a frame before it receives it.
uint32_t FlowBefore(Lane& lane, const MirroredTurn::Place& place) {
  if (lane.flows() == nullptr) return 0;
  Record record = {};
  record.length = place.frame.length;
  record.wire_length = place.frame.wire_length;
  record.port = place.frame.port;
  record.link = place.frame.link;
  ParseFrame(place.bytes, record);
  return lane.flows()->FlowOf(record, place.bytes);
}

Napi::Value DescribeWatched(Napi::Env env, Lane& lane, const MirrorSource& source, uint32_t index) {
  const MirroredTurn::Place& place = source.turn()[index];
  Napi::Object object = Napi::Object::New(env);
  object.Set("number", Big(env, source.NumberOf(index)));
  object.Set("liveNumber", Big(env, place.frame.number));
  object.Set("liveFlow", place.frame.flow);
  object.Set("flowBefore", FlowBefore(lane, place));
  object.Set("port", static_cast<uint32_t>(place.frame.port));
  object.Set("link", static_cast<uint32_t>(place.frame.link));
  object.Set("wireLength", place.frame.wire_length);
  object.Set("timeNs", Napi::BigInt::New(env, source.turn().clock_ns()));
  object.Set("received", BytesOf(env, {place.bytes, place.frame.length}));
  object.Set("live", DescribeOutcome(env, place));
  return object;
}

Napi::Value ListWatched(Napi::Env env, Lane& lane, const MirrorSource& source) {
  Napi::Array list = Napi::Array::New(env);
  for (uint32_t index = 0; index < source.turn().frames(); ++index) {
    if (source.Watches(index)) list.Set(list.Length(), DescribeWatched(env, lane, source, index));
  }
  return list;
}

Napi::Value HoldFrame(const Napi::CallbackInfo& info, Lane& lane, MirrorSource& source) {
  const auto bytes = info[1].As<Napi::Uint8Array>();
  bool lossless;
  const uint64_t time_ns = info[4].As<Napi::BigInt>().Uint64Value(&lossless);
  const MirroredFrame frame = {.number = 0,
                               .length = static_cast<uint32_t>(bytes.ByteLength()),
                               .wire_length = info[3].ToNumber().Uint32Value(),
                               .flow = 0,
                               .port = static_cast<uint8_t>(info[0].ToNumber().Uint32Value()),
                               .link = static_cast<uint8_t>(info[2].ToNumber().Uint32Value()),
                               .oversize = 0,
                               .begins = 0};
  const bool fits = source.Hold(lane, frame, {bytes.Data(), bytes.ByteLength()}, time_ns);
  return Napi::Boolean::New(info.Env(), fits);
}

void BindWatching(Napi::Env env, Napi::Object object, const std::shared_ptr<OpenLane>& open, const Source& source) {
  Set(env, object, "watch", [source](const Napi::CallbackInfo& info) -> Napi::Value {
    source->Watch(ReadFilter(info[0].ToObject()));
    return info.Env().Undefined();
  });
  Set(env, object, "watched", [open, source](const Napi::CallbackInfo& info) -> Napi::Value {
    Lane* lane = LaneOf(info.Env(), *open);
    return lane ? ListWatched(info.Env(), *lane, *source) : info.Env().Undefined();
  });
  Set(env, object, "recordOf", [open](const Napi::CallbackInfo& info) -> Napi::Value {
    Lane* lane = LaneOf(info.Env(), *open);
    if (lane == nullptr) return info.Env().Undefined();
    const auto number = static_cast<uint64_t>(info[0].ToNumber().Int64Value());
    return Napi::Number::New(info.Env(), lane->RecordOf(number));
  });
  Set(env, object, "hold", [open, source](const Napi::CallbackInfo& info) -> Napi::Value {
    Lane* lane = LaneOf(info.Env(), *open);
    return lane ? HoldFrame(info, *lane, *source) : info.Env().Undefined();
  });
}

Napi::Object MakeSourceObject(Napi::Env env, const std::shared_ptr<OpenLane>& open, const Source& source) {
  Napi::Object object = Napi::Object::New(env);
  Set(env, object, "fetch", [open, source](const Napi::CallbackInfo& info) -> Napi::Value {
    Lane* lane = LaneOf(info.Env(), *open);
    return lane ? Napi::Boolean::New(info.Env(), source->Fetch(*lane)).As<Napi::Value>() : info.Env().Undefined();
  });
  Set(env, object, "compare", [open, source](const Napi::CallbackInfo& info) -> Napi::Value {
    if (Lane* lane = LaneOf(info.Env(), *open)) source->Compare(*lane);
    return info.Env().Undefined();
  });
  Set(env, object, "counters",
      [source](const Napi::CallbackInfo& info) -> Napi::Value { return DescribeCounters(info.Env(), *source); });
  Set(env, object, "groups", [source](const Napi::CallbackInfo& info) -> Napi::Value {
    return DescribeGroups(info.Env(), source->differences());
  });
  BindWatching(env, object, open, source);
  return object;
}

}  // namespace

Napi::Value FollowMirror(const Napi::CallbackInfo& info, const std::shared_ptr<OpenLane>& open) {
  const Napi::Env env = info.Env();
  Lane* lane = LaneOf(env, *open);
  if (lane == nullptr) return env.Undefined();
  std::shared_ptr<Mirror> mirror = FindMirror(info[0]);
  if (!mirror || !info[1].IsObject()) {
    ThrowError(env, "internal", "follow", "expects a mirror's id, and names");
    return env.Undefined();
  }
  const auto options = info[1].As<Napi::Object>();
  const auto source = std::make_shared<MirrorSource>(std::move(mirror), ReadNames(options.Get("live").ToObject()),
                                                     ReadNames(options.Get("next").ToObject()),
                                                     options.Get("newFlowsOnly").ToBoolean().Value());
  const auto reaches_host = options.Get("reachesHost").As<Napi::Array>();
  const auto link_addresses = options.Get("linkAddresses").As<Napi::Array>();
  for (uint32_t port = 0; port < reaches_host.Length(); ++port) {
    MirrorPort::Facts facts{reaches_host.Get(port).ToBoolean().Value(), {}};
    const auto mac = link_addresses.Get(port).As<Napi::Uint8Array>();
    std::copy_n(mac.Data(), std::min(mac.ByteLength(), facts.link_address.size()), facts.link_address.begin());
    lane->AddPort(std::make_unique<MirrorPort>(lane->memory(), source, static_cast<uint8_t>(port), facts));
  }
  return MakeSourceObject(env, open, source);
}

}  // namespace sluice
