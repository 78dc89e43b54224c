// Follows the kernel's links, addresses, routes and neighbours over netlink, and has it look for neighbours that lanes
// want. What is known at a time is a Forwarding, which never changes; the next one replaces it.
//
// Whatever changes but neighbours makes it read everything again: the kernel does not say which routes went with a
// link. Tables besides main and local, routing rules and types of service are not followed.
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "forwarding.h"
#include "system_error.h"

struct mnl_socket;
struct nlmsghdr;

namespace sluice {

class RouteMirror {
 public:
  // Of the network namespace of the calling thread; knows everything when it returns. Errors: EPERM, EMFILE ….
  static std::shared_ptr<RouteMirror> Follow(SystemError* error);
  // One that never changes, and looks for nobody: for files and tests.
  static std::shared_ptr<RouteMirror> Fixed(Forwarding forwarding);

  ~RouteMirror();
  RouteMirror(const RouteMirror&) = delete;
  RouteMirror& operator=(const RouteMirror&) = delete;

  // All of it from any thread.
  uint64_t version() const { return version_.load(std::memory_order_acquire); }
  std::shared_ptr<const Forwarding> current() const;
  // Has the kernel look for the neighbour. Does not wait; false if that has to be asked again later.
  bool Resolve(const Neighbour& neighbour);
  // The event descriptor is written whenever there is a next Forwarding.
  void Wake(int descriptor);
  void Forget(int descriptor);

 private:
  using NeighbourKey = std::pair<std::pair<int, uint8_t>, AddressBytes>;

  RouteMirror() = default;
  bool Open(SystemError* error);
  void Run();
  void ReadEvents();
  void Note(const nlmsghdr* message);
  bool ReadAll();
  template <typename Take>
  bool Dump(uint16_t type, uint8_t family, Take take);
  void ReadNeighbours();
  void NoteNeighbour(const nlmsghdr* message);
  void Publish();
  void Probe(const std::vector<Neighbour>& neighbours);

  mnl_socket* events_ = nullptr;
  mnl_socket* requests_ = nullptr;
  int wake_ = -1;
  std::thread thread_;
  std::atomic<bool> stops_ = false;

  // The thread's own.
  Forwarding next_;
  std::map<NeighbourKey, Neighbour> neighbours_;
  bool routes_changed_ = false;
  bool neighbours_changed_ = false;
  bool lost_events_ = false;
  std::vector<std::shared_ptr<const Forwarding>> published_;  // that somebody may still look at
  uint64_t read_next_ms_ = 0;
  uint64_t probe_next_ms_ = 0;
  uint32_t sequence_ = 0;

  std::atomic<uint64_t> version_ = 0;
  mutable std::mutex lock_;
  std::shared_ptr<const Forwarding> current_ = std::make_shared<Forwarding>();
  std::vector<int> woken_;
  std::mutex wanted_lock_;
  std::vector<Neighbour> wanted_;
};

}  // namespace sluice
