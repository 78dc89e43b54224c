#include "capture_writer.h"

#include <pcap/dlt.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "abi.h"
#include "link_header.h"

namespace sluice {

namespace {

constexpr int kSnapshotBytes = 262144;  // what tcpdump writes, and the most that libpcap reads back
constexpr size_t kWriteBufferBytes = 1 << 18;
constexpr uint64_t kNanosecondsPerSecond = 1'000'000'000;

}  // namespace

std::unique_ptr<CaptureWriter> CaptureWriter::Open(const std::string& path, uint32_t link_type, bool nanoseconds,
                                                   CaptureError* error) {
  const auto link = LinkOfLinkType(link_type);
  if (!link) {
    *error = {"capture-link-type", path, "link type " + std::to_string(link_type) + " is not supported"};
    return nullptr;
  }
  FILE* file = fopen(path.c_str(), "wbe");
  if (file == nullptr) {
    *error = {"file-unwritable", path, strerror(errno)};
    return nullptr;
  }
  setvbuf(file, nullptr, _IOFBF, kWriteBufferBytes);
  const auto precision = nanoseconds ? PCAP_TSTAMP_PRECISION_NANO : PCAP_TSTAMP_PRECISION_MICRO;
  const int dlt = link_type == 101 ? DLT_RAW : static_cast<int>(link_type);
  pcap_t* capture = pcap_open_dead_with_tstamp_precision(dlt, kSnapshotBytes, precision);
  pcap_dumper_t* dumper = pcap_dump_fopen(capture, file);
  if (dumper == nullptr) {
    *error = {"file-unwritable", path, pcap_geterr(capture)};
    pcap_close(capture);
    return nullptr;
  }
  return std::unique_ptr<CaptureWriter>(new CaptureWriter(capture, dumper, *link, nanoseconds));
}

CaptureWriter::~CaptureWriter() { Close(); }

pcap_pkthdr CaptureWriter::HeaderOf(uint64_t time_ns, size_t length, uint32_t wire_length) const {
  const uint64_t fraction = time_ns % kNanosecondsPerSecond;
  return {.ts = {.tv_sec = static_cast<time_t>(time_ns / kNanosecondsPerSecond),
                 .tv_usec = static_cast<suseconds_t>(nanoseconds_ ? fraction : fraction / 1000)},
          .caplen = static_cast<bpf_u_int32>(length),
          .len = wire_length};
}

void CaptureWriter::Write(std::span<const uint8_t> frame, uint8_t link, uint32_t wire_length, uint64_t time_ns) {
  wire_length = std::max(wire_length, static_cast<uint32_t>(frame.size()));
  if (link == link_) {
    const pcap_pkthdr header = HeaderOf(time_ns, frame.size(), wire_length);
    pcap_dump(reinterpret_cast<u_char*>(dumper_), &header, frame.data());
  } else if (link_ == abi::kLinkEthernet) {
    WriteAsEthernet(frame, link, wire_length, time_ns);
  } else {
    ++left_out_;
  }
}

void CaptureWriter::WriteAsEthernet(std::span<const uint8_t> frame, uint8_t link, uint32_t wire_length,
                                    uint64_t time_ns) {
  const LinkHeader own = ReadLinkHeader(frame, link);
  const auto payload = frame.subspan(own.bytes);
  const size_t length = kEthernetHeaderBytes + payload.size();
  if (length > converted_bytes_) {
    converted_ = std::make_unique<uint8_t[]>(length);
    converted_bytes_ = length;
  }
  uint8_t* out = converted_.get();
  std::memset(out, 0, kEthernetHeaderBytes);
  out[12] = static_cast<uint8_t>(own.ether_type >> 8);
  out[13] = static_cast<uint8_t>(own.ether_type);
  if (!payload.empty()) std::memcpy(out + kEthernetHeaderBytes, payload.data(), payload.size());
  const pcap_pkthdr header = HeaderOf(time_ns, length, wire_length - own.bytes + kEthernetHeaderBytes);
  pcap_dump(reinterpret_cast<u_char*>(dumper_), &header, out);
}

std::string CaptureWriter::Close() {
  if (dumper_ == nullptr) return "";
  errno = 0;
  const bool written = pcap_dump_flush(dumper_) == 0 && ferror(pcap_dump_file(dumper_)) == 0;
  const int code = errno;
  pcap_dump_close(dumper_);
  dumper_ = nullptr;
  if (left_out_ != 0) return std::to_string(left_out_) + " frames of another link type than the file's were left out";
  if (written) return "";
  return code == 0 ? "not everything could be written" : strerror(code);
}

}  // namespace sluice
