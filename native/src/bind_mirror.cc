#include "bind_mirror.h"

#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "bind_error.h"
#include "bind_segment.h"

namespace sluice {
namespace {

using Holder = std::shared_ptr<Mirror>;

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

// What the object's functions share: null once it is closed.
using Open = std::shared_ptr<Holder>;

template <typename Function>
void Bind(Napi::Env env, Napi::Object object, const char* name, const Open& open, Function function) {
  Set(env, object, name, [open, name, function](const Napi::CallbackInfo& info) -> Napi::Value {
    if (*open) return function(info, **open);
    ThrowError(info.Env(), "internal", name, "the mirror is closed");
    return info.Env().Undefined();
  });
}

void BindCopy(Napi::Env env, Napi::Object object, const Open& open) {
  const auto want = [&](const char* name, Mirror::Phase phase) {
    Bind(env, object, name, open, [phase](const Napi::CallbackInfo& info, Mirror& mirror) {
      mirror.Want(phase);
      return info.Env().Undefined();
    });
  };
  Bind(env, object, "addParts", open, AddParts);
  Bind(env, object, "prepareCopy", open, PrepareCopy);
  want("open", Mirror::Phase::kOpen);
  want("wantNotes", Mirror::Phase::kNotesWanted);
  want("wantCopy", Mirror::Phase::kCopyWanted);
  Bind(env, object, "noting", open, [](const Napi::CallbackInfo& info, Mirror& mirror) -> Napi::Value {
    return Napi::Boolean::New(info.Env(), mirror.phase() == Mirror::Phase::kNoting);
  });
  Bind(env, object, "copied", open,
       [](const Napi::CallbackInfo& info, Mirror& mirror) { return DescribeCopy(info.Env(), mirror); });
}

Napi::Object MakeMirrorObject(Napi::Env env, const Holder& mirror, uint32_t id) {
  Napi::Object object = Napi::Object::New(env);
  const auto open = std::make_shared<Holder>(mirror);
  object.Set("id", id);
  BindCopy(env, object, open);
  Bind(env, object, "filled", open,
       [](const Napi::CallbackInfo& info, Mirror& mirror) { return Big(info.Env(), mirror.ring().filled()); });
  Bind(env, object, "missed", open,
       [](const Napi::CallbackInfo& info, Mirror& mirror) { return Big(info.Env(), mirror.missed()); });
  Bind(env, object, "missedOf", open, [](const Napi::CallbackInfo& info, Mirror& mirror) {
    return Big(info.Env(), mirror.missed_of(static_cast<uint8_t>(info[0].ToNumber().Uint32Value())));
  });
  Set(env, object, "close", [open](const Napi::CallbackInfo& info) -> Napi::Value {
    open->reset();
    return info.Env().Undefined();
  });
  return object;
}

Napi::Value CreateMirror(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Napi::Object options = info[0].ToObject();
  const auto number = [&](const char* key) { return options.Get(key).ToNumber().Int64Value(); };
  SystemError error;
  const Holder mirror =
      Mirror::Make(static_cast<uint64_t>(number("ringBytes")), static_cast<uint32_t>(number("slotBytes")),
                   static_cast<uint32_t>(number("flowCapacity")), options.Get("wholeFlows").ToBoolean(), &error);
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

// ---- a lane's mirrors ----

Napi::Value SetMirror(const Napi::CallbackInfo& info, const std::shared_ptr<OpenLane>& open) {
  const Napi::Env env = info.Env();
  const std::lock_guard lock(open->closing);
  const uint32_t place = info[1].ToNumber().Uint32Value();
  Holder mirror = info[0].IsNull() ? nullptr : Registry::Find(info[0]);
  if (!mirror && open->lane == nullptr) return env.Undefined();
  Lane* lane = LaneOf(env, *open);
  if (lane == nullptr) return env.Undefined();
  if ((!mirror && !info[0].IsNull()) || place >= layout::kMirrors) {
    ThrowError(env, "internal", "setMirror", "there is no such mirror, or place");
    return env.Undefined();
  }
  lane->SetMirror(place, std::move(mirror));
  return env.Undefined();
}

Napi::Value FreeMirror(const Napi::CallbackInfo& info, const std::shared_ptr<OpenLane>& open) {
  const std::lock_guard lock(open->closing);
  const uint32_t place = info[0].ToNumber().Uint32Value();
  if (open->lane && place < layout::kMirrors) open->lane->FreeMirror(place);
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

Napi::Value LinkAddresses(const Napi::CallbackInfo& info, const std::shared_ptr<OpenLane>& open) {
  const Napi::Env env = info.Env();
  const std::lock_guard lock(open->closing);
  Lane* lane = LaneOf(env, *open);
  if (lane == nullptr) return env.Undefined();
  Napi::Array list = Napi::Array::New(env);
  for (uint32_t port = 0; port < lane->ports(); ++port) {
    const MacAddress mac = lane->link_address(port);
    list.Set(port, Napi::Buffer<uint8_t>::Copy(env, mac.data(), mac.size()));
  }
  return list;
}

}  // namespace

std::shared_ptr<Mirror> FindMirror(const Napi::Value& id) { return Registry::Find(id); }

void BindLaneMirrors(Napi::Env env, Napi::Object object, const std::shared_ptr<OpenLane>& open) {
  const auto set = [&](const char* name,
                       Napi::Value (*function)(const Napi::CallbackInfo&, const std::shared_ptr<OpenLane>&)) {
    Set(env, object, name, [open, function](const Napi::CallbackInfo& info) { return function(info, open); });
  };
  set("setMirror", SetMirror);
  set("freeMirror", FreeMirror);
  set("reachesHost", ReachesHost);
  set("linkAddresses", LinkAddresses);
  set("follow", FollowMirror);
}

void BindMirrors(Napi::Env env, Napi::Object exports) {
  Set(env, exports, "createMirror", CreateMirror);
  Set(env, exports, "attachMirror", AttachMirror);
  Set(env, exports, "openTap", OpenTap);
}

}  // namespace sluice
