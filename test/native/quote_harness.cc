// Reads ICMP errors: one line `WIRE_LENGTH HEX` per frame (0: as long as it is), answers each with one line of JSON:
// the quoted packet, or null.
#include <stdio.h>

#include <iostream>
#include <sstream>
#include <string>

#include "harness_frame.h"
#include "icmp_quote.h"

namespace {

using namespace sluice;

void PrintHex(const char* name, const uint8_t* bytes, int count) {
  printf("\"%s\":\"", name);
  for (int i = 0; i < count; ++i) printf("%02x", bytes[i]);
  printf("\",");
}

void Run(const std::string& line) {
  std::istringstream in(line);
  uint32_t wire_length = 0;
  std::string hex;
  in >> wire_length >> hex;
  const HarnessFrame frame = ReadHarnessFrame(hex);
  const Record record = frame.Parse(wire_length);
  Endpoints endpoints;
  uint8_t ip_proto, ip_version;
  if (!ReadQuotedPacket(record, frame.bytes.get(), &endpoints, &ip_proto, &ip_version)) {
    puts("null");
  } else {
    printf("{");
    PrintHex("source", endpoints.source, 16);
    PrintHex("destination", endpoints.destination, 16);
    printf("\"ports\":[%u,%u],\"ipProto\":%u,\"ipVersion\":%u}\n", endpoints.source_port, endpoints.destination_port,
           ip_proto, ip_version);
  }
  fflush(stdout);
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) Run(line);
  return 0;
}
