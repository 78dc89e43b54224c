// AF_XDP ports as JavaScript sees them (runtime/dataplane/native.ts).
#pragma once

#include <napi.h>

#include "afxdp_port.h"

namespace sluice {

// Reads an AfxdpPortOptions object. A property of the wrong type or out of range leaves a TypeError pending.
AfxdpOptions ParseAfxdpOptions(Napi::Object object);

// The port as JavaScript object. It stays valid, with its last state, after the port is closed.
Napi::Object DescribeAfxdpPort(Napi::Env env, const AfxdpPort& port, uint32_t index);

// `device-missing`, `device-busy`, `not-permitted`, `not-supported` or `system-call`, with what a user can do about it.
void ThrowAfxdpError(Napi::Env env, const SystemError& error);

// Adds probeAfxdp(options) and openLinkKeeper() to the addon.
void BindAfxdp(Napi::Env env, Napi::Object exports);

}  // namespace sluice
