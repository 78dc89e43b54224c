// Reads what a function put into its outbox (nfs/sdk/ABI.md): a list of messages that it may have written in any way.
#pragma once

#include <cstdint>
#include <span>

#include "abi.h"

namespace sluice {

struct Message {
  uint16_t kind;
  uint16_t flags;
  uint32_t flow;
  uint32_t value;
  std::span<const uint8_t> body;
};

class OutboxReader {
 public:
  // `page`: abi::kOutboxBytes that the function can write, though not while this reads.
  explicit OutboxReader(uint8_t* page);

  // The next message; false at the end, and at the first that does not hold: see sound().
  bool Next(Message* message);
  bool sound() const { return sound_; }
  // Messages that the function had no room for.
  uint32_t refused() const;

  static void Clear(uint8_t* page);

 private:
  uint8_t* const page_;
  uint32_t at_ = 0;
  uint32_t used_;
  bool sound_ = true;
};

}  // namespace sluice
