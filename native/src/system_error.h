// The one error of a system call that failed: which call, on what, and errno.
#pragma once

#include <string>

namespace sluice {

struct SystemError {
  std::string call;     // "setsockopt(XDP_UMEM_REG)"
  std::string subject;  // interface or file, may be empty
  int code = 0;         // errno; 0 means no error
  std::string detail;   // what a library or the kernel said besides, may be empty

  explicit operator bool() const { return code != 0; }
};

}  // namespace sluice
