#include "bind_lane.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <mutex>
#include <optional>

#include "bind_error.h"
#include "bind_mirror.h"
#include "bind_program.h"
#include "bind_recording.h"
#include "bind_routes.h"
#include "bind_segment.h"
#include "tick_clock.h"

namespace sluice {
namespace {

using Shared = std::shared_ptr<OpenLane>;

// The functions of the loop are raw N-API: a third of the cost of the wrapper's, paid several times a turn.
Lane* Called(napi_env env, napi_callback_info info, uint32_t* hop) {
  size_t count = 1;
  napi_value argument;
  void* data;
  napi_get_cb_info(env, info, &count, &argument, nullptr, &data);
  const Shared& open = *static_cast<Shared*>(data);
  if (!open->lane) {
    napi_throw_error(env, "internal", "the lane is closed");
    return nullptr;
  }
  if (hop == nullptr) return open->lane.get();
  if (napi_get_value_uint32(env, argument, hop) != napi_ok || *hop >= open->lane->hops()) {
    napi_throw_range_error(env, "internal", "no such hop");
    return nullptr;
  }
  return open->lane.get();
}

napi_value Number(napi_env env, int32_t value) {
  napi_value number;
  napi_create_int32(env, value, &number);
  return number;
}

napi_value Inhale(napi_env env, napi_callback_info info) {
  Lane* lane = Called(env, info, nullptr);
  return lane ? Number(env, lane->Inhale()) : nullptr;
}

napi_value Advance(napi_env env, napi_callback_info info) {
  uint32_t hop;
  Lane* lane = Called(env, info, &hop);
  return lane ? Number(env, lane->Advance(hop)) : nullptr;
}

napi_value Fault(napi_env env, napi_callback_info info) {
  uint32_t hop;
  Lane* lane = Called(env, info, &hop);
  return lane ? Number(env, lane->Fault(hop)) : nullptr;
}

napi_value Exhale(napi_env env, napi_callback_info info) {
  Lane* lane = Called(env, info, nullptr);
  return lane ? Number(env, static_cast<int32_t>(lane->Exhale())) : nullptr;
}

void SetRaw(Napi::Env env, Napi::Object object, const char* name, napi_callback callback, const Shared& open) {
  auto* data = new Shared(open);
  napi_value function;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, data, &function);
  napi_add_finalizer(
      env, function, data, [](napi_env, void* held, void*) { delete static_cast<Shared*>(held); }, nullptr, nullptr);
  object.Set(name, Napi::Value(env, function));
}

template <typename Function>
void Set(Napi::Env env, Napi::Object object, const char* name, const Shared& open, Function function) {
  object.Set(name, Napi::Function::New(
                       env,
                       [open, function](const Napi::CallbackInfo& info) -> Napi::Value {
                         Lane* lane = LaneOf(info.Env(), *open);
                         return lane ? function(info, *lane) : info.Env().Undefined();
                       },
                       name));
}

// For what other threads than the lane's own may call.
template <typename Function>
void SetForAll(Napi::Env env, Napi::Object object, const char* name, const Shared& open, Function function) {
  object.Set(name, Napi::Function::New(
                       env,
                       [open, function](const Napi::CallbackInfo& info) -> Napi::Value {
                         const std::lock_guard lock(open->closing);
                         Lane* lane = LaneOf(info.Env(), *open);
                         return lane ? function(info, *lane) : info.Env().Undefined();
                       },
                       name));
}

template <typename Function>
void SetGetter(Napi::Env env, Napi::Object object, const char* name, const Shared& open, Function function) {
  object.DefineProperty(Napi::PropertyDescriptor::Accessor(
      env, object, name,
      [open, function](const Napi::CallbackInfo& info) -> Napi::Value {
        Lane* lane = LaneOf(info.Env(), *open);
        return lane ? function(info.Env(), *lane) : info.Env().Undefined();
      },
      napi_enumerable));
}

Napi::Value DescribeAudit(Napi::Env env, const FramePool& pool) {
  const FramePool::Audit audit = pool.Count();
  const auto owned = [&](SlotOwner owner) { return audit.owned[static_cast<int>(owner)]; };
  Napi::Object object = Napi::Object::New(env);
  object.Set("slots", pool.slots());
  object.Set("free", owned(SlotOwner::kFree));
  object.Set("fill", owned(SlotOwner::kFill));
  object.Set("lane", owned(SlotOwner::kLane));
  object.Set("transmit", owned(SlotOwner::kTransmit));
  object.Set("doubleFrees", static_cast<double>(pool.double_frees()));
  object.Set("intact", audit.stack_agrees && pool.double_frees() == 0 && owned(SlotOwner::kLane) == 0);
  return object;
}

Napi::Value Outcomes(Napi::Env env, Lane& lane) {
  auto* held = new std::shared_ptr<std::vector<Outcome>>(lane.outcomes());
  return Napi::ArrayBuffer::New(
      env, (*held)->data(), (*held)->size() * sizeof(Outcome),
      [](Napi::Env, void*, std::shared_ptr<std::vector<Outcome>>* owned) { delete owned; }, held);
}

Napi::Value SetReasons(const Napi::CallbackInfo& info, Lane& lane) {
  const uint32_t hop = info[0].ToNumber().Uint32Value();
  const uint32_t reasons = info[1].ToNumber().Uint32Value();
  if (hop >= lane.hops() || reasons > abi::kReasonsCapacity) {
    ThrowError(info.Env(), "internal", "setReasons", "no such hop, or too many reasons");
  } else {
    lane.hop(hop).reasons = reasons;
  }
  return info.Env().Undefined();
}

// A copy, so that the lane may go on; null if there is nothing.
Napi::Value TakeBytes(Napi::Env env, const std::vector<uint8_t>& bytes) {
  if (bytes.empty()) return env.Null();
  Napi::ArrayBuffer copy = Napi::ArrayBuffer::New(env, bytes.size());
  std::copy(bytes.begin(), bytes.end(), static_cast<uint8_t*>(copy.Data()));
  return copy;
}

void SetFlowFunctions(Napi::Env env, Napi::Object object, const Shared& open) {
  const auto function_of = [](const Napi::CallbackInfo& info, Lane& lane) {
    return std::min(info[0].ToNumber().Uint32Value(), lane.functions() - 1);
  };
  Set(env, object, "fillEvents", open, [function_of](const Napi::CallbackInfo& info, Lane& lane) -> Napi::Value {
    return Napi::Boolean::New(info.Env(), lane.functions() > 0 && lane.FillEvents(function_of(info, lane)));
  });
  Set(env, object, "drainEvents", open, [function_of](const Napi::CallbackInfo& info, Lane& lane) -> Napi::Value {
    if (lane.functions() > 0) lane.DrainEvents(function_of(info, lane));
    return info.Env().Undefined();
  });
  Set(env, object, "runOut", open, [](const Napi::CallbackInfo& info, Lane& lane) -> Napi::Value {
    return Napi::Boolean::New(info.Env(), lane.RunOut());
  });
  Set(env, object, "endFlows", open, [](const Napi::CallbackInfo& info, Lane& lane) -> Napi::Value {
    lane.EndFlows();
    return info.Env().Undefined();
  });
  Set(env, object, "takeLog", open, [](const Napi::CallbackInfo& info, Lane& lane) -> Napi::Value {
    const Napi::Value bytes = TakeBytes(info.Env(), lane.log());
    lane.ClearLog();
    return bytes;
  });
  Set(env, object, "flowRecovery", open, [](const Napi::CallbackInfo& info, Lane& lane) -> Napi::Value {
    if (lane.flows() == nullptr) return info.Env().Null();
    const FlowRecovery& recovery = lane.flows()->recovery();
    Napi::Object object = Napi::Object::New(info.Env());
    object.Set("fresh", recovery.fresh);
    object.Set("kept", recovery.kept);
    object.Set("dropped", recovery.dropped);
    return object;
  });
  Set(env, object, "takeFlowReports", open, [](const Napi::CallbackInfo& info, Lane& lane) -> Napi::Value {
    if (lane.flows() == nullptr) return info.Env().Null();
    const Napi::Value bytes = TakeBytes(info.Env(), lane.flows()->reports());
    lane.flows()->ClearReports();
    return bytes;
  });
}

constexpr napi_type_tag kProgramTag = {0x536c75696365, 0x50726f6772616d};
using ProgramHolder = std::shared_ptr<Program>;

ProgramHolder ProgramOf(const Napi::Value& value) {
  if (!value.IsExternal()) return nullptr;
  const auto external = value.As<Napi::External<ProgramHolder>>();
  return external.CheckTypeTag(&kProgramTag) ? *external.Data() : nullptr;
}

Napi::Value MakeProgram(const Napi::CallbackInfo& info, Lane& lane) {
  const Napi::Env env = info.Env();
  ProgramHolder program = info[0].IsObject() ? ReadProgram(info[0].As<Napi::Object>(), lane.config()) : nullptr;
  if (program == nullptr) {
    ThrowError(env, "internal", "makeProgram", "an option is missing or out of range");
    return env.Undefined();
  }
  auto external = Napi::External<ProgramHolder>::New(env, new ProgramHolder(std::move(program)),
                                                     [](Napi::Env, ProgramHolder* held) { delete held; });
  external.TypeTag(&kProgramTag);
  return external;
}

Napi::Value Pulse(const Napi::CallbackInfo& info, Lane& lane) {
  const Lane::Pulse pulse = lane.pulse();
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("turns", static_cast<double>(pulse.turns));
  object.Set("waiting", pulse.waiting);
  object.Set("hop", pulse.hop);
  object.Set("cpuMs", static_cast<double>(pulse.cpu_ns) / 1e6);
  return object;
}

Napi::Value SendTestFrame(const Napi::CallbackInfo& info, Lane& lane) {
  const uint32_t port = info[0].ToNumber().Uint32Value();
  if (port >= lane.ports() || !info[1].IsTypedArray()) {
    ThrowError(info.Env(), "internal", "sendTestFrame", "no such port, or no bytes");
    return info.Env().Undefined();
  }
  const auto bytes = info[1].As<Napi::Uint8Array>();
  if (bytes.ByteLength() > lane.config().slot_bytes - kHeadroomBytes) return Napi::Boolean::New(info.Env(), false);
  return Napi::Boolean::New(info.Env(), lane.test_frame().Send(port, {bytes.Data(), bytes.ByteLength()}));
}

Napi::Value TakeTestFrame(const Napi::CallbackInfo& info, Lane& lane) {
  const Napi::Env env = info.Env();
  TestFrame::Fate fate;
  std::span<const uint8_t> bytes;
  if (!lane.test_frame().Take(&fate, &bytes)) return env.Null();
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", fate.kind);
  object.Set("to", fate.to);
  object.Set("hop", fate.hop);
  object.Set("reason", fate.reason);
  object.Set("engine", fate.engine);
  object.Set("detail", fate.detail);
  Napi::Uint8Array copy = Napi::Uint8Array::New(env, bytes.size());
  std::copy(bytes.begin(), bytes.end(), copy.Data());
  object.Set("bytes", copy);
  return object;
}

void SetGenerationFunctions(Napi::Env env, Napi::Object object, const Shared& open) {
  Set(env, object, "makeProgram", open, MakeProgram);
  Set(env, object, "install", open, [](const Napi::CallbackInfo& info, Lane& lane) -> Napi::Value {
    const ProgramHolder program = ProgramOf(info[0]);
    if (program == nullptr) {
      ThrowError(info.Env(), "internal", "install", "expects what makeProgram returned");
    } else {
      lane.Install(program);
    }
    return info.Env().Undefined();
  });
  Set(env, object, "takeOver", open, [](const Napi::CallbackInfo& info, Lane& lane) -> Napi::Value {
    const ProgramHolder program = ProgramOf(info[0]);
    if (program != nullptr) return Napi::Number::New(info.Env(), lane.TakeOver(program));
    ThrowError(info.Env(), "internal", "takeOver", "expects what makeProgram returned");
    return info.Env().Undefined();
  });
  Set(env, object, "quarantine", open, [](const Napi::CallbackInfo& info, Lane& lane) -> Napi::Value {
    const uint32_t hop = info[0].ToNumber().Uint32Value();
    if (hop < lane.hops()) {
      lane.hop(hop).quarantined = true;
      lane.hop(hop).bypass = info[1].ToBoolean().Value();
    }
    return info.Env().Undefined();
  });
  SetForAll(env, object, "pulse", open, Pulse);
  SetForAll(env, object, "sendTestFrame", open, SendTestFrame);
  SetForAll(env, object, "takeTestFrame", open, TakeTestFrame);
  SetForAll(env, object, "abandonTestFrame", open, [](const Napi::CallbackInfo& info, Lane& lane) -> Napi::Value {
    lane.test_frame().Abandon();
    return info.Env().Undefined();
  });
  SetForAll(env, object, "functionOf", open, [](const Napi::CallbackInfo& info, Lane& lane) -> Napi::Value {
    const uint32_t hop = info[0].ToNumber().Uint32Value();
    return Napi::Number::New(info.Env(), hop < lane.hops() ? static_cast<int32_t>(lane.hop(hop).function) : -1);
  });
  SetForAll(env, object, "closePorts", open, [](const Napi::CallbackInfo& info, Lane& lane) -> Napi::Value {
    lane.ClosePorts(info[0].ToNumber().Uint32Value());
    return info.Env().Undefined();
  });
  Set(env, object, "gonePort", open, [](const Napi::CallbackInfo& info, Lane& lane) -> Napi::Value {
    return Napi::Number::New(info.Env(), lane.GonePort());
  });
  object.Set("id", open->id);
}

void SetFunctions(Napi::Env env, Napi::Object object, const Shared& open) {
  SetRaw(env, object, "inhale", Inhale, open);
  SetRaw(env, object, "advance", Advance, open);
  SetRaw(env, object, "exhale", Exhale, open);
  SetRaw(env, object, "fault", Fault, open);
  Set(env, object, "setReasons", open, SetReasons);
  Set(env, object, "wait", open, [](const Napi::CallbackInfo& info, Lane& lane) -> Napi::Value {
    lane.Wait(info[0].ToNumber().Int32Value());
    return info.Env().Undefined();
  });
  Set(env, object, "takeOutcomes", open, [](const Napi::CallbackInfo& info, Lane& lane) -> Napi::Value {
    return Napi::Number::New(info.Env(), lane.TakeOutcomes());
  });
  Set(env, object, "nextTime", open, [](const Napi::CallbackInfo& info, Lane& lane) -> Napi::Value {
    const uint64_t time = lane.NextTime();
    return time == UINT64_MAX ? info.Env().Null() : Napi::BigInt::New(info.Env(), time).As<Napi::Value>();
  });
  Set(env, object, "audit", open,
      [](const Napi::CallbackInfo& info, Lane& lane) -> Napi::Value { return DescribeAudit(info.Env(), lane.pool()); });
  SetFlowFunctions(env, object, open);
  SetGenerationFunctions(env, object, open);
  Set(env, object, "isBehind", open, [](const Napi::CallbackInfo& info, Lane& lane) -> Napi::Value {
    return Napi::Boolean::New(info.Env(), lane.IsBehind());
  });
  SetGetter(env, object, "received", open, [](Napi::Env inner, Lane& lane) -> Napi::Value {
    return Napi::Number::New(inner, static_cast<double>(lane.received()));
  });
  object.Set("wakeDescriptor", open->lane->wake_descriptor());
  object.Set("outcomes", Outcomes(env, *open->lane));
  object.Set("close", Napi::Function::New(env, [open](const Napi::CallbackInfo&) {
               const std::lock_guard lock(open->closing);
               open->lane.reset();
             }));
}

// All lanes of the process that anybody holds, by id.
class Registry {
 public:
  static void Add(const Shared& open) {
    const std::lock_guard lock(mutex_);
    open->id = ++last_;
    lanes_[open->id] = open;
  }

  static Shared Find(uint32_t id) {
    const std::lock_guard lock(mutex_);
    const auto found = lanes_.find(id);
    return found == lanes_.end() ? nullptr : found->second.lock();
  }

 private:
  static inline std::mutex mutex_;
  static inline uint32_t last_ = 0;
  static inline std::map<uint32_t, std::weak_ptr<OpenLane>> lanes_;
};

Napi::Object MakeObject(Napi::Env env, const Shared& open) {
  Napi::Object object = Napi::Object::New(env);
  SetFunctions(env, object, open);
  BindPorts(env, object, open);
  BindRoutes(env, object, open);
  BindLaneRecording(env, object, open);
  BindLaneMirrors(env, object, open);
  return object;
}

Napi::Value CreateLane(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsObject()) {
    ThrowError(env, "internal", "createLane", "expects options");
    return env.Undefined();
  }
  const auto options = info[0].As<Napi::Object>();
  std::optional<LaneConfig> config = ReadLaneConfig(options);
  std::shared_ptr<Program> program = config ? ReadProgram(options, *config) : nullptr;
  if (!program) {
    ThrowError(env, "internal", "createLane", "an option is missing or out of range");
    return env.Undefined();
  }
  auto open = std::make_shared<OpenLane>();
  open->lane = std::make_unique<Lane>(std::move(*config), std::move(program));
  Registry::Add(open);
  return MakeObject(env, open);
}

// The same lane, for another thread's environment.
Napi::Value AttachLane(const Napi::CallbackInfo& info) {
  const Shared open = Registry::Find(info[0].ToNumber().Uint32Value());
  if (open == nullptr || open->lane == nullptr) {
    ThrowError(info.Env(), "internal", "attachLane", "there is no such lane");
    return info.Env().Undefined();
  }
  return MakeObject(info.Env(), open);
}

Napi::Value MeasureTickHz(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), TickHz()); }

Napi::Value Wake(const Napi::CallbackInfo& info) {
  eventfd_write(info[0].ToNumber().Int32Value(), 1);
  return info.Env().Undefined();
}

}  // namespace

Lane* LaneOf(Napi::Env env, const OpenLane& open) {
  if (!open.lane) ThrowError(env, "internal", "lane", "it is closed");
  return open.lane.get();
}

void BindLanes(Napi::Env env, Napi::Object exports) {
  exports.Set("createLane", Napi::Function::New(env, CreateLane));
  exports.Set("attachLane", Napi::Function::New(env, AttachLane));
  exports.Set("flowTableBytes", Napi::Function::New(env, [](const Napi::CallbackInfo& info) -> Napi::Value {
                const uint64_t bytes = FlowTable::BytesFor(info[0].ToNumber().Uint32Value());
                return Napi::Number::New(info.Env(), static_cast<double>(bytes));
              }));
  exports.Set("flowStatesOffset", Napi::Function::New(env, [](const Napi::CallbackInfo& info) -> Napi::Value {
                const uint64_t offset = FlowTable::StatesOffset(info[0].ToNumber().Uint32Value());
                return Napi::Number::New(info.Env(), static_cast<double>(offset));
              }));
  exports.Set("measureTickHz", Napi::Function::New(env, MeasureTickHz));
  exports.Set("wake", Napi::Function::New(env, Wake));
}

}  // namespace sluice
