// Keeps the XDP programs of devices attached while no engine runs: their links lie in the queue of a pair of sockets,
// which the supervising process holds and every engine that it starts inherits. What lies in a socket's queue is open,
// whoever put it there and died; when the last holder of the sockets is gone, so are the links.
#pragma once

#include <cstdint>

#include "system_error.h"

namespace sluice {

enum class XdpHook : uint8_t;

// Borrows its descriptors. Calls may not overlap within a process; between processes they may.
class LinkKeeper {
 public:
  // A new pair, closed on exec: what is put into one end is found at the other.
  static bool Open(int* put, int* take, SystemError* error);

  LinkKeeper(int put, int take) : put_(put), take_(take) {}
  bool is_open() const { return put_ >= 0; }

  // From now on the link outlives this process.
  bool Put(int link, int ifindex, XdpHook hook) const;

  // The link of a device's program at that hook, which goes on being kept, as a descriptor that is the caller's; or -1.
  // Links of devices that went away are let go.
  int Find(int ifindex, XdpHook hook) const;

 private:
  const int put_;
  const int take_;
};

}  // namespace sluice
