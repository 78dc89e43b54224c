// Frames of harnesses that read hexadecimal: each in a heap block of its exact size, so that address sanitizer sees a
// read past its end.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "abi.h"
#include "parser.h"

namespace sluice {

struct HarnessFrame {
  std::unique_ptr<uint8_t[]> bytes;
  uint32_t length;

  // An Ethernet frame; `wire_length` 0 is its length.
  Record Parse(uint32_t wire_length) const {
    Record record = {.length = length, .wire_length = wire_length == 0 ? length : wire_length};
    record.link = abi::kLinkEthernet;
    ParseFrame(bytes.get(), record);
    return record;
  }
};

inline HarnessFrame ReadHarnessFrame(const std::string& hex) {
  const auto length = static_cast<uint32_t>(hex.size() / 2);
  HarnessFrame frame = {std::make_unique<uint8_t[]>(length), length};
  for (uint32_t i = 0; i < length; ++i) {
    frame.bytes[i] = static_cast<uint8_t>(std::strtoul(hex.substr(i * 2, 2).c_str(), nullptr, 16));
  }
  return frame;
}

}  // namespace sluice
