// Runs the XDP program on frames without a device: `steer_harness PROGRAM [CLASS …]`, CLASS as for afxdp_harness.
// Reads one frame per line in hexadecimal, writes "left" (to the kernel, for its class) or "redirected" per line.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>

#include <iostream>
#include <string>
#include <vector>

#include "../../native/bpf/shared.h"

namespace {

steer_class ReadClass(const char* text, steer_config* config) {
  unsigned first = 0, second = 0;
  if (sscanf(text, "ether:%u", &first) == 1) {
    config->by_ether_type = 1;
    return {STEER_ETHER_TYPE, 0, static_cast<__u16>(first)};
  }
  const bool port = sscanf(text, "ip:%u:%u", &first, &second) == 2;
  (port ? config->by_destination_port : config->by_ip_proto) = 1;
  const auto kind = static_cast<__u8>(port ? STEER_DESTINATION_PORT : STEER_IP_PROTO);
  return {kind, static_cast<__u8>(first), static_cast<__u16>(second)};
}

std::vector<uint8_t> ReadFrame(const std::string& line) {
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i + 1 < line.size(); i += 2) {
    bytes.push_back(static_cast<uint8_t>(strtoul(line.substr(i, 2).c_str(), nullptr, 16)));
  }
  return bytes;
}

uint64_t CountOf(int map, uint32_t counter) {
  std::vector<uint64_t> values(static_cast<size_t>(libbpf_num_possible_cpus()));
  bpf_map_lookup_elem(map, &counter, values.data());
  uint64_t sum = 0;
  for (const uint64_t value : values) sum += value;
  return sum;
}

bool Run(int program, std::vector<uint8_t>& frame) {
  bpf_test_run_opts options{};
  options.sz = sizeof(options);
  options.data_in = frame.data();
  options.data_size_in = static_cast<__u32>(frame.size());
  options.repeat = 1;
  return bpf_prog_test_run_opts(program, &options) == 0 && options.retval == XDP_PASS;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) return 2;
  bpf_object* object = bpf_object__open_file(arguments[1], nullptr);
  if (object == nullptr) return 1;
  steer_config config{};
  std::vector<steer_class> classes;
  for (int i = 2; i < count; ++i) classes.push_back(ReadClass(arguments[i], &config));
  bpf_map__set_initial_value(bpf_object__find_map_by_name(object, ".rodata"), &config, sizeof(config));
  if (bpf_object__load(object) < 0) return 1;
  const __u8 present = 1;
  const int kernel_classes = bpf_object__find_map_fd_by_name(object, "kernel_classes");
  for (const steer_class& entry : classes) bpf_map_update_elem(kernel_classes, &entry, &present, BPF_ANY);

  const int program = bpf_program__fd(bpf_object__find_program_by_name(object, "steer"));
  const int frames = bpf_object__find_map_fd_by_name(object, "frames");
  for (std::string line; std::getline(std::cin, line);) {
    std::vector<uint8_t> frame = ReadFrame(line);
    const uint64_t before = CountOf(frames, STEER_LEFT);
    // Without a socket in the map every frame passes to the kernel in the end; the counters tell why.
    if (!Run(program, frame)) return 1;
    puts(CountOf(frames, STEER_LEFT) > before ? "left" : "redirected");
  }
  return 0;
}
