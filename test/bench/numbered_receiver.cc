// Receives what numbered_sender sends, until SIGTERM: `numbered_receiver PORT [answer]`; answers each with the same, if
// told to. Prints `ready`, and at the end one JSON line: what came, what came twice or late, what the kernel dropped
// because this process was too slow (which is nobody else's loss), and by the kernel's receive timestamps how even the
// arrivals were.
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "numbered_packet.h"

namespace {

constexpr uint32_t kBurst = 64;
constexpr int kBufferBytes = 256 << 20;
// 128 MiB of marks.
constexpr uint64_t kNumbers = 1ULL << 30;

volatile sig_atomic_t stopped = 0;

// Counts of values by their leading five bits: what is read from it is up to 6 % too large.
class Histogram {
 public:
  void Add(uint64_t value) { counts_[BucketOf(value)]++; }

  uint64_t Quantile(double share) const {
    uint64_t total = 0;
    for (uint64_t count : counts_) total += count;
    auto rest = static_cast<uint64_t>(static_cast<double>(total) * share);
    for (uint32_t bucket = 0; bucket < counts_.size(); bucket++) {
      if (counts_[bucket] > rest) return UpperOf(bucket);
      rest -= counts_[bucket];
    }
    return 0;
  }

 private:
  static uint32_t BucketOf(uint64_t value) {
    const int shift = std::max(0, static_cast<int>(std::bit_width(value)) - 5);
    return static_cast<uint32_t>(shift) * 32 + static_cast<uint32_t>(value >> shift);
  }

  static uint64_t UpperOf(uint32_t bucket) { return ((bucket % 32 + 1ULL) << (bucket / 32)) - 1; }

  std::array<uint64_t, 61 * 32> counts_{};
};

class Arrivals {
 public:
  void Add(const numbered::Payload& payload, uint64_t at) {
    if (payload.number >= kNumbers) {
      foreign_++;
      return;
    }
    received_++;
    if (IsMarked(payload.number)) {
      duplicates_++;
    } else if (payload.number < next_) {
      reordered_++;
    }
    next_ = std::max(next_, payload.number + 1);
    delays_.Add(at - std::min(at, payload.sent));
    longest_delay_ = std::max(longest_delay_, at - std::min(at, payload.sent));
    if (last_at_ != 0) Compare(at - std::min(at, last_at_), payload.sent - std::min(payload.sent, last_sent_));
    last_at_ = at;
    last_sent_ = payload.sent;
  }

  void Print(uint64_t overflowed) const {
    printf("{\"received\":%llu,\"duplicates\":%llu,\"reordered\":%llu,\"foreign\":%llu,\"overflowed\":%llu,",
           Long(received_), Long(duplicates_), Long(reordered_), Long(foreign_), Long(overflowed));
    printf("\"longestGapUs\":%.1f,\"longestStallUs\":%.1f,", Us(longest_gap_), Us(longest_stall_));
    printf("\"delayUs\":{\"median\":%.1f,\"p99\":%.1f,\"longest\":%.1f}}\n", Us(delays_.Quantile(0.5)),
           Us(delays_.Quantile(0.99)), Us(longest_delay_));
  }

 private:
  static unsigned long long Long(uint64_t value) { return value; }
  static double Us(uint64_t ns) { return static_cast<double>(ns) / 1e3; }

  // Marks it.
  bool IsMarked(uint64_t number) {
    const uint64_t word = number / 64;
    if (word >= marks_.size()) marks_.resize(std::bit_ceil(word + 1));
    const uint64_t bit = 1ULL << (number % 64);
    const bool marked = (marks_[word] & bit) != 0;
    marks_[word] |= bit;
    return marked;
  }

  // A gap that was there when they were sent is none of the path's.
  void Compare(uint64_t gap, uint64_t sent_gap) {
    longest_gap_ = std::max(longest_gap_, gap);
    longest_stall_ = std::max(longest_stall_, gap - std::min(gap, sent_gap));
  }

  std::vector<uint64_t> marks_;
  Histogram delays_;
  uint64_t received_ = 0, duplicates_ = 0, reordered_ = 0, foreign_ = 0;
  uint64_t next_ = 0, last_at_ = 0, last_sent_ = 0;
  uint64_t longest_gap_ = 0, longest_stall_ = 0, longest_delay_ = 0;
};

int OpenSocket(const char* port) {
  const int descriptor = socket(AF_INET, SOCK_DGRAM, 0);
  const int on = 1;
  setsockopt(descriptor, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
  setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &kBufferBytes, sizeof(kBufferBytes));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(atoi(port)));
  if (bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) return descriptor;
  perror("numbered_receiver");
  exit(1);
}

uint64_t Overflowed(int descriptor) {
  std::array<uint32_t, SK_MEMINFO_VARS> values{};
  socklen_t bytes = sizeof(values);
  getsockopt(descriptor, SOL_SOCKET, SO_MEMINFO, values.data(), &bytes);
  return values[SK_MEMINFO_DROPS];
}

class Receiver {
 public:
  Receiver(int descriptor, bool answers) : descriptor_(descriptor), answers_(answers) {
    for (uint32_t i = 0; i < kBurst; i++) {
      parts_[i] = {&payloads_[i], sizeof(numbered::Payload)};
      messages_[i].msg_hdr.msg_iov = &parts_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
      messages_[i].msg_hdr.msg_control = controls_[i].bytes;
      messages_[i].msg_hdr.msg_name = &senders_[i];
    }
  }

  // False when nothing waits.
  bool Take(Arrivals& arrivals) {
    for (mmsghdr& message : messages_) {
      message.msg_hdr.msg_controllen = sizeof(Control);
      message.msg_hdr.msg_namelen = sizeof(sockaddr_in);
    }
    const int count = recvmmsg(descriptor_, messages_.data(), kBurst, MSG_DONTWAIT, nullptr);
    for (int i = 0; i < count; i++) {
      if (messages_[i].msg_len == sizeof(numbered::Payload)) arrivals.Add(payloads_[i], TimeOf(messages_[i].msg_hdr));
      if (answers_) Answer(i);
    }
    return count > 0;
  }

 private:
  struct Control {
    alignas(cmsghdr) char bytes[CMSG_SPACE(sizeof(timespec))];
  };

  void Answer(int i) const {
    sendto(descriptor_, &payloads_[i], messages_[i].msg_len, 0, reinterpret_cast<const sockaddr*>(&senders_[i]),
           messages_[i].msg_hdr.msg_namelen);
  }

  static uint64_t TimeOf(msghdr& header) {
    for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
      if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_TIMESTAMPNS) continue;
      timespec time;
      memcpy(&time, CMSG_DATA(part), sizeof(time));
      return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
    }
    return numbered::Now();
  }

  int descriptor_;
  bool answers_;
  std::array<numbered::Payload, kBurst> payloads_;
  std::array<sockaddr_in, kBurst> senders_;
  std::array<Control, kBurst> controls_;
  std::array<iovec, kBurst> parts_;
  std::array<mmsghdr, kBurst> messages_{};
};

}  // namespace

int main(int count, char** arguments) {
  const bool answers = count == 3 && strcmp(arguments[2], "answer") == 0;
  if (count != 2 && !answers) {
    fprintf(stderr, "usage: numbered_receiver PORT [answer]\n");
    return 2;
  }
  struct sigaction stop {};
  stop.sa_handler = [](int) { stopped = 1; };
  sigaction(SIGTERM, &stop, nullptr);
  const int descriptor = OpenSocket(arguments[1]);
  Receiver receiver(descriptor, answers);
  Arrivals arrivals;
  printf("ready\n");
  fflush(stdout);
  pollfd waiting = {.fd = descriptor, .events = POLLIN};
  while (stopped == 0) {
    while (receiver.Take(arrivals)) {
    }
    poll(&waiting, 1, 100);
  }
  while (receiver.Take(arrivals)) {
  }
  arrivals.Print(Overflowed(descriptor));
  return 0;
}
