#include "bind_parser.h"

#include <cstring>

#include "parser.h"

namespace sluice {

namespace {

Napi::Value ParseCall(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const bool bytes_given = info.Length() == 3 && info[0].IsTypedArray() &&
                           info[0].As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array;
  if (!bytes_given || !info[1].IsNumber() || !info[2].IsNumber()) {
    Napi::TypeError::New(env, "parse: expected (Uint8Array, number, number)").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const auto bytes = info[0].As<Napi::Uint8Array>();
  Record record = {};
  record.length = static_cast<uint32_t>(bytes.ByteLength());
  record.link = static_cast<uint8_t>(info[1].As<Napi::Number>().Uint32Value());
  record.wire_length = info[2].As<Napi::Number>().Uint32Value();
  ParseFrame(bytes.Data(), record);

  Napi::ArrayBuffer result = Napi::ArrayBuffer::New(env, sizeof(record));
  std::memcpy(result.Data(), &record, sizeof(record));
  return result;
}

}  // namespace

void BindParser(Napi::Env env, Napi::Object exports) {
  exports.Set("parse", Napi::Function::New(env, ParseCall, "parse"));
}

}  // namespace sluice
