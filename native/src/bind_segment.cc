#include "bind_segment.h"

#include <vector>

#include "abi.h"
#include "bind_error.h"

namespace sluice {
namespace {

constexpr napi_type_tag kSegmentTag = {0x536c75696365, 0x5365676d656e74};

using Holder = std::shared_ptr<Segment>;

// The buffer keeps the pages mapped for as long as anybody can see them.
Napi::Value View(Napi::Env env, const Holder& segment) {
  return Napi::ArrayBuffer::New(
      env, segment->data(), segment->bytes(), [](Napi::Env, void*, Holder* held) { delete held; }, new Holder(segment));
}

Napi::Value Describe(Napi::Env env, Holder segment) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("bytes", Napi::Number::New(env, static_cast<double>(segment->bytes())));
  object.Set("buffer", View(env, segment));
  auto external =
      Napi::External<Holder>::New(env, new Holder(std::move(segment)), [](Napi::Env, Holder* held) { delete held; });
  external.TypeTag(&kSegmentTag);
  object.DefineProperty(Napi::PropertyDescriptor::Value("handle", external, napi_default));
  return object;
}

Napi::Value Refuse(Napi::Env env, const SystemError& error) {
  ThrowSystemError(env, error);
  return env.Undefined();
}

Napi::Value OpenSegment(const Napi::CallbackInfo& info) {
  const auto bytes = static_cast<uint64_t>(info[0].ToNumber().Int64Value());
  const std::string path = info[1].IsString() ? info[1].As<Napi::String>().Utf8Value() : "";
  SystemError error;
  Holder segment = Segment::Open(bytes, path, &error);
  return segment ? Describe(info.Env(), std::move(segment)) : Refuse(info.Env(), error);
}

Napi::Value AttachSegment(const Napi::CallbackInfo& info) {
  SystemError error;
  Holder segment = Segment::Attach(info[0].ToString().Utf8Value(), &error);
  return segment ? Describe(info.Env(), std::move(segment)) : Refuse(info.Env(), error);
}

Napi::Value FindDataOf(const Napi::CallbackInfo& info) {
  std::vector<uint64_t> ranges;
  const SystemError error = FindData(info[0].ToString().Utf8Value(), &ranges);
  if (error) return Refuse(info.Env(), error);
  Napi::Array list = Napi::Array::New(info.Env(), ranges.size());
  for (uint32_t i = 0; i < ranges.size(); ++i) list.Set(i, static_cast<double>(ranges[i]));
  return list;
}

bool ReadWindow(const Napi::Object& object, Window* window) {
  constexpr uint64_t kPage = 4096;
  const Holder segment = SegmentOf(object.Get("segment"));
  if (!segment) return false;
  const auto number = [&](const char* key) { return static_cast<uint64_t>(object.Get(key).ToNumber().Int64Value()); };
  *window = {number("address"), segment.get(), number("segmentOffset"), number("bytes"),
             object.Get("writable").ToBoolean().Value()};
  const bool aligned = (window->address | window->segment_offset | window->bytes) % kPage == 0;
  return aligned && window->bytes > 0 && window->address + window->bytes <= abi::kMemoryBase &&
         window->segment_offset + window->bytes <= (segment->bytes() + kPage - 1) / kPage * kPage;
}

// False with a pending exception.
bool ReadWindows(const Napi::CallbackInfo& info, std::vector<Window>* windows) {
  const Napi::Env env = info.Env();
  if (!info[0].IsArrayBuffer() || !info[1].IsArray()) {
    ThrowError(env, "internal", "overlay", "expects a memory's buffer and windows");
    return false;
  }
  auto memory = info[0].As<Napi::ArrayBuffer>();
  const auto list = info[1].As<Napi::Array>();
  windows->resize(list.Length());
  bool sound = memory.ByteLength() >= abi::kMemoryBase;
  for (uint32_t i = 0; i < list.Length() && sound; ++i) {
    sound = list.Get(i).IsObject() && ReadWindow(list.Get(i).As<Napi::Object>(), &(*windows)[i]);
  }
  if (!sound) {
    ThrowError(env, "internal", "overlay", "a window is not within its segment and the memory, or not page-aligned");
  }
  return sound;
}

uint8_t* BaseOf(const Napi::CallbackInfo& info) {
  return static_cast<uint8_t*>(info[0].As<Napi::ArrayBuffer>().Data());
}

Napi::Value OverlayMemory(const Napi::CallbackInfo& info) {
  std::vector<Window> windows;
  if (!ReadWindows(info, &windows)) return info.Env().Undefined();
  const SystemError error = Overlay(BaseOf(info), abi::kMemoryBase, windows);
  if (error) ThrowSystemError(info.Env(), error);
  return info.Env().Undefined();
}

Napi::Value PopulateMemory(const Napi::CallbackInfo& info) {
  std::vector<Window> windows;
  if (ReadWindows(info, &windows)) Populate(BaseOf(info), windows);
  return info.Env().Undefined();
}

}  // namespace

std::shared_ptr<Segment> SegmentOf(const Napi::Value& value) {
  if (!value.IsObject()) return nullptr;
  const Napi::Value handle = value.As<Napi::Object>().Get("handle");
  if (!handle.IsExternal()) return nullptr;
  const auto external = handle.As<Napi::External<Holder>>();
  return external.CheckTypeTag(&kSegmentTag) ? *external.Data() : nullptr;
}

void BindSegments(Napi::Env env, Napi::Object exports) {
  exports.Set("openSegment", Napi::Function::New(env, OpenSegment));
  exports.Set("attachSegment", Napi::Function::New(env, AttachSegment));
  exports.Set("findData", Napi::Function::New(env, FindDataOf));
  exports.Set("overlay", Napi::Function::New(env, OverlayMemory));
  exports.Set("populate", Napi::Function::New(env, PopulateMemory));
}

}  // namespace sluice
