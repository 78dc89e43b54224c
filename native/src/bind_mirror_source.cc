// The shadow's end of a mirror as a JavaScript object (MirrorSource in runtime/dataplane/native-mirror.ts).
#include <utility>
#include <vector>

#include "bind_error.h"
#include "bind_mirror.h"
#include "mirror_port.h"
#include "mirror_source.h"

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
  for (uint32_t port = 0; port < reaches_host.Length(); ++port) {
    lane->AddPort(std::make_unique<MirrorPort>(lane->memory(), source, static_cast<uint8_t>(port),
                                               reaches_host.Get(port).ToBoolean().Value()));
  }
  return MakeSourceObject(env, open, source);
}

}  // namespace sluice
