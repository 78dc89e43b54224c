#include "bind_file.h"

#include <memory>
#include <string>
#include <vector>

#include "bind_error.h"
#include "capture_reader.h"

namespace sluice {

namespace {

std::string OptionalString(Napi::Object object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (value.IsUndefined()) return "";
  if (value.IsString()) return value.As<Napi::String>();
  Napi::TypeError::New(object.Env(), std::string(key) + " is not a string").ThrowAsJavaScriptException();
  return "";
}

std::vector<std::string> StringList(Napi::Object object, const char* key) {
  const Napi::Value value = object.Get(key);
  std::vector<std::string> list;
  bool sound = value.IsArray();
  for (uint32_t i = 0; sound && i < value.As<Napi::Array>().Length(); ++i) {
    const Napi::Value entry = value.As<Napi::Array>().Get(i);
    sound = entry.IsString();
    if (sound) list.push_back(entry.As<Napi::String>());
  }
  if (!sound) {
    Napi::TypeError::New(object.Env(), std::string(key) + " is not a list of strings").ThrowAsJavaScriptException();
  }
  return list;
}

// What a port wrote to, as another port takes it; it keeps nothing open.
using Output = std::weak_ptr<CaptureWriter>;

Napi::Value DescribeOutput(Napi::Env env, const Output& output) {
  return Napi::External<Output>::New(env, new Output(output), [](Napi::Env, Output* held) { delete held; });
}

Napi::Value DescribeDamage(Napi::Env env, const std::vector<FilePortStatus::Damage>& damage) {
  Napi::Array list = Napi::Array::New(env, damage.size());
  for (uint32_t i = 0; i < damage.size(); ++i) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("file", damage[i].file);
    entry.Set("what", damage[i].what);
    list.Set(i, entry);
  }
  return list;
}

Napi::Value TextOrNull(Napi::Env env, const std::string& text) {
  if (text.empty()) return env.Null();
  return Napi::String::New(env, text);
}

Napi::Value InspectCaptureCall(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (info.Length() < 1 || !info[0].IsString()) {
    Napi::TypeError::New(env, "inspectCapture: path is not a string").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  CaptureError error;
  const auto found = InspectCapture(info[0].As<Napi::String>(), &error);
  if (!found) {
    ThrowError(env, error.code, error.where, error.what);
    return env.Undefined();
  }
  Napi::Object capture = Napi::Object::New(env);
  capture.Set("linkType", found->link_type);
  capture.Set("nanoseconds", found->nanoseconds);
  return capture;
}

// All packets of a file, and whether it could be read to its end.
Napi::Value ReadCaptureCall(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  CaptureError error;
  const auto reader = CaptureReader::Open(info[0].ToString(), &error);
  const auto link = reader ? LinkOfLinkType(reader->link_type()) : std::nullopt;
  if (reader && !link) error = {"capture-link-type", info[0].ToString(), std::to_string(reader->link_type())};
  if (!link) {
    ThrowError(env, error.code, error.where, error.what);
    return env.Undefined();
  }
  Napi::Array packets = Napi::Array::New(env);
  for (const CaptureReader::Packet* packet; (packet = reader->Peek()) != nullptr; reader->Next()) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("bytes", Napi::Buffer<uint8_t>::Copy(env, packet->bytes.data(), packet->bytes.size()));
    entry.Set("wireLength", packet->wire_length);
    entry.Set("link", static_cast<uint32_t>(*link));
    entry.Set("timeNs", Napi::BigInt::New(env, packet->time_ns));
    packets.Set(packets.Length(), entry);
  }
  Napi::Object capture = Napi::Object::New(env);
  capture.Set("packets", packets);
  capture.Set("damage", TextOrNull(env, reader->damage()));
  return capture;
}

}  // namespace

FilePortOptions ParseFilePortOptions(Napi::Object object) {
  FilePortOptions options;
  // Nothing may be called, and nothing thrown, while an exception waits.
  options.inputs = StringList(object, "inputs");
  if (object.Env().IsExceptionPending()) return options;
  options.output = OptionalString(object, "output");
  if (object.Env().IsExceptionPending()) return options;
  const Napi::Value link_type = object.Get("outputLinkType");
  const Napi::Value nanoseconds = object.Get("outputNanoseconds");
  if (!link_type.IsNumber() || !nanoseconds.IsBoolean()) {
    Napi::TypeError::New(object.Env(), "outputLinkType is a number, outputNanoseconds a boolean")
        .ThrowAsJavaScriptException();
    return options;
  }
  options.output_link_type = link_type.As<Napi::Number>();
  options.output_nanoseconds = nanoseconds.As<Napi::Boolean>();
  const Napi::Value shared = object.Get("sharedOutput");
  if (shared.IsExternal()) options.shared_output = shared.As<Napi::External<Output>>().Data()->lock();
  return options;
}

Napi::Object DescribeFilePort(Napi::Env env, const FilePort& port, uint32_t index) {
  using Status = std::shared_ptr<const FilePortStatus>;
  const Status status = port.status();
  Napi::Object object = Napi::Object::New(env);
  const auto describe = [&](const char* name, auto getter) {
    object.DefineProperty(Napi::PropertyDescriptor::Accessor(env, object, name, getter, napi_enumerable));
  };
  object.DefineProperty(Napi::PropertyDescriptor::Value("index", Napi::Number::New(env, index), napi_enumerable));
  object.DefineProperty(Napi::PropertyDescriptor::Value("output", DescribeOutput(env, port.output())));
  describe("oversize", [status](const Napi::CallbackInfo& info) -> Napi::Value {
    return Napi::Number::New(info.Env(), static_cast<double>(status->oversize));
  });
  describe("damage", [status](const Napi::CallbackInfo& info) { return DescribeDamage(info.Env(), status->damage); });
  describe("writeError",
           [status](const Napi::CallbackInfo& info) { return TextOrNull(info.Env(), status->write_error); });
  return object;
}

void BindCapture(Napi::Env env, Napi::Object exports) {
  exports.Set("inspectCapture", Napi::Function::New(env, InspectCaptureCall, "inspectCapture"));
  exports.Set("readCapture", Napi::Function::New(env, ReadCaptureCall, "readCapture"));
}

}  // namespace sluice
