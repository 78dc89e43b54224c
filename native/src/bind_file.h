// File ports and captures as JavaScript sees them (runtime/dataplane/native.ts).
#pragma once

#include <napi.h>

#include "file_port.h"

namespace sluice {

// Reads a FilePortOptions object. A property of the wrong type leaves a TypeError pending.
FilePortOptions ParseFilePortOptions(Napi::Object object);

// The port as JavaScript object. It stays valid, with its last state, after the port is closed.
Napi::Object DescribeFilePort(Napi::Env env, const FilePort& port, uint32_t index);

// Adds inspectCapture(path) to the addon.
void BindCapture(Napi::Env env, Napi::Object exports);

}  // namespace sluice
