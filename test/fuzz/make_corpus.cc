// Writes the frames of captures as inputs of parser_fuzzer: `make_corpus FOLDER CAPTURE…`. Captures that libpcap cannot
// read, and link types that the parser does not know, are left out and counted.
#include <pcap/pcap.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "abi.h"

namespace {

constexpr uint32_t kLongestFrame = 512;
constexpr int kFramesPerCapture = 200;

// -1 for link types that the parser does not know.
int LinkOf(int data_link_type) {
  switch (data_link_type) {
    case DLT_EN10MB:
      return sluice::abi::kLinkEthernet;
    case DLT_NULL:
    case DLT_LOOP:
      return sluice::abi::kLinkNull;
    case DLT_RAW:
    case DLT_IPV4:
    case DLT_IPV6:
      return sluice::abi::kLinkRaw;
    case DLT_LINUX_SLL:
      return sluice::abi::kLinkSll;
  }
  return -1;
}

void WriteInput(const std::string& folder, int link, const pcap_pkthdr& header, const uint8_t* frame) {
  const uint32_t kept = std::min(header.caplen, kLongestFrame);
  const uint32_t cut = std::min(std::max(header.len, kept) - kept, 254u);
  std::string input = {static_cast<char>(link), static_cast<char>(cut)};
  input.append(reinterpret_cast<const char*>(frame), kept);
  const std::string name = std::to_string(std::hash<std::string_view>{}(input));
  std::ofstream(folder + "/" + name, std::ios::binary) << input;
}

bool WriteCapture(const std::string& folder, const char* path) {
  char error[PCAP_ERRBUF_SIZE];
  pcap_t* capture = pcap_open_offline(path, error);
  if (capture == nullptr) return false;
  const int link = LinkOf(pcap_datalink(capture));
  pcap_pkthdr* header = nullptr;
  const uint8_t* frame = nullptr;
  for (int i = 0; link >= 0 && i < kFramesPerCapture && pcap_next_ex(capture, &header, &frame) == 1; ++i) {
    WriteInput(folder, link, *header, frame);
  }
  pcap_close(capture);
  return link >= 0;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 3) return std::fprintf(stderr, "usage: make_corpus FOLDER CAPTURE...\n"), 2;
  int written = 0;
  for (int i = 2; i < count; ++i) written += WriteCapture(arguments[1], arguments[i]);
  std::printf("%d of %d captures read\n", written, count - 2);
  return 0;
}
