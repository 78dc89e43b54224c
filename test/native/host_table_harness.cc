// Several threads learn and look up the same hosts at once: one line `THREADS ROUNDS`, answered with how often a host
// was found, and with a link address that nobody has said of it (`torn`).
#include <stdio.h>

#include <atomic>
#include <iostream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "host_table.h"

namespace {

using sluice::HostKey;
using sluice::HostTable;
using sluice::MacAddress;

// Not more than fit, but unevenly spread: some have to go.
constexpr uint32_t kHosts = HostTable::kCapacity;
constexpr uint64_t kNow = 1'000'000'000'000;

HostKey KeyOf(uint32_t host) {
  HostKey key{.version = 6, .port = static_cast<uint8_t>(host & 1)};
  for (uint32_t byte = 0; byte < 16; ++byte) key.address[byte] = static_cast<uint8_t>(host >> byte % 4 * 8);
  return key;
}

MacAddress MacOf(uint32_t host, uint32_t round) {
  const auto byte = [](uint32_t value, uint32_t place) { return static_cast<uint8_t>(value >> place * 8); };
  return {static_cast<uint8_t>(round << 1), byte(host, 0), byte(host, 1), byte(host, 0), byte(host, 1), byte(round, 0)};
}

bool IsOf(const MacAddress& mac, uint32_t host) { return mac == MacOf(host, mac[5]); }

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    uint32_t threads = 1, rounds = 1;
    in >> threads >> rounds;
    HostTable table;
    std::atomic<uint64_t> found = 0, torn = 0;
    std::vector<std::thread> running;
    for (uint32_t thread = 0; thread < threads; ++thread) {
      running.emplace_back([&, thread] {
        MacAddress mac;
        bool ask;
        for (uint32_t round = 0; round < rounds; ++round) {
          for (uint32_t host = 0; host < kHosts; ++host) {
            const uint64_t now = kNow + round * 1'000'000ull + thread;
            table.Learn(KeyOf(host), MacOf(host, round + thread), now, HostTable::Hearsay::kSure);
            const uint32_t other = (host * 7 + thread) % kHosts;
            if (!table.Find(KeyOf(other), now, &mac, &ask)) continue;
            ++found;
            if (!IsOf(mac, other)) ++torn;
          }
        }
      });
    }
    for (std::thread& each : running) each.join();
    printf("{\"found\":%llu,\"torn\":%llu}\n", static_cast<unsigned long long>(found.load()),
           static_cast<unsigned long long>(torn.load()));
    fflush(stdout);
  }
  return 0;
}
