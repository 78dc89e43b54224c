// libFuzzer target of the parser. Input: link type, bytes that the capture cut off (255: the capture says 0 bytes on
// the wire, which is a lie), frame. The frame is copied to a heap block of its exact size, so that address sanitizer
// sees a read past its end.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "neighbour_message.h"
#include "parser.h"

namespace {

using sluice::Record;
namespace abi = sluice::abi;

#define CHECK(condition) \
  if (!(condition)) __builtin_trap()

// What an offset other than kOffsetNone promises: so many bytes of that header are in the frame.
uint32_t NetworkBytes(const Record& record) { return record.ip_version == 4 ? 20 : record.ip_version == 6 ? 40 : 28; }

uint32_t TransportBytes(const Record& record) {
  switch (record.ip_proto) {
    case 6:
      return 20;
    case 132:
      return 12;
    case 47:
      return 4;
    default:
      return 8;
  }
}

void CheckOffsets(const Record& record) {
  const bool network = record.l3_offset != abi::kOffsetNone, transport = record.l4_offset != abi::kOffsetNone;
  CHECK(network || (!transport && record.ip_version == 0));
  CHECK(!network || record.l3_offset + NetworkBytes(record) <= record.length);
  CHECK(!transport || record.l3_offset + NetworkBytes(record) <= record.l4_offset);
  CHECK(!transport || record.l4_offset + TransportBytes(record) <= record.length);
  if (record.payload_offset == abi::kOffsetNone) {
    CHECK(record.payload_length == 0);
    return;
  }
  CHECK(record.malformed == 0 && record.ip_version != 0);
  CHECK(!transport || record.l4_offset + TransportBytes(record) <= record.payload_offset);
  CHECK(record.payload_offset + record.payload_length <= record.length);
}

void CheckFragment(const Record& record) {
  const bool fragment = (record.flags & abi::kRecordFlagFragment) != 0;
  const bool more = (record.flags & abi::kRecordFlagMoreFragments) != 0;
  CHECK(fragment == (more || record.fragment_offset > 0));
  CHECK(record.fragment_offset == 0 || record.l4_offset == abi::kOffsetNone);
}

// A question can be answered, and the answer is one: whatever was asked, and in as many tags.
void CheckNeighbour(const Record& record, const uint8_t* frame) {
  using sluice::NeighbourMessage;
  const NeighbourMessage message = sluice::ReadNeighbourMessage(record, frame);
  if (message.kind != NeighbourMessage::Kind::kRequest) return;
  constexpr sluice::MacAddress kMac = {2, 0, 0, 0, 0, 1};
  sluice::NeighbourFrame answer;
  const uint32_t length = sluice::WriteNeighbourAnswer(record, frame, message, kMac, false, &answer);
  CHECK(length <= answer.size());
  Record answered = {.length = length, .wire_length = length, .link = abi::kLinkEthernet};
  const uint16_t index = 0;
  sluice::ParseBatch(answer.data(), 0, &answered, &index, 1);
  const NeighbourMessage read = sluice::ReadNeighbourMessage(answered, answer.data());
  CHECK(read.kind == NeighbourMessage::Kind::kReply && read.version == message.version);
  CHECK(read.target == message.target && read.link == kMac && answered.vlan_count == record.vlan_count);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const auto length = static_cast<uint32_t>(size - 2);
  const auto frame = std::make_unique<uint8_t[]>(length);
  std::copy_n(data + 2, length, frame.get());
  const uint32_t wire_length = data[1] == 255 ? 0 : length + data[1];
  Record record = {.length = length, .wire_length = wire_length, .link = static_cast<uint8_t>(data[0] % 5)};
  const uint16_t index = 0;
  sluice::ParseBatch(frame.get(), 0, &record, &index, 1);
  CheckOffsets(record);
  CheckFragment(record);
  CheckNeighbour(record, frame.get());
  CHECK(record.length == length && record.flow == 0 && record.mark == 0);
  CHECK(record.ip_version != 0 || record.hash == 0);
  return 0;
}
