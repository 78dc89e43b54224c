#include "bind_handover.h"

#include <bit>
#include <cerrno>
#include <map>
#include <mutex>

#include "bind_error.h"
#include "bind_program.h"
#include "lane_choice.h"
#include "parser.h"

namespace sluice {
namespace {

using Holder = std::shared_ptr<Handover>;

// All handovers of the process that anybody holds, by id.
class Registry {
 public:
  static uint32_t Add(const Holder& handover) {
    const std::lock_guard lock(mutex_);
    std::erase_if(handovers_, [](const auto& each) { return each.second.expired(); });
    handovers_[++last_] = handover;
    return last_;
  }

  static Holder Find(uint32_t id) {
    const std::lock_guard lock(mutex_);
    const auto found = handovers_.find(id);
    return found == handovers_.end() ? nullptr : found->second.lock();
  }

 private:
  static inline std::mutex mutex_;
  static inline uint32_t last_ = 0;
  static inline std::map<uint32_t, std::weak_ptr<Handover>> handovers_;
};

// The lane of a frame with an Ethernet header.
uint32_t ChooseLane(Handover& handover, const Napi::Uint8Array& bytes) {
  Record record{};
  record.length = record.wire_length = static_cast<uint32_t>(bytes.ByteLength());
  record.link = abi::kLinkEthernet;
  ParseFrame(bytes.Data(), record);
  LaneSpread spread = handover.before(handover.spread());
  const OwnAddresses own = handover.own();
  spread.own = &own;
  return LaneChoice(record, bytes.Data(), handover.detours(), spread).lane();
}

// Null if there is none.
std::unique_ptr<SpreadRule> ReadRule(const Napi::Value& value) {
  if (!value.IsObject()) return nullptr;
  const auto object = value.As<Napi::Object>();
  auto rule = std::make_unique<SpreadRule>();
  rule->hosts = ReadPrefixes(object.Get("hosts"));
  rule->shared = ReadPrefixes(object.Get("shared"));
  rule->shared_of = ReadPortNumbers(object.Get("sharedOf"));
  rule->port_bits = static_cast<uint32_t>(std::bit_width(object.Get("portsInTurn").ToNumber().Uint32Value())) - 1;
  return rule;
}

Napi::Value MakeHandover(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Holder handover =
      Handover::Make(info[0].ToNumber().Uint32Value(), info[1].ToNumber().Uint32Value(), ReadRule(info[2]));
  if (!handover) {
    ThrowSystemError(env, {"eventfd", "lanes", errno, ""});
    return env.Undefined();
  }
  Napi::Object object = Napi::Object::New(env);
  object.Set("id", Registry::Add(handover));
  // The function holds it.
  object.Set("laneOf", Napi::Function::New(env, [handover](const Napi::CallbackInfo& call) -> Napi::Value {
               if (!call[0].IsTypedArray()) return call.Env().Undefined();
               return Napi::Number::New(call.Env(), ChooseLane(*handover, call[0].As<Napi::Uint8Array>()));
             }));
  object.Set("addLanes", Napi::Function::New(env, [handover](const Napi::CallbackInfo& call) {
               if (handover->AddLanes(call[0].ToNumber().Uint32Value())) return;
               ThrowSystemError(call.Env(), {"eventfd", "lanes", errno, ""});
             }));
  object.Set("spreadOver", Napi::Function::New(env, [handover](const Napi::CallbackInfo& call) {
               handover->SpreadOver(call[0].ToNumber().Uint32Value(), ReadRule(call[1]));
             }));
  object.Set("settle", Napi::Function::New(env, [handover](const Napi::CallbackInfo& call) -> Napi::Value {
               return Napi::Boolean::New(call.Env(), handover->Settle());
             }));
  return object;
}

}  // namespace

std::shared_ptr<Handover> HandoverOf(const Napi::Value& id) {
  return id.IsNumber() ? Registry::Find(id.As<Napi::Number>().Uint32Value()) : nullptr;
}

void BindHandovers(Napi::Env env, Napi::Object exports) {
  exports.Set("makeHandover", Napi::Function::New(env, MakeHandover, "makeHandover"));
}

}  // namespace sluice
