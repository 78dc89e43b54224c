#include "twin_nat.h"

namespace sluice::twin {
namespace {

constexpr uint8_t kUdp = 17;
constexpr uint32_t kIpChecksum = 10, kIpSource = 12, kIpDestination = 16, kUdpChecksum = 6;
/** In place of a session: nfs/nat/sessions.ts. */
constexpr uint32_t kUntranslated = 1, kClosed = 3;

uint16_t Load16(const uint8_t* at) { return static_cast<uint16_t>(at[0] << 8 | at[1]); }
void Store16(uint8_t* at, uint32_t value) {
  const uint16_t bytes = __builtin_bswap16(static_cast<uint16_t>(value));
  std::memcpy(at, &bytes, sizeof bytes);
}
uint32_t Load32(const uint8_t* at) {
  uint32_t value;
  std::memcpy(&value, at, sizeof value);
  return __builtin_bswap32(value);
}
void Store32(uint8_t* at, uint32_t value) {
  value = __builtin_bswap32(value);
  std::memcpy(at, &value, sizeof value);
}

// RFC 1624, equation 3.
uint32_t Difference16(uint32_t before, uint32_t after) { return (~before & 0xffff) + after; }
uint32_t Difference32(uint32_t before, uint32_t after) {
  return (~before >> 16) + (~before & 0xffff) + (after >> 16) + (after & 0xffff);
}
uint32_t Mend(uint32_t checksum, uint32_t difference) {
  uint32_t sum = (~checksum & 0xffff) + difference;
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

void Rewrite(uint8_t* ip, uint8_t* udp, uint32_t source, uint32_t source_port, uint32_t destination,
             uint32_t destination_port) {
  const uint32_t addresses =
      Difference32(Load32(ip + kIpSource), source) + Difference32(Load32(ip + kIpDestination), destination);
  Store32(ip + kIpSource, source);
  Store32(ip + kIpDestination, destination);
  Store16(ip + kIpChecksum, Mend(Load16(ip + kIpChecksum), addresses));
  const uint32_t ports = Difference16(Load16(udp), source_port) + Difference16(Load16(udp + 2), destination_port);
  Store16(udp, source_port);
  Store16(udp + 2, destination_port);
  const uint32_t before = Load16(udp + kUdpChecksum);
  if (before == 0) return;
  const uint32_t after = Mend(before, addresses + ports);
  Store16(udp + kUdpChecksum, after == 0 ? 0xffff : after);
}

void Drop(Result* result) { result->verdict = abi::kVerdictDrop; }

}  // namespace

NatTwin::NatTwin(TwinMemory memory, uint32_t tables)
    : memory_(memory), tables_(memory.Load<NatTables>(tables)), store_(memory, tables_), ports_(memory, tables_) {}

bool NatTwin::Fits() const {
  const auto fits = [](const SlabTables& slab, size_t bytes) { return slab.bytes == ((bytes + 7) & ~size_t{7}); };
  return fits(tables_.mappings, sizeof(MappingTwin)) && fits(tables_.sessions, sizeof(SessionTwin)) &&
         fits(tables_.permissions, sizeof(PermissionTwin)) && fits(tables_.hosts, sizeof(HostTwin));
}

void NatTwin::Process() {
  const Batch& batch = memory_.batch();
  const Record* records = memory_.records();
  Result* results = memory_.results();
  const uint32_t count = batch.count;
  for (uint32_t i = 0; i < count; ++i) Translate(records[batch.input[i]], &results[i]);
}

void NatTwin::Translate(const Record& record, Result* result) {
  if (record.ip_version != 4 || record.l3_offset == abi::kOffsetNone || record.flow == 0 ||
      (record.events & abi::kEventIcmpError) != 0) {
    return Drop(result);
  }
  uint32_t reference = memory_.Load<uint32_t>(tables_.session + record.flow * 4);
  if (reference > kClosed && store_.At<SessionTwin>(reference)->flow != record.flow) reference = 0;
  if (reference == kUntranslated) return;
  if (reference == 0) reference = Begin(record, result);
  if (reference <= kUntranslated) return;
  if (reference <= kClosed) return Drop(result);
  Follow(record, *store_.At<SessionTwin>(reference), result);
}

void NatTwin::Follow(const Record& record, const SessionTwin& session, Result* result) const {
  if (record.ip_proto != kUdp || record.l4_offset == abi::kOffsetNone || session.families != 0 ||
      session.control != 0 || session.hairpins != 0) {
    return Drop(result);
  }
  const bool forth = record.direction == 0;
  const uint32_t source = forth ? session.source : session.new_destination;
  const uint32_t source_port = forth ? session.source_port : session.new_destination_port;
  const uint32_t destination = forth ? session.destination : session.new_source;
  const uint32_t destination_port = forth ? session.destination_port : session.new_source_port;
  uint8_t* ip = memory_.At<uint8_t>(record.frame + record.l3_offset);
  uint8_t* udp = memory_.At<uint8_t>(record.frame + record.l4_offset);
  if (Load32(ip + kIpSource) != source || Load32(ip + kIpDestination) != destination) return Drop(result);
  if (record.source_port != source_port || record.destination_port != destination_port) return Drop(result);
  if (forth) {
    Rewrite(ip, udp, session.new_source, session.new_source_port, session.new_destination,
            session.new_destination_port);
  } else {
    Rewrite(ip, udp, session.destination, session.destination_port, session.source, session.source_port);
  }
  if ((record.flags & abi::kRecordFlagFragment) != 0) return Drop(result);
  result->flags |= abi::kResultFlagRewritten;
}

}  // namespace sluice::twin
