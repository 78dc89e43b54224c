// Has a device take all frames, whoever's link address they are for, as long as the object lives: a bridge is not who
// its frames are sent to. The kernel counts those who want that, and forgets who has died.
#pragma once

#include <memory>
#include <string>

#include "system_error.h"

namespace sluice {

class Promiscuity {
 public:
  // Errors: EPERM, ENODEV, EMFILE …
  static std::unique_ptr<Promiscuity> Begin(const std::string& device, int ifindex, SystemError* error);
  ~Promiscuity();
  Promiscuity(const Promiscuity&) = delete;
  Promiscuity& operator=(const Promiscuity&) = delete;

 private:
  explicit Promiscuity(int socket) : socket_(socket) {}

  const int socket_;  // receives nothing
};

}  // namespace sluice
