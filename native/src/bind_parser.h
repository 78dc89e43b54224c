// The parser as a JavaScript function, for tests and tools; the packet path calls ParseBatch.
#pragma once

#include <napi.h>

namespace sluice {

// Adds `parse(bytes: Uint8Array, link: number, wireLength: number): ArrayBuffer`, which holds one record.
void BindParser(Napi::Env env, Napi::Object exports);

}  // namespace sluice
