// The XDP program of one device (bpf/steer.bpf.c): loaded, attached, and told which queue has which socket.
// Attached by a bpf_link that lives in a descriptor: when the last holder is gone, also by kill -9, so is the program.
// With a keeper the link outlives this process, and the next one exchanges the program without a gap.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "../bpf/shared.h"
#include "link_keeper.h"
#include "system_error.h"

struct bpf_object;

namespace sluice {

// Where in the kernel the program runs: in the driver, or after it has made an skb.
enum class XdpHook : uint8_t { kDriver, kGeneric };

class Steering {
 public:
  struct Options {
    std::string device;
    int ifindex;  // in the process's network namespace
    XdpHook hook;
    std::vector<steer_class> kernel;  // left to the kernel, at most STEER_CLASSES
    std::string program;              // path of steer.bpf.o
    LinkKeeper keeper{-1, -1};        // closed: the program goes with this process
    bool is_routed = false;           // only unicast IP packets for the device's link address come to sockets
    bool drops_when_down = false;     // frames of a queue whose socket is gone; otherwise they go to the kernel
  };

  struct Counts {
    uint64_t redirected;
    uint64_t left;
    uint64_t unclaimed;
    uint64_t dropped;
  };

  // The device's steering: one per process and device, shared by the sockets of its queues whatever their threads.
  // Errors, of Insert, too: EEXIST if the device runs a program at the other hook, EBUSY if at this one or for others.
  static std::shared_ptr<Steering> Share(const Options& options, SystemError* error);

  ~Steering();
  Steering(const Steering&) = delete;
  Steering& operator=(const Steering&) = delete;

  // From now on `queue`'s frames go to the AF_XDP socket. It leaves the map by itself when it is closed. The program is
  // attached the first time, when it knows what to do with these frames, and its link goes to the keeper, if any.
  bool Insert(uint32_t queue, int socket, SystemError* error);

  // The queue's frames go to no socket any more.
  void Remove(uint32_t queue);

  // The machine's own, for devices that route: packets of its own connections stay with the kernel.
  void SetOwnAddresses(const std::vector<steer_address>& addresses);

  // Without a socket, to see whether it can be.
  bool Attach(SystemError* error);

  // Frames since the program was attached, summed over the CPUs.
  Counts Count() const;

 private:
  explicit Steering(const Options& options) : options_(options) {}
  bool Load(SystemError* error);
  bool Replace(int program);
  bool Create(int program, SystemError* error);
  SystemError Failure(const char* call, int code) const;
  int MapDescriptor(const char* name) const;

  const Options options_;
  bpf_object* object_ = nullptr;
  int link_ = -1;
  std::vector<steer_address> own_addresses_;  // as they are in the map
};

}  // namespace sluice
