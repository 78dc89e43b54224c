// Errors of native code as JavaScript exceptions with the properties `code` (of runtime/errors.ts), `where` and `what`.
#pragma once

#include <napi.h>

#include <string>

#include "system_error.h"

namespace sluice {

Napi::Error MakeError(Napi::Env env, const char* code, const std::string& where, const std::string& what);

void ThrowError(Napi::Env env, const char* code, const std::string& where, const std::string& what);

// `not-permitted` for EPERM and EACCES, otherwise `system-call`.
void ThrowSystemError(Napi::Env env, const SystemError& error);

}  // namespace sluice
