#include "bind_error.h"

#include <cerrno>
#include <cstring>

namespace sluice {

Napi::Error MakeError(Napi::Env env, const char* code, const std::string& where, const std::string& what) {
  Napi::Error error = Napi::Error::New(env, what);
  error.Set("code", Napi::String::New(env, code));
  error.Set("where", Napi::String::New(env, where));
  error.Set("what", Napi::String::New(env, what));
  return error;
}

void ThrowError(Napi::Env env, const char* code, const std::string& where, const std::string& what) {
  MakeError(env, code, where, what).ThrowAsJavaScriptException();
}

void ThrowSystemError(Napi::Env env, const SystemError& error) {
  const bool forbidden = error.code == EPERM || error.code == EACCES;
  const std::string& where = error.subject.empty() ? error.call : error.subject;
  ThrowError(env, forbidden ? "not-permitted" : "system-call", where, error.call + ": " + strerror(error.code));
}

}  // namespace sluice
