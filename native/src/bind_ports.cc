// The functions of a lane that open ports.
#include <utility>

#include "bind_afxdp.h"
#include "bind_error.h"
#include "bind_file.h"
#include "bind_lane.h"
#include "memory_port.h"

namespace sluice {
namespace {

using Shared = std::shared_ptr<OpenLane>;

MemoryPort::Packet ReadPacket(const Napi::CallbackInfo& info) {
  const auto bytes = info[0].As<Napi::Uint8Array>();
  const uint32_t length = static_cast<uint32_t>(bytes.ByteLength());
  bool lossless;
  return {
      .bytes = {bytes.Data(), bytes.Data() + length},
      .wire_length = info[2].IsNumber() ? info[2].As<Napi::Number>().Uint32Value() : length,
      .link = static_cast<uint8_t>(info[3].IsNumber() ? info[3].As<Napi::Number>().Uint32Value() : 0),
      .time_ns = info[1].IsBigInt() ? info[1].As<Napi::BigInt>().Uint64Value(&lossless) : 0,
  };
}

Napi::Value Drained(Napi::Env env, std::vector<MemoryPort::Packet> packets) {
  Napi::Array list = Napi::Array::New(env, packets.size());
  for (uint32_t i = 0; i < packets.size(); ++i) {
    const MemoryPort::Packet& packet = packets[i];
    Napi::Object object = Napi::Object::New(env);
    object.Set("bytes", Napi::Buffer<uint8_t>::Copy(env, packet.bytes.data(), packet.bytes.size()));
    object.Set("timeNs", Napi::BigInt::New(env, packet.time_ns));
    list.Set(i, object);
  }
  return list;
}

// The port lives as long as its lane, which every function here holds open.
Napi::Value OpenMemoryPort(const Napi::CallbackInfo& info, const Shared& open) {
  const Napi::Env env = info.Env();
  Lane* lane = LaneOf(env, *open);
  if (lane == nullptr) return env.Undefined();
  const bool looped = info[0].IsObject() && info[0].As<Napi::Object>().Get("looped").ToBoolean().Value();
  auto owned = std::make_unique<MemoryPort>(lane->memory(), looped);
  MemoryPort* port = owned.get();
  Napi::Object object = Napi::Object::New(env);
  object.Set("index", lane->AddPort(std::move(owned)));
  object.Set("inject", Napi::Function::New(env, [open, port](const Napi::CallbackInfo& call) -> Napi::Value {
               if (LaneOf(call.Env(), *open) == nullptr) return call.Env().Undefined();
               if (!call[0].IsTypedArray()) {
                 ThrowError(call.Env(), "internal", "inject", "expects a frame's bytes");
                 return call.Env().Undefined();
               }
               return Napi::Boolean::New(call.Env(), port->Inject(ReadPacket(call)));
             }));
  object.Set("drain", Napi::Function::New(env, [open, port](const Napi::CallbackInfo& call) -> Napi::Value {
               if (LaneOf(call.Env(), *open) == nullptr) return call.Env().Undefined();
               return Drained(call.Env(), port->Drain());
             }));
  return object;
}

Napi::Value OpenFilePort(const Napi::CallbackInfo& info, const Shared& open) {
  const Napi::Env env = info.Env();
  Lane* lane = LaneOf(env, *open);
  if (lane == nullptr) return env.Undefined();
  const FilePortOptions options = ParseFilePortOptions(info[0].ToObject());
  if (env.IsExceptionPending()) return env.Undefined();
  CaptureError error;
  auto owned = FilePort::Open(options, lane->memory(), &error);
  if (!owned) {
    ThrowError(env, error.code, error.where, error.what);
    return env.Undefined();
  }
  FilePort& port = *owned;
  return DescribeFilePort(env, port, lane->AddPort(std::move(owned)));
}

Napi::Value OpenAfxdpPort(const Napi::CallbackInfo& info, const Shared& open) {
  const Napi::Env env = info.Env();
  Lane* lane = LaneOf(env, *open);
  if (lane == nullptr) return env.Undefined();
  const AfxdpOptions options = ParseAfxdpOptions(info[0].ToObject());
  if (env.IsExceptionPending()) return env.Undefined();
  SystemError error;
  auto owned = AfxdpPort::Open(options, lane->memory(), &error);
  if (!owned) {
    ThrowAfxdpError(env, error);
    return env.Undefined();
  }
  AfxdpPort& port = *owned;
  return DescribeAfxdpPort(env, port, lane->AddPort(std::move(owned), options.inactive));
}

}  // namespace

void BindPorts(Napi::Env env, Napi::Object object, const Shared& open) {
  const auto set = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&, const Shared&)) {
    object.Set(name, Napi::Function::New(
                         env, [open, function](const Napi::CallbackInfo& info) { return function(info, open); }, name));
  };
  set("openMemoryPort", OpenMemoryPort);
  set("openFilePort", OpenFilePort);
  set("openAfxdpPort", OpenAfxdpPort);
}

}  // namespace sluice
