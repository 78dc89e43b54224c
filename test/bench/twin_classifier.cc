#include "twin_classifier.h"

#include <immintrin.h>

#include <algorithm>
#include <bit>

#include "acl_tables.h"

namespace sluice::twin {
namespace {

using namespace acl;  // NOLINT: the generated constants of nfs/sdk/classifier/tables.ts

constexpr uint32_t kIpv4Source = 12, kIpv4Destination = 16, kIpv6Source = 8, kIpv6Destination = 24;
constexpr uint8_t kIcmp = 1, kTcp = 6, kUdp = 17, kIcmpv6 = 58, kSctp = 132;

uint32_t IpProto(const Record& record) { return IpVersion(record) != 0 ? record.ip_proto : kNoIpProto; }

uint32_t PortOf(const Record& record, uint16_t port) {
  const uint32_t proto = IpProto(record);
  const bool has_ports = (proto == kTcp) | (proto == kUdp) | (proto == kSctp);
  return has_ports & (record.l4_offset != abi::kOffsetNone) ? port : kNoPort;
}

bool HasTransport(const Record& record, uint32_t proto) {
  return IpProto(record) == proto && record.l4_offset != abi::kOffsetNone;
}

uint32_t IcmpOf(const Record& record) {
  if (HasTransport(record, kIcmp)) return record.source_port;
  return HasTransport(record, kIcmpv6) ? record.source_port | kIcmpv6Types : kNoIcmp;
}

// Keys have their uppermost bit inverted, and so has what they are compared with.
int32_t Comparable(uint32_t value) { return static_cast<int32_t>(value ^ 0x80000000u); }
int64_t Comparable(uint64_t value) { return static_cast<int64_t>(value ^ 0x8000000000000000u); }

uint32_t TrueLanes(__m128i a, __m128i b, __m128i c, __m128i d) {
  return _mm_movemask_epi8(_mm_packs_epi16(_mm_packs_epi32(a, b), _mm_packs_epi32(c, d)));
}

uint32_t KeysBelow(const int32_t* keys, int32_t value) {
  const __m128i* node = reinterpret_cast<const __m128i*>(keys);
  const __m128i all = _mm_set1_epi32(value);
  return std::popcount(TrueLanes(_mm_cmpgt_epi32(all, node[0]), _mm_cmpgt_epi32(all, node[1]),
                                 _mm_cmpgt_epi32(all, node[2]), _mm_cmpgt_epi32(all, node[3])));
}

uint32_t KeysBelow(const int64_t* keys, int64_t value) {
  const __m128i* node = reinterpret_cast<const __m128i*>(keys);
  const __m128i all = _mm_set1_epi64x(value);
  return std::popcount(TrueLanes(_mm_cmpgt_epi64(all, node[0]), _mm_cmpgt_epi64(all, node[1]),
                                 _mm_cmpgt_epi64(all, node[2]), _mm_cmpgt_epi64(all, node[3]))) /
         2;
}

}  // namespace

const uint32_t* ClassifierTwin::Match(const Record* records, const uint16_t* input, uint32_t count,
                                      const Context* contexts) {
  records_ = records;
  input_ = input;
  count_ = count;
  contexts_ = contexts;
  FindAddresses();
  FindValues();
  Intersect();
  return matches_;
}

uint32_t ClassifierTwin::rule_count() const { return memory_.Load<uint32_t>(root_, kRootRuleCount); }

void ClassifierTwin::FindAddresses() {
  const uint32_t search = root_ + kRootSearch4;
  const uint32_t levels = memory_.Load<uint32_t>(search, kSearchLevels);
  const uint32_t sources = memory_.Load<uint32_t>(search, kSearchSourceNodes);
  const uint32_t source_rows = memory_.Load<uint32_t>(search, kSearchSourceRows);
  const uint32_t destinations = memory_.Load<uint32_t>(search, kSearchDestinationNodes);
  const uint32_t destination_rows = memory_.Load<uint32_t>(search, kSearchDestinationRows);
  const uint32_t count = count_;
  for (uint32_t i = 0; i < count; ++i) {
    const Record& record = RecordAt(i);
    const uint32_t header = record.frame + record.l3_offset;
    const uint32_t version = IpVersion(record);
    if (version == 4) {
      const int32_t source = Comparable(__builtin_bswap32(memory_.Load<uint32_t>(header, kIpv4Source)));
      const int32_t destination = Comparable(__builtin_bswap32(memory_.Load<uint32_t>(header, kIpv4Destination)));
      uint32_t from = 0;
      uint32_t to = 0;
      for (uint32_t level = levels; level != 0; --level) {
        from = ChildOf(sources, from, source);
        to = ChildOf(destinations, to, destination);
      }
      rows_[i].source = memory_.Load<uint32_t>(source_rows + from * 4);
      rows_[i].destination = memory_.Load<uint32_t>(destination_rows + to * 4);
    } else if (version == 6) {
      FindAddresses6(header, &rows_[i]);
    } else {
      rows_[i].source = memory_.Load<uint32_t>(root_, kRootNoSource);
      rows_[i].destination = memory_.Load<uint32_t>(root_, kRootNoDestination);
    }
  }
}

void ClassifierTwin::FindAddresses6(uint32_t header, Rows* rows) const {
  const uint32_t search = root_ + kRootSearch6;
  const int64_t source = Comparable(__builtin_bswap64(memory_.Load<uint64_t>(header, kIpv6Source)));
  const int64_t destination = Comparable(__builtin_bswap64(memory_.Load<uint64_t>(header, kIpv6Destination)));
  const uint32_t sources = memory_.Load<uint32_t>(search, kSearchSourceNodes);
  const uint32_t destinations = memory_.Load<uint32_t>(search, kSearchDestinationNodes);
  uint32_t from = 0;
  uint32_t to = 0;
  for (uint32_t level = memory_.Load<uint32_t>(search, kSearchLevels); level != 0; --level) {
    from = ChildOf(sources, from, source);
    to = ChildOf(destinations, to, destination);
  }
  const uint32_t source_rows = memory_.Load<uint32_t>(search, kSearchSourceRows);
  const uint32_t destination_rows = memory_.Load<uint32_t>(search, kSearchDestinationRows);
  rows->source = LowerHalf(memory_.Load<uint32_t>(source_rows + from * 4), header + kIpv6Source + 8);
  rows->destination = LowerHalf(memory_.Load<uint32_t>(destination_rows + to * 4), header + kIpv6Destination + 8);
}

uint32_t ClassifierTwin::LowerHalf(uint32_t row, uint32_t low) const {
  if ((row & kRowIsSubsearch) == 0) return row;
  const uint32_t subsearch = row & ~kRowIsSubsearch;
  const int64_t value = Comparable(__builtin_bswap64(memory_.Load<uint64_t>(low)));
  const uint32_t nodes = memory_.Load<uint32_t>(subsearch, kSubsearchNodes);
  uint32_t node = 0;
  for (uint32_t level = memory_.Load<uint32_t>(subsearch, kSubsearchLevels); level != 0; --level) {
    node = ChildOf(nodes, node, value);
  }
  return memory_.Load<uint32_t>(memory_.Load<uint32_t>(subsearch, kSubsearchRows) + node * 4);
}

template <typename T>
uint32_t ClassifierTwin::ChildOf(uint32_t nodes, uint32_t index, T value) const {
  constexpr uint32_t kChildren = sizeof(T) == 4 ? kNode4Children : kNode6Children;
  const T* keys = memory_.At<T>(nodes + index * kNodeBytes);
  return index * kChildren + 1 + KeysBelow(keys, value);
}

void ClassifierTwin::FindValues() {
  const uint32_t count = count_;
  for (uint32_t i = 0; i < count; ++i) {
    const Record& record = RecordAt(i);
    rows_[i].destination_port = RowOf(kFieldDestinationPort, PortOf(record, record.destination_port));
    rows_[i].ip_proto = RowOf(kFieldIpProto, IpProto(record));
  }
}

void ClassifierTwin::Intersect() {
  const uint32_t none = memory_.Load<uint32_t>(root_, kRootRuleCount);
  const uint32_t summary_bytes = memory_.Load<uint32_t>(root_, kRootSummaryBytes);
  const uint32_t first_rules = memory_.Load<uint32_t>(root_, kRootFirstRules);
  const uint32_t rules = memory_.Load<uint32_t>(root_, kRootRules);
  const bool has_extras = memory_.Load<uint32_t>(root_, kRootExtraCount) != 0;
  const uint32_t count = count_;
  for (uint32_t i = 0; i < count; ++i) {
    const auto [a, b, c, d] = rows_[i];
    uint32_t match = none;
    for (uint32_t part = 0; part < summary_bytes; part += 8) {
      uint64_t candidates = memory_.Load<uint64_t>(a, part) & memory_.Load<uint64_t>(b, part) &
                            memory_.Load<uint64_t>(c, part) & memory_.Load<uint64_t>(d, part);
      while (candidates != 0) {
        const uint32_t word = part * 8 + std::countr_zero(candidates);
        candidates &= candidates - 1;
        if (memory_.Load<uint32_t>(first_rules + word * 4) >= match) break;
        const uint32_t block = summary_bytes + (word >> 3) * 4;
        const uint32_t offset = (word & 7) * 8;
        uint64_t bits = WordAt(a + block, offset) & WordAt(b + block, offset) & WordAt(c + block, offset) &
                        WordAt(d + block, offset);
        if (bits == 0) continue;
        if (has_extras) {
          bits = WithExtras(i, block, offset, bits);
          if (bits == 0) continue;
        }
        match = std::min(match, memory_.Load<uint32_t>(rules + (word * 64 + std::countr_zero(bits)) * 4));
      }
    }
    matches_[i] = match;
  }
}

uint64_t ClassifierTwin::WithExtras(uint32_t frame, uint32_t block, uint32_t offset, uint64_t bits) const {
  const uint32_t end = memory_.Load<uint32_t>(root_, kRootExtraCount) * 4;
  for (uint32_t extra = 0; extra < end && bits != 0; extra += 4) {
    const uint32_t field = memory_.Load<uint32_t>(root_ + extra, kRootExtras);
    bits &= WordAt(RowOf(field, ValueOf(frame, field)) + block, offset);
  }
  return bits;
}

uint32_t ClassifierTwin::ValueOf(uint32_t frame, uint32_t field) const {
  const Record& record = RecordAt(frame);
  switch (field) {
    case kFieldSourcePort:
      return PortOf(record, record.source_port);
    case kFieldVlan:
      return record.vlan_count != 0 ? record.outer_tci & 0xfff : kNoVlan;
    case kFieldDscp:
      return IpVersion(record) != 0 ? record.traffic_class >> 2 : kNoDscp;
    case kFieldEtherType:
      return record.ether_type;
    case kFieldLaterFragment:
      return record.fragment_offset != 0;
    case kFieldIcmp:
      return IcmpOf(record);
    case kFieldTcpFlags:
      return HasTransport(record, kTcp) ? record.tcp_flags : kNoTcpFlags;
    case kFieldFlowLabel:
      if (IpVersion(record) != 6) return kNoFlowLabel;
      return __builtin_bswap32(memory_.Load<uint32_t>(record.frame + record.l3_offset)) & 0xfffff;
    default:
      return contexts_[frame].values[field - kFieldContext];
  }
}

uint32_t ClassifierTwin::RowOf(uint32_t field, uint32_t value) const {
  const uint32_t trie = memory_.Load<uint32_t>(root_ + field * 4, kRootTries);
  const uint32_t page = memory_.Load<uint32_t>(trie + (value >> 8) * 4);
  return memory_.Load<uint32_t>(page + (value & 0xff) * 4);
}

uint64_t ClassifierTwin::WordAt(uint32_t block, uint32_t offset) const {
  return memory_.Load<uint64_t>(memory_.Load<uint32_t>(block) + offset);
}

}  // namespace sluice::twin
