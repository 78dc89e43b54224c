// A flow table that obeys lines, and a key reader: `flow_table_harness`. Prints one JSON value per line of input.
//
//   open FILE CAPACITY SEED    (the file is made as long as it has to be; - for none)
//   insert KEY SIDE | bind FLOW KEY SIDE | remove FLOW | state FLOW STATE | find KEY SIDE | key FLOW TUPLE | count
//   read FRAME ZONE            (the key of an Ethernet frame)
//   make SOURCE DESTINATION SOURCE-PORT DESTINATION-PORT PROTO VERSION ZONE VLAN
//   spread SEED TUPLES         (how evenly keys that count up fill the index)
//
// Keys, frames and addresses are hexadecimal.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <iostream>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "flow_hash.h"
#include "flow_index.h"
#include "flow_table.h"
#include "parser.h"

namespace {

using sluice::FlowKey;
using sluice::FlowTable;

[[noreturn]] void Fail(const std::string& what) {
  fprintf(stderr, "flow_table_harness: %s\n", what.c_str());
  exit(1);
}

std::vector<uint8_t> ReadHex(const std::string& text) {
  std::vector<uint8_t> bytes(text.size() / 2);
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<uint8_t>(strtoul(text.substr(2 * i, 2).c_str(), nullptr, 16));
  }
  return bytes;
}

FlowKey ReadKey(const std::string& text) {
  const std::vector<uint8_t> bytes = ReadHex(text);
  FlowKey key;
  if (bytes.size() != sizeof(key)) Fail("a key has 48 bytes");
  memcpy(&key, bytes.data(), sizeof(key));
  return key;
}

void PrintHex(const void* data, size_t size) {
  printf("\"");
  for (const uint8_t byte : std::span(static_cast<const uint8_t*>(data), size)) printf("%02x", byte);
  printf("\"");
}

void PrintKey(const FlowKey& key, uint8_t side) {
  printf("{\"addresses\":[");
  PrintHex(key.address[0], 16);
  printf(",");
  PrintHex(key.address[1], 16);
  printf("],\"ports\":[%u,%u],\"zone\":%u,\"vlan\":%u,\"ipProto\":%u,\"ipVersion\":%u,\"side\":%u}", key.port[0],
         key.port[1], key.zone, key.vlan, key.ip_proto, key.ip_version, side);
}

class Harness {
 public:
  void Obey(const std::string& line) {
    std::istringstream words(line);
    std::string verb;
    words >> verb;
    if (verb == "open") return Open(words);
    if (verb == "insert") return Insert(words);
    if (verb == "bind") return Bind(words);
    if (verb == "find") return Find(words);
    if (verb == "key") return Key(words);
    if (verb == "read") return Read(words);
    if (verb == "make") return Make(words);
    if (verb == "spread") return Spread(words);
    if (verb == "count") {
      printf("{\"size\":%u,\"used\":%u}", table_->size(), table_->used());
      return;
    }
    uint32_t flow = 0, state = 0;
    words >> flow >> state;
    if (verb == "remove") {
      table_->Remove(flow);
    } else if (verb == "state") {
      table_->state(flow).state = static_cast<uint8_t>(state);
    } else {
      Fail(line);
    }
    printf("null");
  }

 private:
  void Open(std::istringstream& words) {
    std::string path;
    uint32_t capacity = 0;
    uint64_t seed = 0;
    words >> path >> capacity >> seed;
    table_.reset();
    const uint64_t bytes = FlowTable::BytesFor(capacity);
    const int file = path == "-" ? memfd_create("flows", 0) : open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || ftruncate(file, bytes) < 0) Fail(path);
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (memory == MAP_FAILED) Fail("mmap");
    sluice::FlowRecovery recovery;
    table_ = FlowTable::Attach({static_cast<uint8_t*>(memory), bytes}, capacity, seed, &recovery);
    if (!table_) Fail("FlowTable::Attach");
    printf("{\"fresh\":%s,\"kept\":%u,\"dropped\":%u}", recovery.fresh ? "true" : "false", recovery.kept,
           recovery.dropped);
  }

  void Insert(std::istringstream& words) {
    std::string key;
    uint32_t side = 0;
    words >> key >> side;
    const uint32_t flow = table_->Insert(ReadKey(key), static_cast<uint8_t>(side));
    if (flow != 0) table_->state(flow).state = sluice::abi::kFlowStateNew;
    printf("%u", flow);
  }

  void Bind(std::istringstream& words) {
    std::string key;
    uint32_t flow = 0, side = 0;
    words >> flow >> key >> side;
    printf(table_->Bind(flow, ReadKey(key), static_cast<uint8_t>(side)) ? "true" : "false");
  }

  void Find(std::istringstream& words) {
    std::vector<FlowKey> keys;
    std::vector<uint8_t> sides;
    std::string key;
    for (uint32_t side = 0; words >> key >> side;) {
      keys.push_back(ReadKey(key));
      sides.push_back(static_cast<uint8_t>(side));
    }
    std::vector<sluice::FlowHit> hits(keys.size());
    table_->Find(keys.data(), sides.data(), static_cast<uint32_t>(keys.size()), hits.data());
    printf("[");
    for (size_t i = 0; i < hits.size(); ++i) {
      printf("%s[%u,%u,%u]", i == 0 ? "" : ",", hits[i].flow, hits[i].tuple, hits[i].direction);
    }
    printf("]");
  }

  void Key(std::istringstream& words) {
    uint32_t flow = 0, tuple = 0;
    words >> flow >> tuple;
    const FlowKey* key = table_->KeyOf(flow, static_cast<uint8_t>(tuple));
    if (key == nullptr) {
      printf("null");
    } else {
      PrintHex(key, sizeof(*key));
    }
  }

  void Read(std::istringstream& words) {
    std::string hex;
    uint32_t zone = 0;
    words >> hex >> zone;
    const std::vector<uint8_t> frame = ReadHex(hex);
    sluice::Record record = {};
    record.length = record.wire_length = static_cast<uint32_t>(frame.size());
    sluice::ParseFrame(frame.data(), record);
    FlowKey key;
    uint8_t side = 0;
    if (sluice::ReadFlowKey(record, frame.data(), static_cast<uint16_t>(zone), &key, &side)) {
      PrintKey(key, side);
    } else {
      printf("null");
    }
  }

  void Make(std::istringstream& words) {
    std::string source, destination;
    uint32_t source_port = 0, destination_port = 0, proto = 0, version = 0, zone = 0, vlan = 0;
    words >> source >> destination >> source_port >> destination_port >> proto >> version >> zone >> vlan;
    sluice::Endpoints endpoints = {};
    memcpy(endpoints.source, ReadHex(source).data(), source.size() / 2);
    memcpy(endpoints.destination, ReadHex(destination).data(), destination.size() / 2);
    endpoints.source_port = static_cast<uint16_t>(source_port);
    endpoints.destination_port = static_cast<uint16_t>(destination_port);
    uint8_t side = 0;
    const FlowKey key = sluice::MakeFlowKey(endpoints, static_cast<uint8_t>(proto), static_cast<uint8_t>(version),
                                            static_cast<uint16_t>(zone), static_cast<uint16_t>(vlan), &side);
    PrintKey(key, side);
  }

  void Spread(std::istringstream& words) {
    uint64_t seed = 0;
    uint32_t tuples = 0;
    words >> seed >> tuples;
    const sluice::FlowHash hash(seed);
    const auto index = sluice::FlowIndex::Make(tuples);
    FlowKey key = {};
    key.ip_proto = 6;
    key.ip_version = 4;
    for (uint32_t number = 1; number <= tuples; ++number) {
      memcpy(key.address[0], &number, sizeof(number));
      index->Insert(hash(key), number);
    }
    printf("%u", index->overflow_buckets());
  }

  std::unique_ptr<FlowTable> table_;
};

}  // namespace

int main() {
  Harness harness;
  for (std::string line; std::getline(std::cin, line);) {
    harness.Obey(line);
    printf("\n");
  }
}
