#include "bind_recording.h"

#include <algorithm>
#include <memory>
#include <new>
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

// Room for at most `limit` bytes of copied pages, but for all of `bytes` at the most. Not zeroed: what is not needed is
// never touched. Null if there is no memory.
std::unique_ptr<uint8_t[]> MakeRoom(size_t bytes, size_t* limit) {
  *limit = std::min(*limit, bytes / 4096 * kCopiedPageBytes);
  return std::unique_ptr<uint8_t[]>(new (std::nothrow) uint8_t[*limit]);
}

// copyPages(source, offset, bytes, limit): `source` is a segment, all of it, or an ArrayBuffer.
Napi::Value CopyPagesOf(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto limit = static_cast<size_t>(std::max<int64_t>(0, info[3].ToNumber().Int64Value()));
  std::unique_ptr<uint8_t[]> room;
  std::optional<size_t> written;
  if (info[0].IsArrayBuffer()) {
    auto buffer = info[0].As<Napi::ArrayBuffer>();
    const auto offset = static_cast<size_t>(info[1].ToNumber().Int64Value());
    const auto bytes = static_cast<size_t>(info[2].ToNumber().Int64Value());
    if (offset > buffer.ByteLength() || bytes > buffer.ByteLength() - offset) {
      ThrowError(env, "internal", "copyPages", "a part of the buffer that is not there");
      return env.Undefined();
    }
    room = MakeRoom(bytes, &limit);
    if (room) written = CopyPages({static_cast<const uint8_t*>(buffer.Data()) + offset, bytes}, {room.get(), limit});
  } else if (const auto segment = SegmentOf(info[0])) {
    room = MakeRoom(segment->bytes(), &limit);
    if (room) written = CopyPages(*segment, {room.get(), limit});
  } else {
    ThrowError(env, "internal", "copyPages", "expects a segment or a memory's buffer");
    return env.Undefined();
  }
  if (!written) return env.Null();
  return CopyOf(env, room.get(), *written);
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

void BindRecording(Napi::Env env, Napi::Object exports) {
  exports.Set("copyPages", Napi::Function::New(env, CopyPagesOf));
}

void BindLaneRecording(Napi::Env env, Napi::Object object, const std::shared_ptr<OpenLane>& open) {
  Set(env, object, "copyCall", open, CopyCall);
  Set(env, object, "takeBadResult", open, TakeBadResult);
}

}  // namespace sluice
