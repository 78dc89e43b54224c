// The native twins as an addon of their own. Raw N-API, so that a call costs what calls of the data plane cost.
#include <node_api.h>

#include <memory>

#include "twin_acl.h"
#include "twin_firewall.h"
#include "twin_hello.h"
#include "twin_nat.h"

namespace sluice::twin {
namespace {

/** The arguments: a WebAssembly memory's ArrayBuffer, then addresses in it. False if they are not. */
template <size_t kCount>
bool ReadArguments(napi_env env, napi_callback_info info, uint8_t** base, uint32_t (&addresses)[kCount]) {
  napi_value arguments[kCount + 1];
  size_t count = kCount + 1;
  void* data = nullptr;
  size_t bytes = 0;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) != napi_ok) return false;
  if (count != kCount + 1 || napi_get_arraybuffer_info(env, arguments[0], &data, &bytes) != napi_ok) return false;
  for (size_t i = 0; i < kCount; ++i) {
    if (napi_get_value_uint32(env, arguments[i + 1], &addresses[i]) != napi_ok || addresses[i] >= bytes) return false;
  }
  *base = static_cast<uint8_t*>(data);
  return true;
}

template <typename Twin>
napi_value Process(napi_env env, napi_callback_info info) {
  void* twin;
  napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &twin);
  static_cast<Twin*>(twin)->Process();
  return nullptr;
}

/** A function without arguments that processes one batch. Owns the twin. */
template <typename Twin>
napi_value MakeFunction(napi_env env, std::unique_ptr<Twin> twin) {
  napi_value function;
  if (napi_create_function(env, "process", NAPI_AUTO_LENGTH, Process<Twin>, twin.get(), &function) != napi_ok) {
    return nullptr;
  }
  napi_add_finalizer(
      env, function, twin.release(), [](napi_env, void* held, void*) { delete static_cast<Twin*>(held); }, nullptr,
      nullptr);
  return function;
}

napi_value OpenHelloTwin(napi_env env, napi_callback_info info) {
  uint8_t* base;
  uint32_t addresses[1];
  if (!ReadArguments(env, info, &base, addresses)) {
    napi_throw_type_error(env, nullptr, "openHelloTwin(memory, counters)");
    return nullptr;
  }
  return MakeFunction(env, std::make_unique<HelloTwin>(TwinMemory(base), addresses[0]));
}

napi_value OpenAclTwin(napi_env env, napi_callback_info info) {
  uint8_t* base;
  uint32_t addresses[2];
  if (!ReadArguments(env, info, &base, addresses)) {
    napi_throw_type_error(env, nullptr, "openAclTwin(memory, tables, unmatchedCounter)");
    return nullptr;
  }
  return MakeFunction(env, std::make_unique<AclTwin>(TwinMemory(base), addresses[0], addresses[1]));
}

napi_value OpenFirewallTwin(napi_env env, napi_callback_info info) {
  uint8_t* base;
  uint32_t addresses[1];
  if (!ReadArguments(env, info, &base, addresses)) {
    napi_throw_type_error(env, nullptr, "openFirewallTwin(memory, tables)");
    return nullptr;
  }
  return MakeFunction(env, std::make_unique<FirewallTwin>(TwinMemory(base), addresses[0]));
}

napi_value OpenNatTwin(napi_env env, napi_callback_info info) {
  uint8_t* base;
  uint32_t addresses[1];
  if (!ReadArguments(env, info, &base, addresses)) {
    napi_throw_type_error(env, nullptr, "openNatTwin(memory, tables)");
    return nullptr;
  }
  auto twin = std::make_unique<NatTwin>(TwinMemory(base), addresses[0]);
  if (!twin->Fits()) {
    napi_throw_type_error(env, nullptr, "the twin of nat has entries of other sizes: test/bench/twin_nat_store.h");
    return nullptr;
  }
  return MakeFunction(env, std::move(twin));
}

napi_value Initialize(napi_env env, napi_value exports) {
  const napi_property_descriptor properties[] = {
      {"openHelloTwin", nullptr, OpenHelloTwin, nullptr, nullptr, nullptr, napi_default, nullptr},
      {"openAclTwin", nullptr, OpenAclTwin, nullptr, nullptr, nullptr, napi_default, nullptr},
      {"openFirewallTwin", nullptr, OpenFirewallTwin, nullptr, nullptr, nullptr, napi_default, nullptr},
      {"openNatTwin", nullptr, OpenNatTwin, nullptr, nullptr, nullptr, napi_default, nullptr},
  };
  napi_define_properties(env, exports, std::size(properties), properties);
  return exports;
}

}  // namespace
}  // namespace sluice::twin

NAPI_MODULE(NODE_GYP_MODULE_NAME, sluice::twin::Initialize)
