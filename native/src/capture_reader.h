// A pcap or pcapng file, packet by packet, through libpcap.
#pragma once

#include <pcap/pcap.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace sluice {

// Why a capture file cannot be read or written: a code of runtime/errors.ts, the file, and what is wrong with it.
struct CaptureError {
  const char* code = nullptr;
  std::string where;
  std::string what;
};

// How the frames of a link type (https://www.tcpdump.org/linktypes.html) begin: abi::kLink*. None if not supported.
std::optional<uint8_t> LinkOfLinkType(uint32_t link_type);

class CaptureReader {
 public:
  struct Packet {
    std::span<const uint8_t> bytes;  // may be empty: a packet of which nothing was captured
    uint32_t wire_length;            // at least bytes.size(), also where the file claims less
    uint64_t time_ns;                // since 1970; the file's own time, also where it goes back
  };

  // Null, with `error` filled, for what is no capture file: file-unreadable or capture-format.
  static std::unique_ptr<CaptureReader> Open(const std::string& path, CaptureError* error);

  CaptureReader(const CaptureReader&) = delete;
  CaptureReader& operator=(const CaptureReader&) = delete;

  // The number in the file. LINKTYPE_RAW is 101 in every file, also where one says 12.
  uint32_t link_type() const { return link_type_; }
  // What libpcap calls it ("PPP"), or "".
  std::string link_type_name() const;
  // Whether the file's times are in nanoseconds; pcapng, which can hold any unit, counts as nanoseconds.
  bool nanoseconds() const { return nanoseconds_; }

  // The packet that Next() steps over, valid until then; null at the end.
  const Packet* Peek() const { return at_end_ ? nullptr : &packet_; }
  void Next();

  // Why reading ended before the file's end; empty while all is well. All packets before the damage were delivered.
  const std::string& damage() const { return damage_; }

 private:
  enum class Format { kMicroseconds, kNanoseconds, kPcapng };
  struct Close {
    void operator()(pcap_t* capture) const { pcap_close(capture); }
  };

  CaptureReader(pcap_t* capture, Format format);
  static std::optional<Format> FormatOf(const uint8_t (&magic)[4]);
  uint64_t TimeOf(const timeval& time) const;

  std::unique_ptr<pcap_t, Close> capture_;
  const Format format_;
  const uint32_t link_type_;
  const bool nanoseconds_;
  Packet packet_{};
  bool at_end_ = false;
  std::string damage_;
};

}  // namespace sluice
