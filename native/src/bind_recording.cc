#include "bind_recording.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "bind_error.h"
#include "bind_segment.h"
#include "page_copy.h"

namespace sluice {
namespace {

Napi::ArrayBuffer CopyOf(Napi::Env env, const uint8_t* bytes, size_t count) {
  Napi::ArrayBuffer copy = Napi::ArrayBuffer::New(env, count);
  std::copy_n(bytes, count, static_cast<uint8_t*>(copy.Data()));
  return copy;
}

template <typename From>
Napi::Value CopyInto(Napi::Env env, const From& from, int64_t limit) {
  const std::optional<size_t> bytes = CopiedBytes(from);
  if (!bytes || static_cast<int64_t>(*bytes) > limit) return env.Null();
  Napi::ArrayBuffer copy = Napi::ArrayBuffer::New(env, *bytes);
  const std::span<uint8_t> room(static_cast<uint8_t*>(copy.Data()), copy.ByteLength());
  Populate(room);
  if (CopyPages(from, room) != bytes) return env.Null();
  return copy;
}

// copyPages(source, offset, bytes, limit): `source` is a segment, all of it, or an ArrayBuffer.
Napi::Value CopyPagesOf(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const int64_t limit = info[3].ToNumber().Int64Value();
  if (const auto segment = SegmentOf(info[0])) return CopyInto(env, *segment, limit);
  const auto offset = static_cast<size_t>(info[1].ToNumber().Int64Value());
  const auto bytes = static_cast<size_t>(info[2].ToNumber().Int64Value());
  if (!info[0].IsArrayBuffer() || offset > info[0].As<Napi::ArrayBuffer>().ByteLength() ||
      bytes > info[0].As<Napi::ArrayBuffer>().ByteLength() - offset) {
    ThrowError(env, "internal", "copyPages", "expects a segment, or a part of a memory's buffer");
    return env.Undefined();
  }
  const auto* data = static_cast<const uint8_t*>(info[0].As<Napi::ArrayBuffer>().Data());
  return CopyInto(env, std::span(data + offset, bytes), limit);
}

constexpr napi_type_tag kRecorderTag = {0x536c75696365, 0x5265636f72646572};
using Recorder = std::shared_ptr<FlightRecorder>;

// A view of memory that is the recorder's.
Napi::ArrayBuffer ViewOf(Napi::Env env, const Recorder& recorder, void* data, size_t bytes) {
  return Napi::ArrayBuffer::New(
      env, data, bytes, [](Napi::Env, void*, Recorder* held) { delete held; }, new Recorder(recorder));
}

// watch(memory, offset, counters, countersBytes, segments)
Napi::Value Watch(const Napi::CallbackInfo& info, FlightRecorder& recorder) {
  const Napi::Env env = info.Env();
  const auto counters = SegmentOf(info[2]);
  const auto offset = static_cast<size_t>(info[1].ToNumber().Int64Value());
  const auto counted = static_cast<size_t>(info[3].ToNumber().Int64Value());
  std::vector<std::shared_ptr<Segment>> segments;
  bool sound = info[0].IsArrayBuffer() && counters && info[4].IsArray() && counted <= counters->bytes();
  for (uint32_t i = 0; sound && i < info[4].As<Napi::Array>().Length(); ++i) {
    segments.push_back(SegmentOf(info[4].As<Napi::Array>().Get(i)));
    sound = segments.back() != nullptr;
  }
  if (!sound || offset > info[0].As<Napi::ArrayBuffer>().ByteLength()) {
    ThrowError(env, "internal", "watch", "expects a memory's buffer and segments");
    return env.Undefined();
  }
  auto memory = info[0].As<Napi::ArrayBuffer>();
  recorder.Watch({static_cast<const uint8_t*>(memory.Data()) + offset, memory.ByteLength() - offset},
                 {counters->data(), counted}, std::move(segments));
  return env.Undefined();
}

Napi::Value MakeRecorder(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Recorder recorder = FlightRecorder::Make(info[0].ToNumber().Uint32Value(), info[1].ToNumber().Uint32Value());
  if (!recorder) {
    ThrowError(env, "internal", "makeRecorder", "there is no memory");
    return env.Undefined();
  }
  Napi::Object object = Napi::Object::New(env);
  auto external =
      Napi::External<Recorder>::New(env, new Recorder(recorder), [](Napi::Env, Recorder* held) { delete held; });
  external.TypeTag(&kRecorderTag);
  object.DefineProperty(Napi::PropertyDescriptor::Value("handle", external, napi_default));
  object.Set("due", ViewOf(env, recorder, recorder->due(), sizeof(uint32_t)));
  object.Set("globals", ViewOf(env, recorder, recorder->globals().data(), recorder->globals().size_bytes()));
  object.Set("watch",
             Napi::Function::New(env, [recorder](const Napi::CallbackInfo& call) { return Watch(call, *recorder); }));
  object.Set("takeState", Napi::Function::New(env, [recorder](const Napi::CallbackInfo& call) -> Napi::Value {
               return Napi::Boolean::New(call.Env(), recorder->TakeState());
             }));
  return object;
}

Napi::Value RecordCall(const Napi::CallbackInfo& info, Lane& lane) {
  const uint32_t kind = info[0].ToNumber().Uint32Value();
  const uint32_t function = info[1].ToNumber().Uint32Value();
  if (kind == layout::kCallKindsNfTick && function < lane.functions()) lane.RecordCall(kind, function, 0);
  return info.Env().Undefined();
}

Napi::Value CopyRecording(const Napi::CallbackInfo& info, Lane& lane) {
  const Napi::Env env = info.Env();
  const uint32_t function = info[0].ToNumber().Uint32Value();
  FlightRecorder::Recording recording;
  if (function >= lane.functions() || !lane.function(function).recorder) return env.Null();
  if (!lane.function(function).recorder->Read(&recording)) return env.Null();
  Napi::ArrayBuffer calls = Napi::ArrayBuffer::New(env, recording.calls[0].size() + recording.calls[1].size());
  auto* to = static_cast<uint8_t*>(calls.Data());
  for (const auto& part : recording.calls) to = std::copy(part.begin(), part.end(), to);
  Napi::Array parts = Napi::Array::New(env);
  for (const auto& part : recording.parts) parts.Set(parts.Length(), CopyOf(env, part.data(), part.size()));
  Napi::Object object = Napi::Object::New(env);
  object.Set("calls", calls);
  object.Set("globals", CopyOf(env, reinterpret_cast<const uint8_t*>(recording.globals.data()),
                               recording.globals.size() * sizeof(uint64_t)));
  object.Set("parts", parts);
  return object;
}

Napi::Value CopyCall(const Napi::CallbackInfo& info, Lane& lane) {
  const Napi::Env env = info.Env();
  const uint32_t kind = info[0].ToNumber().Uint32Value();
  const uint32_t function = info[1].ToNumber().Uint32Value();
  const uint32_t hop = info[2].ToNumber().Uint32Value();
  const bool is_process = kind == layout::kCallKindsNfProcess;
  if (kind >= layout::kCallKindsCount || function >= lane.functions() || (is_process && hop >= lane.hops()) ||
      (kind == layout::kCallKindsNfEvents && !lane.function(function).events)) {
    ThrowError(env, "internal", "copyCall", "no such call");
    return env.Undefined();
  }
  const std::vector<uint8_t> bytes = lane.CopyCall({kind, function, hop, true});
  return CopyOf(env, bytes.data(), bytes.size());
}

Napi::Value TakeBadResult(const Napi::CallbackInfo& info, Lane& lane) {
  const Napi::Env env = info.Env();
  Lane::BadResult& bad = lane.bad_result();
  if (!bad.is_held) return env.Null();
  Napi::Object object = Napi::Object::New(env);
  object.Set("hop", bad.hop);
  object.Set("position", bad.position);
  object.Set("reason", bad.reason);
  object.Set("result", CopyOf(env, reinterpret_cast<const uint8_t*>(&bad.result), sizeof(bad.result)));
  object.Set("call", CopyOf(env, bad.call.data(), bad.bytes));
  bad.is_held = false;
  return object;
}

using Call = Napi::Value (*)(const Napi::CallbackInfo&, Lane&);

void Set(Napi::Env env, Napi::Object object, const char* name, const std::shared_ptr<OpenLane>& open, Call call) {
  object.Set(name, Napi::Function::New(
                       env,
                       [open, call](const Napi::CallbackInfo& info) -> Napi::Value {
                         Lane* lane = LaneOf(info.Env(), *open);
                         return lane ? call(info, *lane) : info.Env().Undefined();
                       },
                       name));
}

}  // namespace

Recorder RecorderOf(const Napi::Value& value) {
  if (!value.IsObject()) return nullptr;
  const Napi::Value handle = value.As<Napi::Object>().Get("handle");
  if (!handle.IsExternal()) return nullptr;
  const auto external = handle.As<Napi::External<Recorder>>();
  return external.CheckTypeTag(&kRecorderTag) ? *external.Data() : nullptr;
}

void BindRecording(Napi::Env env, Napi::Object exports) {
  exports.Set("makeRecorder", Napi::Function::New(env, MakeRecorder));
  exports.Set("copyPages", Napi::Function::New(env, CopyPagesOf));
}

void BindLaneRecording(Napi::Env env, Napi::Object object, const std::shared_ptr<OpenLane>& open) {
  Set(env, object, "copyCall", open, CopyCall);
  Set(env, object, "takeBadResult", open, TakeBadResult);
  Set(env, object, "recordCall", open, RecordCall);
  Set(env, object, "copyRecording", open, CopyRecording);
}

}  // namespace sluice
