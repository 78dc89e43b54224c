#include "capture_reader.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>

#include "abi.h"

namespace sluice {

namespace {

constexpr size_t kReadBufferBytes = 1 << 18;
constexpr uint64_t kNanosecondsPerSecond = 1'000'000'000;

struct CloseFile {
  void operator()(FILE* file) const { fclose(file); }
};
using File = std::unique_ptr<FILE, CloseFile>;

// libpcap turns link types into its own DLT numbers and shows the way back only in the header of a file that it writes.
uint32_t LinkTypeOf(pcap_t* capture) {
  constexpr size_t kHeaderBytes = 24, kLinkTypeOffset = 20;
  constexpr uint32_t kLinkTypeMask = 0x03ffffff;  // above: the length of frame check sequences
  uint8_t header[kHeaderBytes + 1] = {};
  FILE* file = fmemopen(header, sizeof header, "w");
  pcap_dumper_t* dumper = file == nullptr ? nullptr : pcap_dump_fopen(capture, file);
  if (dumper == nullptr) return static_cast<uint32_t>(pcap_datalink(capture));
  pcap_dump_close(dumper);
  uint32_t link_type;
  std::memcpy(&link_type, header + kLinkTypeOffset, sizeof link_type);
  return link_type & kLinkTypeMask;
}

File OpenRegularFile(const std::string& path, CaptureError* error) {
  const auto refuse = [&](const char* code, const char* what) {
    *error = {code, path, what};
    return File();
  };
  File file(fopen(path.c_str(), "rbe"));
  struct stat status;
  if (file == nullptr || fstat(fileno(file.get()), &status) != 0) return refuse("file-unreadable", strerror(errno));
  if (S_ISDIR(status.st_mode)) return refuse("file-unreadable", "is a folder, not a capture");
  if (!S_ISREG(status.st_mode)) return refuse("file-unreadable", "is not a regular file");
  if (status.st_size == 0) return refuse("capture-format", "the file is empty");
  return file;
}

}  // namespace

std::optional<uint8_t> LinkOfLinkType(uint32_t link_type) {
  switch (link_type) {
    case 1:  // ETHERNET
      return abi::kLinkEthernet;
    case 0:    // NULL: address family in the byte order of the capturing machine
    case 108:  // LOOP: the same in network order
      return abi::kLinkNull;
    case 12:   // DLT_RAW, found in files
    case 101:  // RAW
    case 228:  // IPV4
    case 229:  // IPV6
      return abi::kLinkRaw;
    case 113:  // LINUX_SLL
      return abi::kLinkSll;
    default:
      return std::nullopt;
  }
}

std::optional<CaptureReader::Format> CaptureReader::FormatOf(const uint8_t (&magic)[4]) {
  uint32_t value;
  std::memcpy(&value, magic, sizeof value);
  for (const uint32_t number : {value, __builtin_bswap32(value)}) {
    switch (number) {
      case 0x0a0d0d0a:
        return Format::kPcapng;
      case 0xa1b23c4d:
        return Format::kNanoseconds;
      case 0xa1b2c3d4:
      case 0xa1b2cd34:  // with Alexey Kuznetzov's longer packet headers
        return Format::kMicroseconds;
    }
  }
  return std::nullopt;
}

std::unique_ptr<CaptureReader> CaptureReader::Open(const std::string& path, CaptureError* error) {
  File file = OpenRegularFile(path, error);
  if (file == nullptr) return nullptr;
  setvbuf(file.get(), nullptr, _IOFBF, kReadBufferBytes);
  uint8_t magic[4] = {};
  const bool complete = fread(magic, sizeof magic, 1, file.get()) == 1;
  const auto format = FormatOf(magic);
  if (!complete || !format) {
    *error = {"capture-format", path, "is neither a pcap nor a pcapng file"};
    return nullptr;
  }
  rewind(file.get());
  // Microseconds are read as they are and scaled here: libpcap would scale the seconds' sign along with them.
  const auto precision = *format == Format::kMicroseconds ? PCAP_TSTAMP_PRECISION_MICRO : PCAP_TSTAMP_PRECISION_NANO;
  char text[PCAP_ERRBUF_SIZE] = "";
  pcap_t* capture = pcap_fopen_offline_with_tstamp_precision(file.get(), precision, text);
  if (capture == nullptr) {
    *error = {"capture-format", path, text};
    return nullptr;
  }
  file.release();  // pcap_close closes it
  return std::unique_ptr<CaptureReader>(new CaptureReader(capture, *format));
}

CaptureReader::CaptureReader(pcap_t* capture, Format format)
    : capture_(capture),
      format_(format),
      link_type_(LinkTypeOf(capture)),
      nanoseconds_(format != Format::kMicroseconds) {
  Next();
}

std::string CaptureReader::link_type_name() const {
  const char* name = pcap_datalink_val_to_name(pcap_datalink(capture_.get()));
  return name == nullptr ? "" : name;
}

void CaptureReader::Next() {
  if (at_end_) return;
  pcap_pkthdr* header;
  const uint8_t* bytes;
  const int outcome = pcap_next_ex(capture_.get(), &header, &bytes);
  if (outcome == 1) {
    packet_ = {{bytes, header->caplen}, std::max(header->len, header->caplen), TimeOf(header->ts)};
    return;
  }
  at_end_ = true;
  if (outcome != PCAP_ERROR_BREAK) damage_ = pcap_geterr(capture_.get());
}

// A pcap file has 32 unsigned bits for the seconds (until 2106) and for the fraction, of which libpcap makes signed
// ones; a fraction beyond one second counts on into the next.
uint64_t CaptureReader::TimeOf(const timeval& time) const {
  if (format_ != Format::kPcapng) {
    const uint64_t unit = format_ == Format::kNanoseconds ? 1 : 1000;
    return static_cast<uint32_t>(time.tv_sec) * kNanosecondsPerSecond + static_cast<uint32_t>(time.tv_usec) * unit;
  }
  // UINT64_MAX means "no more packets" to a lane.
  constexpr uint64_t kLatest = std::numeric_limits<uint64_t>::max() / kNanosecondsPerSecond - 1;
  const auto seconds = std::min(static_cast<uint64_t>(time.tv_sec), kLatest);
  return seconds * kNanosecondsPerSecond + static_cast<uint64_t>(time.tv_usec);
}

}  // namespace sluice
