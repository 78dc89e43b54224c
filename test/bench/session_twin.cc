// What firewall and nat do for a packet of a known flow, in C++: `session_twin FLOWS`. Frames, records, columns and
// sessions have the sizes and the order that they have in firewall-rounds.ts. Prints nanoseconds per packet as JSON.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

namespace {

constexpr uint32_t kBatch = 256;
constexpr uint32_t kSlots = 8192;
constexpr uint32_t kSlotBytes = 2048;
constexpr uint32_t kHeadroom = 256;
constexpr uint32_t kPasses = 9;
constexpr uint32_t kPacketsPerPass = 1 << 20;
constexpr uint64_t kGeneration = 1;
constexpr uint64_t kAccepted = 0x8000;

// 64 bytes, as the host's records.
struct alignas(64) Record {
  uint32_t frame;
  uint32_t flow;
  uint16_t l3_offset;
  uint16_t l4_offset;
  uint8_t ip_version;
  uint8_t ip_proto;
  uint8_t direction;
  uint8_t port;
  uint32_t events;
  uint32_t wire_length;
};

// As nfs/nat/store.ts has it.
struct Session {
  uint32_t next, flow, mapping, target, permission, host;
  uint32_t source, destination, new_source, new_destination;
  uint16_t source_port, destination_port, new_source_port, new_destination_port;
  uint8_t exit_port, entry_port, hairpins, unused;
};

struct Outcome {
  uint64_t packets, bytes, last_hit;
  uint8_t action;
};

uint16_t Load16(const uint8_t* at) { return static_cast<uint16_t>(at[0] << 8 | at[1]); }
void Store16(uint8_t* at, uint32_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}
uint32_t Load32(const uint8_t* at) {
  uint32_t value;
  memcpy(&value, at, sizeof(value));
  return __builtin_bswap32(value);
}
void Store32(uint8_t* at, uint32_t value) {
  value = __builtin_bswap32(value);
  memcpy(at, &value, sizeof(value));
}

uint32_t Difference16(uint32_t before, uint32_t after) { return (~before & 0xffff) + after; }
uint32_t Difference32(uint32_t before, uint32_t after) {
  return Difference16(before >> 16, after >> 16) + Difference16(before & 0xffff, after & 0xffff);
}
uint32_t Mend(uint32_t checksum, uint32_t difference) {
  uint32_t sum = (~checksum & 0xffff) + difference;
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

class Twin {
 public:
  explicit Twin(uint32_t flows)
      : flows_(flows),
        slots_(static_cast<size_t>(kSlots) * kSlotBytes),
        records_(kBatch),
        decisions_(flows + 1),
        references_(flows + 1),
        sessions_(flows + 1) {
    outcomes_[999].action = 1;
    for (uint32_t flow = 1; flow <= flows; ++flow) {
      decisions_[flow] = kGeneration << 32 | kAccepted | 1000;
      references_[flow] = flow;
      Session& session = sessions_[flow];
      session.flow = flow;
      session.source = Source(flow);
      session.destination = 0xc0000201;
      session.new_source = 0xcb007100 + (flow & 15);
      session.new_destination = session.destination;
      session.source_port = Port(flow);
      session.destination_port = 53;
      session.new_source_port = static_cast<uint16_t>(1024 + flow % 60000);
      session.new_destination_port = 53;
    }
  }

  // The frames of a batch as they came: not part of what is measured.
  void Receive() {
    for (uint32_t i = 0; i < kBatch; ++i) {
      const uint32_t flow = next_flow_++ % flows_ + 1;
      const uint32_t frame = next_slot_++ % kSlots * kSlotBytes + kHeadroom;
      uint8_t* ip = &slots_[frame + 14];
      memset(ip, 0, 46);
      ip[0] = 0x45;
      ip[9] = 17;
      Store32(ip + 12, Source(flow));
      Store32(ip + 16, 0xc0000201);
      Store16(ip + 20, Port(flow));
      Store16(ip + 22, 53);
      records_[i] = {frame, flow, 14, 34, 4, 17, 0, 0, 0, 60};
    }
  }

  uint32_t Decide() {
    uint32_t accepted = 0;
    for (const Record& record : records_) {
      const uint64_t decision = decisions_[record.flow];
      if (decision >> 32 != kGeneration || (record.events & 0x600) != 0) continue;
      if ((record.direction == 1 && (decision & kAccepted) == 0) || !IsSound(record)) continue;
      Outcome& outcome = outcomes_[(decision & 0x7fff) - 1];
      ++outcome.packets;
      outcome.bytes += record.wire_length;
      outcome.last_hit = 1800000000;
      accepted += outcome.action == 1;
    }
    return accepted;
  }

  uint32_t Translate() {
    uint32_t translated = 0;
    for (const Record& record : records_) {
      const Session& session = sessions_[references_[record.flow]];
      if (session.flow != record.flow) continue;
      uint8_t* ip = &slots_[record.frame + record.l3_offset];
      uint8_t* udp = &slots_[record.frame + record.l4_offset];
      if (Load32(ip + 12) != session.source || Load32(ip + 16) != session.destination) continue;
      if (Load16(udp) != session.source_port || Load16(udp + 2) != session.destination_port) continue;
      Rewrite(ip, udp, session);
      ++translated;
    }
    return translated;
  }

 private:
  static uint32_t Source(uint32_t flow) { return 0x0a000000 + (flow >> 8); }
  static uint16_t Port(uint32_t flow) { return static_cast<uint16_t>(1024 + (flow & 255) * 2); }

  // The firewall's checks of addresses.
  bool IsSound(const Record& record) const {
    const uint8_t* ip = &slots_[record.frame + record.l3_offset];
    const uint32_t source = Load32(ip + 12);
    return source != Load32(ip + 16) && source < 0xe0000000 && source >> 24 != 127;
  }

  static void Rewrite(uint8_t* ip, uint8_t* udp, const Session& session) {
    const uint32_t addresses =
        Difference32(session.source, session.new_source) + Difference32(session.destination, session.new_destination);
    Store32(ip + 12, session.new_source);
    Store32(ip + 16, session.new_destination);
    Store16(ip + 10, Mend(Load16(ip + 10), addresses));
    const uint32_t ports = Difference16(session.source_port, session.new_source_port) +
                           Difference16(session.destination_port, session.new_destination_port);
    Store16(udp, session.new_source_port);
    Store16(udp + 2, session.new_destination_port);
    const uint32_t checksum = Load16(udp + 6);
    if (checksum != 0) Store16(udp + 6, Mend(checksum, addresses + ports));
  }

  uint32_t flows_;
  uint32_t next_flow_ = 0;
  uint32_t next_slot_ = 0;
  std::vector<uint8_t> slots_;
  std::vector<Record> records_;
  std::vector<uint64_t> decisions_;
  std::vector<uint32_t> references_;
  std::vector<Session> sessions_;
  Outcome outcomes_[1000] = {};
};

using Clock = std::chrono::steady_clock;

// The best of the passes: what else the machine does only ever adds.
template <typename Work>
double Measure(Twin* twin, Work work) {
  std::vector<double> passes;
  for (uint32_t pass = 0; pass <= kPasses; ++pass) {
    double total = 0;
    uint64_t done = 0;
    for (uint32_t packets = 0; packets < kPacketsPerPass; packets += kBatch) {
      twin->Receive();
      const auto start = Clock::now();
      done += work();
      total += std::chrono::duration<double, std::nano>(Clock::now() - start).count();
    }
    if (done != kPacketsPerPass) fprintf(stderr, "session_twin: %lu of %u\n", done, kPacketsPerPass);
    if (pass > 0) passes.push_back(total / kPacketsPerPass);
  }
  return *std::min_element(passes.begin(), passes.end());
}

}  // namespace

int main(int count, char** arguments) {
  const uint32_t flows = count > 1 ? static_cast<uint32_t>(atoi(arguments[1])) : 0;
  if (flows == 0) {
    fprintf(stderr, "usage: session_twin FLOWS\n");
    return 2;
  }
  Twin twin(flows);
  const double firewall = Measure(&twin, [&] { return twin.Decide(); });
  const double nat = Measure(&twin, [&] { return twin.Translate(); });
  printf("{\"firewall\":%.2f,\"nat\":%.2f}\n", firewall, nat);
  return 0;
}
