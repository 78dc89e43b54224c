#include "lane_choice.h"

#include "fragment_header.h"
#include "icmp_quote.h"

namespace sluice {

bool ReadChoiceKey(const Record& record, const uint8_t* bytes, FlowKey* key) {
  uint8_t side;
  if (!ReadFlowKey(record, bytes, 0, key, &side)) return false;
  Endpoints quoted;
  uint8_t ip_proto;
  uint8_t ip_version;
  const bool whole = (record.flags & abi::kRecordFlagFragment) == 0;
  if (whole && ReadQuotedPacket(record, bytes, &quoted, &ip_proto, &ip_version)) {
    *key = MakeFlowKey(quoted, ip_proto, ip_version, 0, 0, &side);
  }
  return true;
}

LaneChoice::LaneChoice(const Record& record, const uint8_t* bytes, Detours& detours, const LaneSpread& now) {
  has_key_ = ReadChoiceKey(record, bytes, &key_);
  if (has_key_ && (record.flags & abi::kRecordFlagFragment) != 0) {
    detour_ = DetourOfFragment(record, bytes, detours, now);
  } else if (has_key_ && detours.size() > 0) {
    detour_ = detours.Find(key_);
  }
  lane_ = Among(now);
}

// A first fragment whose lane is not that of its addresses says so, for those behind it.
int32_t LaneChoice::DetourOfFragment(const Record& record, const uint8_t* bytes, Detours& detours,
                                     const LaneSpread& now) const {
  const bool by_port = now.SharedEnd(key_) >= 0;
  if (!by_port && detours.size() == 0) return -1;
  FragmentHeader header;
  if (!ReadFragmentHeader(record, bytes, 0, &header)) return -1;
  if (header.start > 0) {
    const int32_t known = detours.FindFragments(header.key);
    return known >= 0 || !by_port ? known : static_cast<int32_t>(HashAddresses(key_) % now.lanes);
  }
  int32_t lane = detours.size() == 0 ? -1 : detours.Find(key_);
  if (lane < 0 && by_port) lane = static_cast<int32_t>(now.LaneOf(key_));
  detours.NoteFragments(header.key, lane);
  return lane;
}

uint32_t LaneChoice::Among(const LaneSpread& spread) const {
  if (detour_ >= 0 && static_cast<uint32_t>(detour_) < spread.lanes) return static_cast<uint32_t>(detour_);
  return has_key_ ? spread.LaneOf(key_) : 0;
}

uint32_t LaneOfFlow(const FlowKey& key, const LaneSpread& spread) {
  return key.quoted != 0 ? key.quoted % spread.lanes : spread.LaneOf(key);
}

int32_t LaneOfTurned(const Record& record, const uint8_t* bytes, Detours& detours, const LaneSpread& spread,
                     uint32_t lane) {
  FlowKey key;
  uint8_t side;
  if (spread.rule == nullptr || !ReadFlowKey(record, bytes, 0, &key, &side)) return -1;
  FragmentHeader header;
  const bool is_part = (record.flags & abi::kRecordFlagFragment) != 0;
  if (is_part && !ReadFragmentHeader(record, bytes, 0, &header)) return -1;
  if (is_part && header.start > 0) return detours.FindFragments(header.key);
  const uint8_t* to = key.address[side ^ 1];
  uint16_t port = key.port[side ^ 1];
  FlowKey flow;
  Endpoints quoted;
  uint8_t ip_proto;
  uint8_t ip_version;
  if (!is_part && ReadQuotedPacket(record, bytes, &quoted, &ip_proto, &ip_version)) port = quoted.source_port;
  const int32_t detour = ReadChoiceKey(record, bytes, &flow) ? detours.Find(flow) : -1;
  // Where it is a flow that this lane sends there, the other half is looked for.
  const bool is_known = detour >= 0 && static_cast<uint32_t>(detour) != lane;
  const int32_t chosen = is_known ? detour : spread.LaneOfShared(to, key.ip_version, port);
  if (is_part && chosen >= 0) detours.NoteFragments(header.key, chosen);
  return chosen;
}

}  // namespace sluice
