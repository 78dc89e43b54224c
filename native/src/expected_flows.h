// Flows that functions expect to begin soon, on behalf of others that live (nfs/sdk/ABI.md, section 13): FTP's data
// connections, media of a call. What is expected is used once, and lives for a while.
#pragma once

#include <cstdint>
#include <memory>

#include "flow_key.h"

namespace sluice {

// The first frame as it enters the chain. Source address and port 0: any.
struct ExpectedFlow {
  Endpoints endpoints;
  uint16_t zone;
  uint16_t vlan;
  uint8_t ip_proto;
  uint8_t ip_version;
  uint64_t deadline_ns;
};

class ExpectedFlows {
 public:
  static constexpr uint32_t kCapacity = 4096;

  ExpectedFlows();

  bool empty() const { return count_ == 0; }
  // In place of one for the same frames. False if there is no room.
  bool Add(const ExpectedFlow& expected, uint64_t now_ns);
  // Whether a flow whose first frame `side` of the key sends was expected; it is not any more.
  bool Take(const FlowKey& key, uint8_t side, uint64_t now_ns);

 private:
  static constexpr uint32_t kBuckets = 4096;

  struct Entry {
    ExpectedFlow expected;
    uint32_t next;
  };

  uint32_t* BucketOf(const uint8_t* destination, uint16_t port, uint8_t ip_proto);
  void Free(uint32_t* link);
  void FreeOverdue(uint64_t now_ns);

  // Entries are numbered from 1; 0 is none.
  const std::unique_ptr<Entry[]> entries_;
  const std::unique_ptr<uint32_t[]> buckets_;
  uint32_t free_ = 0;
  uint32_t used_ = 0;
  uint32_t count_ = 0;
};

}  // namespace sluice
