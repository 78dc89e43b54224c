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
                                     const LaneSpread& now) {
  FragmentHeader header;
  if (!ReadFragmentHeader(record, bytes, 0, &header)) return -1;
  is_later_ = header.start > 0;
  if (is_later_) return detours.FindFragments(header.key);
  const int32_t detour = detours.size() == 0 ? -1 : detours.Find(key_);
  const bool by_port = detour < 0 && now.SharedEnd(key_) >= 0;
  detours.NoteFragments(header.key, by_port ? static_cast<int32_t>(now.LaneOf(key_)) : detour);
  return detour;
}

uint32_t LaneChoice::Among(const LaneSpread& spread) const {
  if (detour_ >= 0 && static_cast<uint32_t>(detour_) < spread.lanes) return static_cast<uint32_t>(detour_);
  if (!has_key_) return 0;
  return is_later_ && spread.SharedEnd(key_) >= 0 ? HashAddresses(key_) % spread.lanes : spread.LaneOf(key_);
}

uint32_t LaneOfFlow(const FlowKey& key, uint8_t side, const LaneSpread& spread) {
  if (key.quoted != 0) return key.quoted % spread.lanes;
  const auto lane_of = [&](uint8_t end) {
    return spread.LaneOfShared(key.address[end], key.ip_version, key.port[end]);
  };
  const int32_t there = lane_of(side ^ 1);
  return there >= 0 && lane_of(side) >= 0 ? static_cast<uint32_t>(there) : spread.LaneOf(key);
}

int32_t LaneOfTurned(const Record& record, const uint8_t* bytes, Detours& detours, const LaneSpread& spread,
                     uint32_t lane) {
  FlowKey key;
  uint8_t side;
  if (spread.rule == nullptr || !ReadFlowKey(record, bytes, 0, &key, &side)) return -1;
  FragmentHeader header;
  const bool is_part = (record.flags & abi::kRecordFlagFragment) != 0;
  if (is_part && !ReadFragmentHeader(record, bytes, 0, &header)) return -1;
  // Lanes that have ended take nothing.
  const auto among = [&](int32_t found) { return found < static_cast<int32_t>(spread.lanes) ? found : -1; };
  if (is_part && header.start > 0) return among(detours.FindFragments(header.key));
  const uint8_t* to = key.address[side ^ 1];
  uint16_t port = key.port[side ^ 1];
  FlowKey flow;
  Endpoints quoted;
  uint8_t ip_proto;
  uint8_t ip_version;
  if (!is_part && ReadQuotedPacket(record, bytes, &quoted, &ip_proto, &ip_version)) port = quoted.source_port;
  const int32_t detour = ReadChoiceKey(record, bytes, &flow) ? among(detours.Find(flow)) : -1;
  // Where it is a flow that this lane sends there, the other half is looked for.
  const bool is_known = detour >= 0 && static_cast<uint32_t>(detour) != lane;
  const int32_t chosen = is_known ? detour : spread.LaneOfShared(to, key.ip_version, port);
  // What is noted of an earlier packet is no longer true; that its fragments come here is, where nothing turns them.
  const bool notes = chosen >= 0 || detours.FindFragments(header.key) != static_cast<int32_t>(lane);
  if (is_part && notes) detours.NoteFragments(header.key, chosen);
  return chosen;
}

}  // namespace sluice
