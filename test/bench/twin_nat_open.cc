// A flow's first packet: nfs/nat/open.ts and mappings.ts.
#include "twin_nat.h"

namespace sluice::twin {
namespace {

constexpr uint8_t kUdp = 17;
/** Of nfs/nat/rules.ts: filtering that depends on the address. */
constexpr uint8_t kAddressDependent = 1;
constexpr uint32_t kUntranslated = 1;

/** The body of MESSAGE_BIND. */
struct TupleBody {
  uint32_t source[4];
  uint32_t destination[4];
  uint16_t source_port, destination_port;
};
static_assert(sizeof(TupleBody) == 36);

struct MessageHead {
  uint16_t kind, flags;
  uint32_t bytes, flow, value;
};
static_assert(sizeof(MessageHead) == abi::kMessageHeadBytes);

}  // namespace

/** Reference of the flow's session; 0 if the packet was dropped, kUntranslated if no rule is for it. */
uint32_t NatTwin::Begin(const Record& record, Result* result) {
  const uint8_t* header = memory_.At<uint8_t>(record.frame + record.l3_offset);
  Tuple tuple;
  std::memcpy(&tuple.source, header + 12, 8);
  tuple.source = __builtin_bswap32(tuple.source);
  tuple.destination = __builtin_bswap32(tuple.destination);
  tuple.source_port = record.source_port;
  tuple.destination_port = record.destination_port;
  const bool is_outside = memory_.Load<uint8_t>(tables_.outside_ports + record.port) != 0;
  const bool expects = memory_.Load<uint32_t>(tables_.expectations, 8) != 0;
  uint32_t reference = 0;
  if (record.ip_proto == kUdp && record.l4_offset != abi::kOffsetNone && tuple.source >> 24 != 0 &&
      tuple.destination >> 24 != 0 && !is_outside && !expects && !IsClaimed(tuple.destination)) {
    if ((tuple.source & tables_.source_mask) != tables_.source) {
      *memory_.At<uint32_t>(tables_.session + record.flow * 4) = kUntranslated;
      return kUntranslated;
    }
    const uint32_t mapping = FindMapping(tuple);
    reference = mapping == 0 ? 0 : Open(record, tuple, mapping);
  }
  if (reference == 0) result->verdict = abi::kVerdictDrop;
  return reference;
}

uint32_t NatTwin::Open(const Record& record, const Tuple& tuple, uint32_t mapping) {
  MappingTwin& mapped = *store_.At<MappingTwin>(mapping);
  mapped.port = record.port;
  const uint32_t host = HoldHost(tuple.source);
  const uint32_t permission = Permit(mapping, tuple.destination);
  const uint32_t reference = host == 0 ? 0 : store_.Take(tables_.sessions);
  if (reference == 0) return 0;
  SessionTwin& session = *store_.At<SessionTwin>(reference);
  session.flow = record.flow;
  session.mapping = mapping;
  session.permission = permission;
  session.host = host;
  ++mapped.sessions;
  if (permission != 0) ++store_.At<PermissionTwin>(permission)->sessions;
  ++store_.At<HostTwin>(host)->sessions;
  *memory_.At<uint32_t>(tables_.session + record.flow * 4) = reference;
  session.source = tuple.source;
  session.destination = session.new_destination = tuple.destination;
  session.new_source = mapped.outside_address;
  session.source_port = tuple.source_port;
  session.destination_port = session.new_destination_port = tuple.destination_port;
  session.new_source_port = mapped.outside_port;
  session.entry_port = session.exit_port = record.port;
  Bind(record.flow, session);
  Name(record.flow, session);
  memory_.Count(tables_.translated);
  return reference;
}

uint32_t NatTwin::FindMapping(const Tuple& tuple) {
  const uint64_t endpoint = uint64_t{tuple.source} << 32 | uint32_t{tuple.source_port} << 16 | kUdp;
  const uint32_t bucket = store_.BucketOf(tables_.inside_buckets, endpoint, 0);
  for (uint32_t reference = memory_.Load<uint32_t>(bucket); reference != 0;) {
    const MappingTwin& known = *store_.At<MappingTwin>(reference);
    if (known.inside_address == tuple.source && known.inside_port == tuple.source_port && known.ip_proto == kUdp &&
        known.remote_address == 0 && known.remote_port == 0) {
      return reference;
    }
    reference = known.next;
  }
  return MakeMapping(tuple, bucket);
}

uint32_t NatTwin::MakeMapping(const Tuple& tuple, uint32_t bucket) {
  const uint32_t held = HoldHost(tuple.source);
  if (held == 0) return 0;
  HostTwin& host = *store_.At<HostTwin>(held);
  uint32_t member;
  const int32_t port = ChoosePort(tuple, host, &member);
  const uint32_t reference = port < 0 ? 0 : store_.Take(tables_.mappings);
  if (reference == 0) return 0;
  MappingTwin& mapping = *store_.At<MappingTwin>(reference);
  mapping.inside_address = tuple.source;
  mapping.inside_port = tuple.source_port;
  mapping.ip_proto = kUdp;
  mapping.outside_address = memory_.Load<uint32_t>(tables_.pool + member * 4);
  mapping.outside_port = static_cast<uint16_t>(port);
  mapping.filtering = kAddressDependent;
  mapping.hairpins = 1;
  mapping.host = held;
  ++host.mappings;
  host.outside_address = mapping.outside_address;
  mapping.place = static_cast<uint16_t>(ports_.Take(port));
  store_.Link(bucket, reference, &mapping.next);
  const uint64_t outside = uint64_t{mapping.outside_address} << 32 | static_cast<uint32_t>(port) << 16 | kUdp;
  store_.Link(store_.BucketOf(tables_.outside_buckets, outside, 0), reference, &mapping.next_outside);
  return reference;
}

/** The host's own address if it has mappings, otherwise any of the pool; -1 if it has no port. */
int32_t NatTwin::ChoosePort(const Tuple& tuple, const HostTwin& host, uint32_t* member) {
  const uint32_t* pool = memory_.At<uint32_t>(tables_.pool);
  const uint32_t size = tables_.pool_size;
  uint32_t paired = size;
  if (host.mappings > 0) {
    for (paired = 0; paired < size && pool[paired] != host.outside_address;) ++paired;
  }
  const uint32_t first = paired < size ? paired : store_.Random(size);
  const uint32_t tries = paired < size ? 1 : size;
  for (uint32_t i = 0; i < tries; ++i) {
    *member = (first + i) % size;
    const uint32_t start = tables_.low_port + store_.Random(tables_.high_port - tables_.low_port + 1);
    const int32_t port = ports_.Find(*member, tuple.source_port, start);
    if (port >= 0) return port;
  }
  return -1;
}

uint32_t NatTwin::HoldHost(uint32_t address) const {
  const uint32_t bucket = store_.BucketOf(tables_.host_buckets, address, 0);
  for (uint32_t reference = memory_.Load<uint32_t>(bucket); reference != 0;) {
    const HostTwin& known = *store_.At<HostTwin>(reference);
    if (known.address == address) return reference;
    reference = known.next;
  }
  const uint32_t reference = store_.Take(tables_.hosts);
  if (reference == 0) return 0;
  HostTwin& host = *store_.At<HostTwin>(reference);
  host.address = address;
  store_.Link(bucket, reference, &host.next);
  return reference;
}

uint32_t NatTwin::Permit(uint32_t mapping, uint32_t address) const {
  const uint32_t bucket = store_.BucketOf(tables_.permission_buckets, uint64_t{mapping} << 32 | address, 0);
  for (uint32_t reference = memory_.Load<uint32_t>(bucket); reference != 0;) {
    const PermissionTwin& known = *store_.At<PermissionTwin>(reference);
    if (known.mapping == mapping && known.remote_address == address && known.remote_port == 0) return reference;
    reference = known.next;
  }
  const uint32_t reference = store_.Take(tables_.permissions);
  if (reference == 0) return 0;
  PermissionTwin& permission = *store_.At<PermissionTwin>(reference);
  permission.mapping = mapping;
  permission.remote_address = address;
  store_.Link(bucket, reference, &permission.next);
  return reference;
}

void NatTwin::Name(uint32_t flow, const SessionTwin& session) const {
  *memory_.At<uint32_t>(tables_.inside_address + flow * 4) = session.source;
  *memory_.At<uint16_t>(tables_.inside_port + flow * 2) = session.source_port;
  *memory_.At<uint32_t>(tables_.outside_address + flow * 4) = session.new_source;
  *memory_.At<uint16_t>(tables_.outside_port + flow * 2) = session.new_source_port;
}

void NatTwin::Bind(uint32_t flow, const SessionTwin& session) const {
  uint8_t* body = Submit(abi::kMessageBind, 4, sizeof(TupleBody), flow, 0);
  if (body != nullptr) {
    TupleBody& tuple = *reinterpret_cast<TupleBody*>(body);
    tuple.source[0] = __builtin_bswap32(session.new_destination);
    tuple.destination[0] = __builtin_bswap32(session.new_source);
    tuple.source_port = session.new_destination_port;
    tuple.destination_port = session.new_source_port;
  }
  Submit(abi::kMessageTimeout, 0, 0, flow, tables_.udp_timeout_ms);
}

/** The message's zeroed body; null, and counted, if there is no room. */
uint8_t* NatTwin::Submit(uint16_t kind, uint16_t flags, uint32_t body_bytes, uint32_t flow, uint32_t value) const {
  const uint32_t outbox = memory_.Context(abi::kContextOutboxAddress);
  uint32_t* used = memory_.At<uint32_t>(outbox + abi::kOutboxUsed);
  const uint32_t bytes = abi::kMessageHeadBytes + ((body_bytes + 7) & ~7u);
  if (*used + bytes > abi::kOutboxBytes - abi::kOutboxMessages) {
    ++*memory_.At<uint32_t>(outbox + abi::kOutboxRefused);
    return nullptr;
  }
  MessageHead* head = memory_.At<MessageHead>(outbox + abi::kOutboxMessages + *used);
  *head = {kind, flags, bytes, flow, value};
  *used += bytes;
  uint8_t* body = reinterpret_cast<uint8_t*>(head + 1);
  std::memset(body, 0, bytes - abi::kMessageHeadBytes);
  return body;
}

bool NatTwin::IsClaimed(uint32_t address) const {
  const uint32_t* pool = memory_.At<uint32_t>(tables_.pool);
  for (uint32_t i = 0; i < tables_.pool_size; ++i) {
    if (pool[i] == address) return true;
  }
  return false;
}

}  // namespace sluice::twin
