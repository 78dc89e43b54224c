// Sends numbered UDP packets from a device at a steady rate, in turn from each of FLOWS sources (addresses
// from 10.64.0.0 on, 32768 ports of each): `numbered_sender DEVICE MAC ADDRESS PORT RATE FLOWS PACKETS [FIRST]`. Ends
// after PACKETS (0: at SIGTERM); the first number is FIRST. Prints one JSON line.
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <array>

#include "numbered_packet.h"

namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint32_t kBurst = 64;
// What is missed because others had the core is caught up with, but not more at once than any receive ring takes well.
constexpr uint64_t kCatchUp = 512;
// Between two looks at the clock, in ns: the core is left to others meanwhile.
constexpr uint64_t kQuantum = 50'000;
constexpr uint32_t kFirstSource = 0x0a400000;
constexpr uint32_t kPortsPerSource = 32768;
constexpr uint16_t kFirstPort = 1024;

struct [[gnu::packed]] Frame {
  ether_header ethernet;
  iphdr ip;
  udphdr udp;
  numbered::Payload payload;
  uint8_t padding[2];  // 60 bytes, the least that Ethernet has
};
static_assert(sizeof(Frame) == ETH_ZLEN);

volatile sig_atomic_t stopped = 0;

uint16_t Fold(uint32_t sum) {
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>((sum & 0xffff) + (sum >> 16));
}

Frame MakeFrame(const char* mac, const char* address, const char* port) {
  Frame frame{};
  memcpy(frame.ethernet.ether_dhost, ether_aton(mac), ETH_ALEN);
  frame.ethernet.ether_shost[0] = 0x02;
  frame.ethernet.ether_type = htons(ETH_P_IP);
  frame.ip.version = 4;
  frame.ip.ihl = 5;
  frame.ip.tot_len = htons(sizeof(iphdr) + sizeof(udphdr) + sizeof(numbered::Payload));
  frame.ip.frag_off = htons(IP_DF);
  frame.ip.ttl = 64;
  frame.ip.protocol = IPPROTO_UDP;
  inet_pton(AF_INET, address, &frame.ip.daddr);
  frame.udp.dest = htons(static_cast<uint16_t>(atoi(port)));
  frame.udp.len = htons(sizeof(udphdr) + sizeof(numbered::Payload));
  return frame;  // a UDP checksum of zero is none
}

// The header's sum without the source address and the checksum itself, in network order.
uint32_t SumHeader(const Frame& frame) {
  std::array<uint16_t, sizeof(iphdr) / 2> words;
  memcpy(words.data(), &frame.ip, sizeof(iphdr));
  uint32_t sum = 0;
  for (uint16_t word : words) sum += word;
  return sum;
}

void SetSource(Frame& frame, uint32_t sum, uint64_t flow) {
  const uint32_t source = htonl(kFirstSource + static_cast<uint32_t>(flow / kPortsPerSource));
  frame.ip.saddr = source;
  frame.ip.check = static_cast<uint16_t>(~Fold(sum + (source & 0xffff) + (source >> 16)));
  frame.udp.source = htons(static_cast<uint16_t>(kFirstPort + flow % kPortsPerSource));
}

int OpenDevice(const char* device) {
  const int descriptor = socket(AF_PACKET, SOCK_RAW, 0);
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_ifindex = static_cast<int>(if_nametoindex(device));
  const int on = 1;
  setsockopt(descriptor, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on));
  if (bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) return descriptor;
  perror("numbered_sender");
  exit(1);
}

void SleepFor(uint64_t ns) {
  const timespec time = {.tv_sec = 0, .tv_nsec = static_cast<long>(ns)};
  nanosleep(&time, nullptr);
}

struct Sent {
  uint64_t packets = 0;
  uint64_t skipped = 0;  // not offered: the core was not to be had in time
  uint64_t refused = 0;  // the device had no room; offered again
  uint64_t longest_gap = 0;
  double seconds = 0;
};

class Sender {
 public:
  Sender(int descriptor, const Frame& frame, uint64_t flows, uint64_t first)
      : descriptor_(descriptor), sum_(SumHeader(frame)), flows_(flows), first_(first) {
    frames_.fill(frame);
    for (uint32_t i = 0; i < kBurst; i++) {
      parts_[i] = {&frames_[i], sizeof(Frame)};
      messages_[i].msg_hdr.msg_iov = &parts_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
    }
  }

  Sent Run(uint64_t rate, uint64_t packets) {
    const uint64_t start = numbered::Now();
    const uint64_t pause = std::clamp(kSecond / rate, kQuantum, kSecond / 100);
    uint64_t now = start;
    while (stopped == 0 && (packets == 0 || sent_.packets < packets)) {
      now = numbered::Now();
      const auto until_now = static_cast<uint64_t>(static_cast<double>(now - start) * static_cast<double>(rate) / 1e9);
      uint64_t due = until_now - std::min(until_now, sent_.packets + sent_.skipped);
      if (due > kCatchUp) {
        sent_.skipped += due - kCatchUp;
        due = kCatchUp;
      }
      if (packets != 0) due = std::min(due, packets - sent_.packets);
      if (due == 0) {
        SleepFor(pause);
      } else {
        SendBurst(static_cast<uint32_t>(std::min<uint64_t>(due, kBurst)), now);
      }
    }
    sent_.seconds = static_cast<double>(now - start) / 1e9;
    return sent_;
  }

 private:
  void SendBurst(uint32_t count, uint64_t now) {
    for (uint32_t i = 0; i < count; i++) {
      const uint64_t number = first_ + sent_.packets + i;
      SetSource(frames_[i], sum_, number % flows_);
      frames_[i].payload = {.number = number, .sent = now};
    }
    const int done = sendmmsg(descriptor_, messages_.data(), count, 0);
    if (done <= 0) {
      sent_.refused++;
      return;
    }
    sent_.packets += static_cast<uint64_t>(done);
    if (last_ != 0) sent_.longest_gap = std::max(sent_.longest_gap, now - std::min(now, last_));
    last_ = now;
  }

  int descriptor_;
  uint32_t sum_;
  uint64_t flows_;
  uint64_t first_;
  uint64_t last_ = 0;
  Sent sent_;
  std::array<Frame, kBurst> frames_;
  std::array<iovec, kBurst> parts_;
  std::array<mmsghdr, kBurst> messages_{};
};

}  // namespace

int main(int count, char** arguments) {
  if ((count != 8 && count != 9) || ether_aton(arguments[2]) == nullptr || atoll(arguments[5]) <= 0 ||
      atoll(arguments[6]) <= 0) {
    fprintf(stderr, "usage: numbered_sender DEVICE MAC ADDRESS PORT RATE FLOWS PACKETS [FIRST]\n");
    return 2;
  }
  struct sigaction stop {};
  stop.sa_handler = [](int) { stopped = 1; };
  sigaction(SIGTERM, &stop, nullptr);
  prctl(PR_SET_TIMERSLACK, 1);
  const Frame frame = MakeFrame(arguments[2], arguments[3], arguments[4]);
  Sender sender(OpenDevice(arguments[1]), frame, static_cast<uint64_t>(atoll(arguments[6])),
                count == 9 ? static_cast<uint64_t>(atoll(arguments[8])) : 0);
  const Sent sent = sender.Run(static_cast<uint64_t>(atoll(arguments[5])), static_cast<uint64_t>(atoll(arguments[7])));
  printf("{\"sent\":%llu,\"skipped\":%llu,\"refused\":%llu,\"seconds\":%.6f,\"longestGapUs\":%.1f}\n",
         static_cast<unsigned long long>(sent.packets), static_cast<unsigned long long>(sent.skipped),
         static_cast<unsigned long long>(sent.refused), sent.seconds, static_cast<double>(sent.longest_gap) / 1e3);
  return 0;
}
