// The records and results that host and functions share (nfs/sdk/ABI.md, sections 4 and 5).
// All fields are little-endian; values read from headers are in host order.
#pragma once

#include <cstddef>
#include <cstdint>

#include "abi.h"

namespace sluice {

struct Record {
  uint32_t frame;  // address in the functions' memory: frames window + offset in the UMEM
  uint32_t length;
  uint32_t wire_length;
  uint16_t l3_offset;
  uint16_t l4_offset;
  uint16_t payload_offset;
  uint16_t payload_length;
  uint16_t ether_type;
  uint8_t ip_proto;
  uint8_t ip_version;
  uint16_t flags;
  uint8_t malformed;
  uint8_t vlan_count;
  uint16_t outer_tci;
  uint16_t inner_tci;
  uint16_t source_port;
  uint16_t destination_port;
  uint8_t tcp_flags;
  uint8_t traffic_class;
  uint8_t port;
  uint8_t direction;
  uint8_t link;
  uint8_t tunnel;
  uint16_t fragment_offset;
  uint32_t hash;
  uint32_t flow;
  uint32_t events;
  uint32_t mark;
  uint32_t labels;
};
static_assert(sizeof(Record) == abi::kRecordBytes);
static_assert(offsetof(Record, l3_offset) == abi::kRecordL3Offset);
static_assert(offsetof(Record, ether_type) == abi::kRecordEtherType);
static_assert(offsetof(Record, flags) == abi::kRecordFlags);
static_assert(offsetof(Record, vlan_count) == abi::kRecordVlanCount);
static_assert(offsetof(Record, source_port) == abi::kRecordSourcePort);
static_assert(offsetof(Record, tcp_flags) == abi::kRecordTcpFlags);
static_assert(offsetof(Record, direction) == abi::kRecordDirection);
static_assert(offsetof(Record, tunnel) == abi::kRecordTunnel);
static_assert(offsetof(Record, fragment_offset) == abi::kRecordFragmentOffset);
static_assert(offsetof(Record, hash) == abi::kRecordHash);
static_assert(offsetof(Record, labels) == abi::kRecordLabels);

struct Result {
  uint8_t verdict;
  uint8_t flags;
  uint16_t reason;
  uint16_t target;
  int16_t head;
  uint32_t length;
  uint32_t value;
};
static_assert(sizeof(Result) == abi::kResultBytes);
static_assert(offsetof(Result, head) == abi::kResultHead);
static_assert(offsetof(Result, value) == abi::kResultValue);

struct Batch {
  uint32_t count;
  uint32_t hop;
  uint64_t time_ns;
  uint8_t reserved[abi::kBatchInput - 16];
  uint16_t input[abi::kBatchCapacity];
};
static_assert(sizeof(Batch) == abi::kBatchBytes);
static_assert(offsetof(Batch, input) == abi::kBatchInput);

}  // namespace sluice
