#include "lane_choice.h"

#include "fragment_header.h"
#include "icmp_quote.h"
#include "tuple_hash.h"

namespace sluice {

namespace {

int32_t DetourOfFragment(const Record& record, const uint8_t* bytes, const FlowKey& key, Detours& detours) {
  FragmentHeader header;
  if (!ReadFragmentHeader(record, bytes, 0, &header)) return -1;
  if (header.start > 0) return detours.FindFragments(header.key);
  const int32_t lane = detours.Find(key);
  detours.NoteFragments(header.key, lane);
  return lane;
}

}  // namespace

uint32_t HashAddresses(const FlowKey& key) {
  const auto hash = [&](int end) {
    return key.ip_version == 6 ? HashEndpoint6(key.address[end], 0) : HashEndpoint4(key.address[end], 0);
  };
  return HashPair(hash(0), hash(1), 0);
}

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

uint32_t LaneOf(const Record& record, const uint8_t* bytes, uint32_t lanes) {
  FlowKey key;
  return ReadChoiceKey(record, bytes, &key) ? HashAddresses(key) % lanes : 0;
}

LaneChoice::LaneChoice(const Record& record, const uint8_t* bytes, Detours& detours) {
  FlowKey key;
  if (!ReadChoiceKey(record, bytes, &key)) return;
  hash_ = HashAddresses(key);
  if (detours.size() == 0) return;
  const bool is_fragment = (record.flags & abi::kRecordFlagFragment) != 0;
  detour_ = is_fragment ? DetourOfFragment(record, bytes, key, detours) : detours.Find(key);
}

uint32_t LaneChoice::Among(uint32_t lanes) const {
  return detour_ >= 0 && static_cast<uint32_t>(detour_) < lanes ? static_cast<uint32_t>(detour_) : hash_ % lanes;
}

uint32_t LaneOfFlow(const FlowKey& key, uint32_t lanes) {
  return (key.quoted != 0 ? key.quoted : HashAddresses(key)) % lanes;
}

}  // namespace sluice
