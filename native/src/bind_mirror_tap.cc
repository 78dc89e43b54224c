// What somebody watches of a lane, as a JavaScript object (MirrorTap in runtime/dataplane/native-mirror.ts).
#include <memory>
#include <utility>

#include "bind_error.h"
#include "bind_mirror.h"
#include "bind_program.h"
#include "mirror_tap.h"

namespace sluice {
namespace {

Napi::Array ListOf(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  return value.IsArray() ? value.As<Napi::Array>() : Napi::Array::New(object.Env());
}

std::bitset<256> ReadPorts(const Napi::Array& list) {
  std::bitset<256> ports;
  for (uint32_t i = 0; i < list.Length(); ++i) ports.set(list.Get(i).ToNumber().Uint32Value() & 255);
  return ports;
}

}  // namespace

FrameFilter ReadFilter(const Napi::Object& object) {
  FrameFilter filter;
  const Napi::Array matches = ListOf(object, "matches");
  for (uint32_t i = 0; i < matches.Length(); ++i) filter.matches.push_back(ReadMatch(matches.Get(i).ToObject()));
  filter.flow = object.Get("flow").ToNumber().Uint32Value();
  filter.comes = ReadPorts(ListOf(object, "comes"));
  filter.leaves = ReadPorts(ListOf(object, "leaves"));
  filter.dropped_only = object.Get("causes").IsArray();
  const Napi::Array causes = ListOf(object, "causes");
  for (uint32_t i = 0; i < causes.Length(); ++i) {
    const Napi::Object cause = causes.Get(i).ToObject();
    filter.causes.push_back({cause.Get("hop").ToNumber().Int32Value(), cause.Get("byEngine").ToBoolean(),
                             cause.Get("reason").ToNumber().Int32Value(), cause.Get("detail").ToNumber().Int64Value()});
  }
  return filter;
}

Napi::Value OpenTap(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  std::shared_ptr<Mirror> mirror = FindMirror(info[0]);
  if (!mirror || !info[1].IsObject() || !info[2].IsNumber()) {
    ThrowError(env, "internal", "openTap", "expects a mirror's id, a filter and a length");
    return env.Undefined();
  }
  const auto tap = std::make_shared<MirrorTap>(std::move(mirror), ReadFilter(info[1].As<Napi::Object>()),
                                               info[2].ToNumber().Uint32Value());
  Napi::Object object = Napi::Object::New(env);
  const auto read = [tap](const Napi::CallbackInfo& call) -> Napi::Value {
    auto to = call[0].As<Napi::Uint8Array>();
    return Napi::Number::New(call.Env(), static_cast<double>(tap->Read({to.Data(), to.ByteLength()})));
  };
  object.Set("read", Napi::Function::New(env, read, "read"));
  return object;
}

}  // namespace sluice
