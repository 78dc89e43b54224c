// What nfs/nat remembers (nfs/nat/store.ts), in C++ and in the very segment of the function.
#pragma once

#include "twin_memory.h"

namespace sluice::twin {

struct MappingTwin {
  uint32_t next, next_outside, inside_address, outside_address, remote_address, sessions, host;
  uint16_t place, inside_port, outside_port, remote_port;
  uint8_t ip_proto, filtering, hairpins, port;
  uint32_t block;
};

struct SessionTwin {
  uint32_t next, flow, mapping, target, permission, host;
  uint32_t source, destination, new_source, new_destination;
  uint16_t source_port, destination_port, new_source_port, new_destination_port;
  uint8_t exit_port, entry_port, hairpins, families;
  uint32_t control;
};

struct PermissionTwin {
  uint32_t next, mapping, remote_address, remote_port, sessions;
};

struct HostTwin {
  uint32_t next, address, mappings, sessions, outside_address, block, blocks;
};

/** Entries of one kind, as nfs/nat/bench/index.ts writes them: addresses, and the entries' size and number. */
struct SlabTables {
  uint32_t head, first, bytes, capacity, level;
};

/** As nfs/nat/bench/index.ts writes it: addresses, unless said otherwise. */
struct NatTables {
  uint32_t base, header, places, port_sets;
  uint32_t inside_buckets, outside_buckets, permission_buckets, host_buckets;
  SlabTables mappings, sessions, permissions, hosts;
  uint32_t expectations;
  // Columns.
  uint32_t session, inside_address, inside_port, outside_address, outside_port;
  uint32_t outside_ports;
  // The rule; but for the pool and the counter the values themselves.
  uint32_t source, source_mask, pool, pool_size, low_port, high_port, udp_timeout_ms, translated;
};

class NatStore {
 public:
  NatStore(TwinMemory memory, const NatTables& tables);

  /** Reference of a zeroed entry; 0 if all are in use. */
  uint32_t Take(const SlabTables& slab) const;
  /** Address of the bucket's first reference. */
  uint32_t BucketOf(uint32_t buckets, uint64_t first, uint64_t second) const;
  /** Makes the entry the bucket's first one; `next` is where it is linked. */
  void Link(uint32_t bucket, uint32_t reference, uint32_t* next) const;
  uint32_t Random(uint32_t limit) const;

  template <typename T>
  T* At(uint32_t reference) const {
    return memory_.At<T>(tables_.base + reference);
  }

 private:
  struct Header {
    uint64_t secret;
    uint64_t random;
  };

  TwinMemory memory_;
  const NatTables& tables_;
  uint64_t seed_;
};

}  // namespace sluice::twin
