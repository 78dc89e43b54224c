// What threads do for a lane before and after they have it.
#include "bind_error.h"
#include "bind_lane.h"
#include "lane_baton.h"
#include "lane_cpu.h"

namespace sluice {
namespace {

Napi::Value ClaimLaneCpu(const Napi::CallbackInfo& info) {
  SystemError error;
  const pid_t thread = ClaimCpu(info[0].ToNumber().Int32Value(), &error);
  if (thread < 0) ThrowSystemError(info.Env(), error);
  return Napi::Number::New(info.Env(), thread);
}

Napi::Value ComeBeforeOthers(const Napi::CallbackInfo& info) {
  ComeFirst(info[0].As<Napi::Boolean>().Value());
  return info.Env().Undefined();
}

Napi::Value LeaveLaneCpu(const Napi::CallbackInfo& info) {
  SystemError error;
  if (!LeaveCpu(info[0].ToNumber().Int32Value(), &error)) ThrowSystemError(info.Env(), error);
  return info.Env().Undefined();
}

// What follows is called by threads that may be ended meanwhile; then conversions fail, and plain reads do not.
int64_t Number(const Napi::Value& value) { return value.As<Napi::Number>().Int64Value(); }

// The word with number `info[1]` of an Int32Array.
int32_t* Word(const Napi::CallbackInfo& info) {
  return &info[0].As<Napi::Int32Array>()[static_cast<size_t>(Number(info[1]))];
}

Napi::Value ReleaseLane(const Napi::CallbackInfo& info) {
  info[2].As<Napi::BigInt64Array>()[static_cast<size_t>(Number(info[3]))] = MonotonicNs();
  ReleaseBaton(Word(info), info[4].As<Napi::Boolean>().Value());
  return info.Env().Undefined();
}

Napi::Value TakeLane(const Napi::CallbackInfo& info) {
  const bool taken = TakeBaton(Word(info), static_cast<int32_t>(Number(info[2])), Number(info[3]) * 1'000'000);
  return Napi::Boolean::New(info.Env(), taken);
}

Napi::Value ShakeLane(const Napi::CallbackInfo& info) {
  ShakeBaton(Word(info));
  return info.Env().Undefined();
}

}  // namespace

void BindLaneThreads(Napi::Env env, Napi::Object exports) {
  exports.Set("claimLaneCpu", Napi::Function::New(env, ClaimLaneCpu));
  exports.Set("comeFirst", Napi::Function::New(env, ComeBeforeOthers));
  exports.Set("leaveLaneCpu", Napi::Function::New(env, LeaveLaneCpu));
  exports.Set("releaseLane", Napi::Function::New(env, ReleaseLane));
  exports.Set("takeLane", Napi::Function::New(env, TakeLane));
  exports.Set("shakeLane", Napi::Function::New(env, ShakeLane));
}

}  // namespace sluice
