// Writes frames to a pcap file through libpcap.
#pragma once

#include <pcap/pcap.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "capture_reader.h"

namespace sluice {

class CaptureWriter {
 public:
  // Creates or empties the file. `link_type` is one that LinkOfLinkType knows. Null, with `error` filled, on failure.
  static std::unique_ptr<CaptureWriter> Open(const std::string& path, uint32_t link_type, bool nanoseconds,
                                             CaptureError* error);
  ~CaptureWriter();
  CaptureWriter(const CaptureWriter&) = delete;
  CaptureWriter& operator=(const CaptureWriter&) = delete;

  // `link` is abi::kLink*, the time is since 1970. In an Ethernet file, frames of another link get an Ethernet header
  // with zero addresses instead of their own. Any other file takes only frames of its own link: the rest is left out,
  // and Close() says so.
  void Write(std::span<const uint8_t> frame, uint8_t link, uint32_t wire_length, uint64_t time_ns);

  // Writes out what is buffered and closes the file. Returns why not everything arrived, or "".
  std::string Close();

 private:
  struct ClosePcap {
    void operator()(pcap_t* capture) const { pcap_close(capture); }
  };

  CaptureWriter(pcap_t* capture, pcap_dumper_t* dumper, uint8_t link, bool nanoseconds)
      : capture_(capture), dumper_(dumper), link_(link), nanoseconds_(nanoseconds) {}
  pcap_pkthdr HeaderOf(uint64_t time_ns, size_t length, uint32_t wire_length) const;
  void WriteAsEthernet(std::span<const uint8_t> frame, uint8_t link, uint32_t wire_length, uint64_t time_ns);

  std::unique_ptr<pcap_t, ClosePcap> capture_;
  pcap_dumper_t* dumper_;
  const uint8_t link_;
  const bool nanoseconds_;
  uint64_t left_out_ = 0;
  std::unique_ptr<uint8_t[]> converted_;
  size_t converted_bytes_ = 0;
};

}  // namespace sluice
