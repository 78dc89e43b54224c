#include "bind_afxdp.h"

#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <string>

#include "bind_error.h"
#include "probe.h"

namespace sluice {
namespace {

constexpr AfxdpMode kModes[] = {AfxdpMode::kZeroCopy, AfxdpMode::kCopy, AfxdpMode::kGeneric};

const char* CodeOf(int code) {
  switch (code) {
    case ENODEV:
    case ENXIO:
      return "device-missing";
    case EBUSY:
    case EEXIST:
      return "device-busy";
    case EPERM:
    case EACCES:
      return "not-permitted";
    case EOPNOTSUPP:
    case EAFNOSUPPORT:
    case ENOPROTOOPT:
      return "not-supported";
    default:
      return "system-call";
  }
}

// "bind(AF_XDP): Device or resource busy (what the library said)"
std::string TextOf(const SystemError& error) {
  std::string text = error.call + ": " + strerror(error.code);
  if (error.detail.empty()) return text;
  return text + " (" + error.detail.substr(0, error.detail.find_last_not_of('\n') + 1) + ")";
}

void Refuse(Napi::Env env, const std::string& what) {
  if (!env.IsExceptionPending()) Napi::TypeError::New(env, "AfxdpPortOptions: " + what).ThrowAsJavaScriptException();
}

uint32_t ReadNumber(Napi::Object object, const char* key, uint32_t limit) {
  const Napi::Value value = object.Get(key);
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  if (number >= 0 && number <= limit && number == std::floor(number)) return static_cast<uint32_t>(number);
  Refuse(object.Env(), std::string(key) + " is not a number in 0 … " + std::to_string(limit));
  return 0;
}

std::string ReadString(Napi::Object object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (value.IsString()) return value.As<Napi::String>();
  Refuse(object.Env(), std::string(key) + " is not a string");
  return "";
}

steer_class ReadClass(Napi::Object object) {
  if (object.Has("etherType")) {
    return {STEER_ETHER_TYPE, 0, static_cast<uint16_t>(ReadNumber(object, "etherType", 0xffff))};
  }
  const auto ip_proto = static_cast<uint8_t>(ReadNumber(object, "ipProto", 0xff));
  if (object.Get("destinationPort").IsUndefined()) return {STEER_IP_PROTO, ip_proto, 0};
  return {STEER_DESTINATION_PORT, ip_proto, static_cast<uint16_t>(ReadNumber(object, "destinationPort", 0xffff))};
}

std::vector<steer_class> ReadClasses(Napi::Object object) {
  const Napi::Value value = object.Get("kernel");
  if (!value.IsArray() || value.As<Napi::Array>().Length() > STEER_CLASSES) {
    Refuse(object.Env(), "kernel is not a list of at most " + std::to_string(STEER_CLASSES) + " classes");
    return {};
  }
  const auto list = value.As<Napi::Array>();
  std::vector<steer_class> classes;
  for (uint32_t i = 0; i < list.Length(); ++i) classes.push_back(ReadClass(list.Get(i).ToObject()));
  return classes;
}

std::optional<AfxdpMode> ReadMode(Napi::Object object) {
  if (object.Get("mode").IsUndefined()) return std::nullopt;
  const std::string name = ReadString(object, "mode");
  for (const AfxdpMode mode : kModes) {
    if (name == NameOf(mode)) return mode;
  }
  Refuse(object.Env(), "mode is not one of zero-copy, copy, generic");
  return std::nullopt;
}

LinkKeeper ReadKeeper(Napi::Object object) {
  const Napi::Value value = object.Get("keeper");
  if (!value.IsObject()) return {-1, -1};
  const auto keeper = value.As<Napi::Object>();
  constexpr uint32_t kDescriptorLimit = 1 << 20;
  return {static_cast<int>(ReadNumber(keeper, "put", kDescriptorLimit)),
          static_cast<int>(ReadNumber(keeper, "take", kDescriptorLimit))};
}

Napi::Value OpenKeeperCall(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  int put = -1, take = -1;
  if (SystemError error; !LinkKeeper::Open(&put, &take, &error)) {
    ThrowSystemError(env, error);
    return env.Undefined();
  }
  Napi::Object keeper = Napi::Object::New(env);
  keeper.Set("put", put);
  keeper.Set("take", take);
  return keeper;
}

Napi::Value ProbeCall(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Napi::Object object = info[0].ToObject();
  const std::string device = ReadString(object, "device");
  const uint32_t queue = ReadNumber(object, "queue", STEER_QUEUES - 1);
  const std::string program = ReadString(object, "program");
  if (env.IsExceptionPending()) return env.Undefined();
  Napi::Array found = Napi::Array::New(env);
  for (const ModeProbe& probe : ProbeModes(device, queue, program)) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("mode", NameOf(probe.mode));
    entry.Set("why", probe.error ? Napi::Value(Napi::String::New(env, TextOf(probe.error))) : env.Null());
    found.Set(found.Length(), entry);
  }
  return found;
}

}  // namespace

AfxdpOptions ParseAfxdpOptions(Napi::Object object) {
  AfxdpOptions options{.keeper = ReadKeeper(object)};
  options.device = ReadString(object, "device");
  options.queue = ReadNumber(object, "queue", STEER_QUEUES - 1);
  options.mode = ReadMode(object);
  options.kernel = ReadClasses(object);
  options.program = ReadString(object, "program");
  options.is_routed = object.Get("routed").ToBoolean();
  options.drops_when_down = object.Get("dropsWhenDown").ToBoolean();
  options.inactive = object.Get("inactive").ToBoolean();
  if (!object.Get("ringSize").IsUndefined()) options.ring_size = ReadNumber(object, "ringSize", 1 << 16);
  if (!std::has_single_bit(options.ring_size)) Refuse(object.Env(), "ringSize is not a power of two");
  return options;
}

Napi::Object DescribeAfxdpPort(Napi::Env env, const AfxdpPort& port, uint32_t index) {
  Napi::Array refused = Napi::Array::New(env);
  for (const AfxdpPort::Refusal& refusal : port.refused()) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("mode", NameOf(refusal.mode));
    entry.Set("why", TextOf(refusal.why));
    refused.Set(refused.Length(), entry);
  }
  Napi::Object object = Napi::Object::New(env);
  object.Set("index", index);
  object.Set("device", port.device());
  object.Set("ifindex", port.ifindex());
  object.Set("queue", port.queue());
  object.Set("ifindex", port.ifindex());
  object.Set("mode", NameOf(port.mode()));
  object.Set("refused", refused);
  object.Set("needWakeup", port.need_wakeup());
  const auto gone = [flag = port.gone_flag()](const Napi::CallbackInfo& info) -> Napi::Value {
    return Napi::Boolean::New(info.Env(), flag->load());
  };
  object.DefineProperty(Napi::PropertyDescriptor::Accessor(env, object, "gone", gone, napi_enumerable));
  return object;
}

void ThrowAfxdpError(Napi::Env env, const SystemError& error) {
  ThrowError(env, CodeOf(error.code), error.subject.empty() ? "afxdp" : error.subject, TextOf(error));
}

void BindAfxdp(Napi::Env env, Napi::Object exports) {
  exports.Set("probeAfxdp", Napi::Function::New(env, ProbeCall, "probeAfxdp"));
  exports.Set("openLinkKeeper", Napi::Function::New(env, OpenKeeperCall, "openLinkKeeper"));
}

}  // namespace sluice
