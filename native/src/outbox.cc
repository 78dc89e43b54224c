#include "outbox.h"

#include <cstring>

namespace sluice {
namespace {

template <typename T>
T Load(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

}  // namespace

OutboxReader::OutboxReader(uint8_t* page) : page_(page), used_(Load<uint32_t>(page + abi::kOutboxUsed)) {
  if (used_ > abi::kOutboxBytes - abi::kOutboxMessages) {
    used_ = 0;
    sound_ = false;
  }
}

bool OutboxReader::Next(Message* message) {
  if (at_ == used_) return false;
  const uint8_t* head = page_ + abi::kOutboxMessages + at_;
  const uint32_t rest = used_ - at_;
  const uint32_t length = rest < abi::kMessageHeadBytes ? 0 : Load<uint32_t>(head + abi::kMessageLength);
  if (length < abi::kMessageHeadBytes || length > rest || length % 8 != 0) {
    sound_ = false;
    return false;
  }
  *message = {.kind = Load<uint16_t>(head + abi::kMessageKind),
              .flags = Load<uint16_t>(head + abi::kMessageFlags),
              .flow = Load<uint32_t>(head + abi::kMessageFlow),
              .value = Load<uint32_t>(head + abi::kMessageValue),
              .body = {head + abi::kMessageHeadBytes, length - abi::kMessageHeadBytes}};
  at_ += length;
  return true;
}

uint32_t OutboxReader::refused() const { return Load<uint32_t>(page_ + abi::kOutboxRefused); }

void OutboxReader::Clear(uint8_t* page) { std::memset(page, 0, 2 * sizeof(uint32_t)); }

}  // namespace sluice
