#include "steering.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include "kernel_inlet.h"

namespace sluice {
namespace {

thread_local std::string libbpf_text;

int KeepText(libbpf_print_level level, const char* format, va_list arguments) {
  if (level != LIBBPF_WARN || libbpf_text.size() > 4096) return 0;
  char line[512];
  vsnprintf(line, sizeof(line), format, arguments);
  libbpf_text += line;
  return 0;
}

// RLIMIT_MEMLOCK needs no care: kernels since 5.11 charge BPF memory to the cgroup instead. On older ones libbpf tries
// to raise it, goes on if it may not, and the maps, some 20 KiB, fit into any usual limit.
void PrepareLibbpf() {
  libbpf_set_print(KeepText);
  libbpf_text.clear();
}

std::mutex shared_mutex;
std::map<int, std::weak_ptr<Steering>> shared_by_ifindex;

bool SameClasses(const std::vector<steer_class>& a, const std::vector<steer_class>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(a[0])) == 0);
}

// Zeros if the device is gone: then nothing is for it.
void ReadMac(const std::string& device, uint8_t* mac) {
  ifreq request{};
  std::snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device.c_str());
  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket >= 0 && ioctl(socket, SIOCGIFHWADDR, &request) == 0) {
    std::memcpy(mac, request.ifr_hwaddr.sa_data, STEER_MAC_BYTES);
  }
  if (socket >= 0) close(socket);
}

steer_config ConfigOf(const Steering::Options& options) {
  steer_config config{};
  config.drops_unclaimed = options.drops_when_down;
  config.is_routed = options.is_routed;
  if (options.is_routed) ReadMac(options.device, config.mac);
  std::memcpy(config.mark, KernelInlet::ProcessMark().data(), STEER_MAC_BYTES);
  for (const steer_class& entry : options.kernel) {
    if (entry.kind == STEER_ETHER_TYPE) config.by_ether_type = 1;
    if (entry.kind == STEER_IP_PROTO) config.by_ip_proto = 1;
    if (entry.kind == STEER_DESTINATION_PORT) config.by_destination_port = 1;
  }
  return config;
}

}  // namespace

std::shared_ptr<Steering> Steering::Share(const Options& options, SystemError* error) {
  const std::lock_guard lock(shared_mutex);
  std::weak_ptr<Steering>& place = shared_by_ifindex[options.ifindex];
  if (std::shared_ptr<Steering> running = place.lock()) {
    const bool same_hook = running->options_.hook == options.hook;
    if (same_hook && SameClasses(running->options_.kernel, options.kernel)) return running;
    *error = running->Failure("bpf_link_create", same_hook ? EBUSY : EEXIST);
    error->detail = same_hook
                        ? "this process leaves other classes of traffic to the kernel on the device's other queues"
                        : "this process runs the device's other queues at the other hook";
    return nullptr;
  }
  PrepareLibbpf();
  std::shared_ptr<Steering> steering(new Steering(options));
  if (!steering->Load(error)) return nullptr;
  place = steering;
  return steering;
}

Steering::~Steering() {
  if (link_ >= 0) close(link_);
  bpf_object__close(object_);
}

bool Steering::Load(SystemError* error) {
  object_ = bpf_object__open_file(options_.program.c_str(), nullptr);
  if (object_ == nullptr) {
    *error = {"bpf_object__open_file", options_.program, errno, libbpf_text};
    return false;
  }
  const steer_config config = ConfigOf(options_);
  bpf_map* constants = bpf_object__find_map_by_name(object_, ".rodata");
  if (constants == nullptr || bpf_map__set_initial_value(constants, &config, sizeof(config)) < 0) {
    *error = {"bpf_map__set_initial_value", options_.program, EINVAL, "the file is not the steering program"};
    return false;
  }
  if (const int result = bpf_object__load(object_); result < 0) {
    *error = Failure("bpf(BPF_PROG_LOAD)", -result);
    return false;
  }
  const uint8_t present = 1;
  for (const steer_class& entry : options_.kernel) {
    if (bpf_map_update_elem(MapDescriptor("kernel_classes"), &entry, &present, BPF_ANY) < 0) {
      *error = Failure("bpf_map_update_elem(kernel_classes)", errno);
      return false;
    }
  }
  return true;
}

bool Steering::Attach(SystemError* error) {
  if (link_ >= 0) return true;
  const int program = bpf_program__fd(bpf_object__find_program_by_name(object_, "steer"));
  return Replace(program) || Create(program, error);
}

// A link that an earlier process left: the program is exchanged between two frames.
bool Steering::Replace(int program) {
  if (!options_.keeper.is_open()) return false;
  link_ = options_.keeper.Find(options_.ifindex, options_.hook);
  if (link_ < 0) return false;
  if (bpf_link_update(link_, program, nullptr) == 0) return true;
  close(std::exchange(link_, -1));
  return false;
}

bool Steering::Create(int program, SystemError* error) {
  bpf_link_create_opts options{};
  options.sz = sizeof(options);
  options.flags = options_.hook == XdpHook::kDriver ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
  link_ = bpf_link_create(program, options_.ifindex, BPF_XDP, &options);
  if (link_ < 0) {
    *error = Failure("bpf_link_create", errno);
    return false;
  }
  if (!options_.keeper.is_open() || options_.keeper.Put(link_, options_.ifindex, options_.hook)) return true;
  *error = Failure("sendmsg(SCM_RIGHTS)", errno);
  return false;
}

bool Steering::Insert(uint32_t queue, int socket, SystemError* error) {
  const std::lock_guard lock(shared_mutex);
  const uint8_t closed = options_.drops_when_down;
  if (bpf_map_update_elem(MapDescriptor("closed_queues"), &queue, &closed, BPF_ANY) == 0 &&
      bpf_map_update_elem(MapDescriptor("socket_by_queue"), &queue, &socket, BPF_ANY) == 0) {
    return Attach(error);
  }
  *error = Failure("bpf_map_update_elem(socket_by_queue)", errno);
  return false;
}

void Steering::Remove(uint32_t queue) { bpf_map_delete_elem(MapDescriptor("socket_by_queue"), &queue); }

void Steering::SetOwnAddresses(const std::vector<steer_address>& addresses) {
  const std::lock_guard lock(shared_mutex);
  const int map = MapDescriptor("own_addresses");
  const uint8_t present = 1;
  const auto is_among = [](const steer_address& address, const std::vector<steer_address>& list) {
    return std::ranges::any_of(list, [&](const steer_address& each) {
      return std::memcmp(each.bytes, address.bytes, STEER_ADDRESS_BYTES) == 0;
    });
  };
  // Those that stay are never missing, and all lanes say the same: only the first one changes anything.
  for (const steer_address& address : own_addresses_) {
    if (!is_among(address, addresses)) bpf_map_delete_elem(map, &address);
  }
  for (const steer_address& address : addresses) {
    if (!is_among(address, own_addresses_)) bpf_map_update_elem(map, &address, &present, BPF_ANY);
  }
  own_addresses_ = addresses;
}

Steering::Counts Steering::Count() const {
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return {};
  std::vector<uint64_t> values(static_cast<size_t>(cpus));
  uint64_t sums[STEER_COUNTERS] = {};
  for (uint32_t counter = 0; counter < STEER_COUNTERS; ++counter) {
    if (bpf_map_lookup_elem(MapDescriptor("frames"), &counter, values.data()) < 0) continue;
    for (const uint64_t value : values) sums[counter] += value;
  }
  return {sums[STEER_REDIRECTED], sums[STEER_LEFT], sums[STEER_UNCLAIMED], sums[STEER_DROPPED]};
}

SystemError Steering::Failure(const char* call, int code) const { return {call, options_.device, code, libbpf_text}; }

int Steering::MapDescriptor(const char* name) const { return bpf_map__fd(bpf_object__find_map_by_name(object_, name)); }

}  // namespace sluice
