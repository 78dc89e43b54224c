// DPDK's rte_hash as a peer: default hash function (CRC32C), bulk lookup, no huge pages.
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_hash.h>
#include <sched.h>
#include <stdio.h>

#include <algorithm>
#include <iterator>
#include <string>

#include "flow_peer.h"

namespace bench {
namespace {

constexpr uint32_t kBulk = RTE_HASH_LOOKUP_BULK_MAX;

class DpdkPeer final : public FlowPeer {
 public:
  explicit DpdkPeer(rte_hash* hash) : hash_(hash) {}
  ~DpdkPeer() override {
    rte_hash_free(hash_);
    rte_eal_cleanup();
  }

  bool Insert(const sluice::FlowKey& key) override { return rte_hash_add_key(hash_, &key) >= 0; }

  uint32_t Find(const sluice::FlowKey* keys, uint32_t count) override {
    uint32_t found = 0;
    for (uint32_t first = 0; first < count; first += kBulk) {
      const uint32_t bulk = std::min(kBulk, count - first);
      const void* pointers[kBulk];
      int32_t positions[kBulk];
      for (uint32_t i = 0; i < bulk; ++i) pointers[i] = keys + first + i;
      rte_hash_lookup_bulk(hash_, pointers, bulk, positions);
      for (uint32_t i = 0; i < bulk; ++i) found += positions[i] >= 0;
    }
    return found;
  }

 private:
  rte_hash* const hash_;
};

// On the core that the bench was started on.
bool StartEal(uint64_t megabytes) {
  std::string options[] = {"flow_bench",
                           "--no-huge",
                           "--no-pci",
                           "--no-shconf",
                           "--no-telemetry",
                           "--log-level=error",
                           "--lcores=0@" + std::to_string(sched_getcpu()),
                           "-m",
                           std::to_string(megabytes)};
  char* arguments[std::size(options)];
  for (size_t i = 0; i < std::size(options); ++i) arguments[i] = options[i].data();
  return rte_eal_init(static_cast<int>(std::size(options)), arguments) >= 0;
}

}  // namespace

std::unique_ptr<FlowPeer> MakeFlowPeer(uint32_t tuples) {
  // 64 bytes for the key, 8 for its share of a bucket, 8 for the ring of free places.
  if (!StartEal(64 + (uint64_t{tuples} * 96 >> 20))) {
    fprintf(stderr, "rte_eal_init: %s\n", rte_strerror(rte_errno));
    return nullptr;
  }
  rte_hash_parameters parameters = {};
  parameters.name = "flows";
  parameters.entries = tuples;
  parameters.key_len = sizeof(sluice::FlowKey);
  parameters.socket_id = 0;
  rte_hash* hash = rte_hash_create(&parameters);
  if (hash == nullptr) {
    fprintf(stderr, "rte_hash_create: %s\n", rte_strerror(rte_errno));
    return nullptr;
  }
  return std::make_unique<DpdkPeer>(hash);
}

}  // namespace bench
