#include "bind_mirror.h"

#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "bind_error.h"
#include "bind_segment.h"
#include "mirror_port.h"
#include "mirror_source.h"

namespace sluice {
namespace {

using Holder = std::shared_ptr<Mirror>;
using Source = std::shared_ptr<MirrorSource>;

// All mirrors of the process that anybody holds, by id.
class Registry {
 public:
  static uint32_t Add(const Holder& mirror) {
    const std::lock_guard lock(mutex_);
    std::erase_if(mirrors_, [](const auto& each) { return each.second.expired(); });
    mirrors_[++last_] = mirror;
    return last_;
  }

  static Holder Find(const Napi::Value& id) {
    const std::lock_guard lock(mutex_);
    const auto found = id.IsNumber() ? mirrors_.find(id.As<Napi::Number>().Uint32Value()) : mirrors_.end();
    return found == mirrors_.end() ? nullptr : found->second.lock();
  }

 private:
  static inline std::mutex mutex_;
  static inline uint32_t last_ = 0;
  static inline std::map<uint32_t, std::weak_ptr<Mirror>> mirrors_;
};

Napi::Value Big(Napi::Env env, uint64_t value) { return Napi::Number::New(env, static_cast<double>(value)); }

template <typename Function>
void Set(Napi::Env env, Napi::Object object, const char* name, Function function) {
  object.Set(name, Napi::Function::New(env, function, name));
}

// ---- a mirror ----

// Notes what is to be copied: files of the lane's state, and zeros that become copies of them.
Napi::Value AddParts(const Napi::CallbackInfo& info, Mirror& mirror) {
  const Napi::Env env = info.Env();
  const Napi::Array parts = info[0].IsArray() ? info[0].As<Napi::Array>() : Napi::Array::New(env);
  SystemError error;
  for (uint32_t i = 0; i < parts.Length() && !error; ++i) {
    const auto part = parts.Get(i).ToObject();
    const std::string path = part.Get("path").ToString().Utf8Value();
    auto segment = SegmentOf(part.Get("segment"));
    if (!segment) {
      ThrowError(env, "internal", "addParts", "expects files and segments");
      return env.Undefined();
    }
    if (part.Get("isFlows").ToBoolean()) {
      mirror.SetFlows(FlowCopy::Open(path, std::move(segment), mirror.flow_capacity(), &error));
    } else {
      error = mirror.copy().Add(path, std::move(segment));
    }
  }
  if (error) ThrowSystemError(env, error);
  return env.Undefined();
}

Napi::Value PrepareCopy(const Napi::CallbackInfo& info, Mirror& mirror) {
  if (const int code = mirror.PrepareCopy(); code != 0) ThrowSystemError(info.Env(), {"pread", "state", code});
  return info.Env().Undefined();
}

Napi::Value DescribeCopy(Napi::Env env, Mirror& mirror) {
  const Mirror::Phase phase = mirror.phase();
  if (phase == Mirror::Phase::kFailed) {
    ThrowSystemError(env, {"pread", "state", mirror.copy_error()});
    return env.Undefined();
  }
  if (phase != Mirror::Phase::kOpen) return env.Null();
  Napi::Object object = Napi::Object::New(env);
  object.Set("bytes", Big(env, mirror.copied_bytes()));
  object.Set("pauseUs", Napi::Number::New(env, static_cast<double>(mirror.copy_ns()) / 1000));
  return object;
}

Napi::Object MakeMirrorObject(Napi::Env env, const Holder& mirror, uint32_t id) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("id", id);
  Set(env, object, "addParts",
      [mirror](const Napi::CallbackInfo& info) -> Napi::Value { return AddParts(info, *mirror); });
  Set(env, object, "prepareCopy",
      [mirror](const Napi::CallbackInfo& info) -> Napi::Value { return PrepareCopy(info, *mirror); });
  Set(env, object, "wantNotes", [mirror](const Napi::CallbackInfo& info) -> Napi::Value {
    mirror->Want(Mirror::Phase::kNotesWanted);
    return info.Env().Undefined();
  });
  Set(env, object, "noting", [mirror](const Napi::CallbackInfo& info) -> Napi::Value {
    return Napi::Boolean::New(info.Env(), mirror->phase() == Mirror::Phase::kNoting);
  });
  Set(env, object, "wantCopy", [mirror](const Napi::CallbackInfo& info) -> Napi::Value {
    mirror->Want(Mirror::Phase::kCopyWanted);
    return info.Env().Undefined();
  });
  Set(env, object, "copied",
      [mirror](const Napi::CallbackInfo& info) -> Napi::Value { return DescribeCopy(info.Env(), *mirror); });
  Set(env, object, "filled",
      [mirror](const Napi::CallbackInfo& info) -> Napi::Value { return Big(info.Env(), mirror->ring().filled()); });
  Set(env, object, "missed",
      [mirror](const Napi::CallbackInfo& info) -> Napi::Value { return Big(info.Env(), mirror->missed()); });
  return object;
}

Napi::Value CreateMirror(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Napi::Object options = info[0].ToObject();
  const auto number = [&](const char* key) { return options.Get(key).ToNumber().Int64Value(); };
  SystemError error;
  const Holder mirror =
      Mirror::Make(static_cast<uint64_t>(number("ringBytes")), static_cast<uint32_t>(number("slotBytes")),
                   static_cast<uint32_t>(number("flowCapacity")), &error);
  if (mirror) return MakeMirrorObject(env, mirror, Registry::Add(mirror));
  ThrowSystemError(env, error);
  return env.Undefined();
}

Napi::Value AttachMirror(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Holder mirror = Registry::Find(info[0]);
  if (mirror) return MakeMirrorObject(env, mirror, info[0].ToNumber().Uint32Value());
  ThrowError(env, "internal", "attachMirror", "there is no such mirror");
  return env.Undefined();
}

// ---- the shadow's end ----

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

Napi::Value Follow(const Napi::CallbackInfo& info, const std::shared_ptr<OpenLane>& open) {
  const Napi::Env env = info.Env();
  Lane* lane = LaneOf(env, *open);
  if (lane == nullptr) return env.Undefined();
  Holder mirror = Registry::Find(info[0]);
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

Napi::Value SetMirror(const Napi::CallbackInfo& info, const std::shared_ptr<OpenLane>& open) {
  const Napi::Env env = info.Env();
  const std::lock_guard lock(open->closing);
  Holder mirror = info[0].IsNull() ? nullptr : Registry::Find(info[0]);
  if (!mirror && open->lane == nullptr) return env.Undefined();
  Lane* lane = LaneOf(env, *open);
  if (lane == nullptr) return env.Undefined();
  if (!mirror && !info[0].IsNull()) {
    ThrowError(env, "internal", "setMirror", "there is no such mirror");
    return env.Undefined();
  }
  lane->SetMirror(std::move(mirror));
  return env.Undefined();
}

Napi::Value FreeMirror(const Napi::CallbackInfo& info, const std::shared_ptr<OpenLane>& open) {
  const std::lock_guard lock(open->closing);
  if (open->lane) open->lane->FreeMirror();
  return info.Env().Undefined();
}

Napi::Value ReachesHost(const Napi::CallbackInfo& info, const std::shared_ptr<OpenLane>& open) {
  const Napi::Env env = info.Env();
  const std::lock_guard lock(open->closing);
  Lane* lane = LaneOf(env, *open);
  if (lane == nullptr) return env.Undefined();
  Napi::Array list = Napi::Array::New(env);
  for (uint32_t port = 0; port < lane->ports(); ++port) list.Set(port, lane->reaches_host(port));
  return list;
}

}  // namespace

void BindLaneMirrors(Napi::Env env, Napi::Object object, const std::shared_ptr<OpenLane>& open) {
  const auto set = [&](const char* name,
                       Napi::Value (*function)(const Napi::CallbackInfo&, const std::shared_ptr<OpenLane>&)) {
    Set(env, object, name, [open, function](const Napi::CallbackInfo& info) { return function(info, open); });
  };
  set("setMirror", SetMirror);
  set("freeMirror", FreeMirror);
  set("reachesHost", ReachesHost);
  set("follow", Follow);
}

void BindMirrors(Napi::Env env, Napi::Object exports) {
  Set(env, exports, "createMirror", CreateMirror);
  Set(env, exports, "attachMirror", AttachMirror);
}

}  // namespace sluice
