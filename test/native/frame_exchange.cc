// Sends numbered frames of all sizes from one device and expects them, byte for byte, on another, in other namespaces:
// `frame_exchange NETNS DEVICE NETNS DEVICE FRAMES WINDOW`. At most WINDOW frames are under way. Prints one JSON line.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace {

constexpr uint16_t kEtherType = 0x88b5;  // IEEE 802: local experiments
constexpr uint32_t kShortest = 60;
constexpr uint32_t kLongest = 1514;
constexpr int kPatienceMs = 1000;

// A packet socket stays in the namespace where it was made.
int OpenDevice(const std::string& network, const char* device) {
  const int descriptor = open(("/run/netns/" + network).c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0 || setns(descriptor, CLONE_NEWNET) < 0) return -1;
  close(descriptor);
  const int result = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(kEtherType);
  address.sll_ifindex = static_cast<int>(if_nametoindex(device));
  if (bind(result, reinterpret_cast<sockaddr*>(&address), sizeof(address)) < 0) return -1;
  const int room = 8 << 20;
  setsockopt(result, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
  return result;
}

uint32_t LengthOf(uint32_t number) { return kShortest + number * 7 % (kLongest - kShortest + 1); }

// Broadcast, so that any receiver takes it; then the number, and bytes that depend on it.
void Build(uint32_t number, std::vector<uint8_t>* frame) {
  frame->resize(LengthOf(number));
  memset(frame->data(), 0xff, ETH_ALEN);
  memset(frame->data() + ETH_ALEN, 0x02, ETH_ALEN);
  const uint16_t ether_type = htons(kEtherType);
  memcpy(frame->data() + 2 * ETH_ALEN, &ether_type, sizeof(ether_type));
  memcpy(frame->data() + ETH_HLEN, &number, sizeof(number));
  for (uint32_t i = ETH_HLEN + sizeof(number); i < frame->size(); ++i) (*frame)[i] = static_cast<uint8_t>(number + i);
}

struct Tally {
  uint32_t sent = 0;
  uint32_t received = 0;
  uint32_t corrupt = 0;
};

// Takes what has come; false if nothing came in time.
bool Collect(int from, Tally* tally, int timeout_ms) {
  pollfd descriptor = {from, POLLIN, 0};
  if (poll(&descriptor, 1, timeout_ms) <= 0) return false;
  uint8_t bytes[2 * kLongest];
  std::vector<uint8_t> expected;
  ssize_t length;
  while ((length = recv(from, bytes, sizeof(bytes), MSG_DONTWAIT)) >= 0) {
    uint32_t number = 0;
    memcpy(&number, bytes + ETH_HLEN, sizeof(number));
    Build(number, &expected);
    const bool same = static_cast<size_t>(length) == expected.size() && memcmp(bytes, expected.data(), length) == 0;
    tally->corrupt += same ? 0 : 1;
    ++tally->received;
  }
  return true;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 7) {
    fprintf(stderr, "usage: frame_exchange NETNS DEVICE NETNS DEVICE FRAMES WINDOW\n");
    return 2;
  }
  const int to = OpenDevice(arguments[1], arguments[2]);
  const int from = OpenDevice(arguments[3], arguments[4]);
  if (to < 0 || from < 0) {
    perror("frame_exchange");
    return 1;
  }
  const auto frames = static_cast<uint32_t>(atoi(arguments[5]));
  const auto window = static_cast<uint32_t>(atoi(arguments[6]));
  Tally tally;
  std::vector<uint8_t> frame;
  while (tally.received < frames) {
    while (tally.sent < frames && tally.sent - tally.received < window) {
      Build(tally.sent, &frame);
      if (send(to, frame.data(), frame.size(), 0) < 0) break;
      ++tally.sent;
    }
    if (!Collect(from, &tally, kPatienceMs)) break;
  }
  printf("{\"sent\":%u,\"received\":%u,\"corrupt\":%u}\n", tally.sent, tally.received, tally.corrupt);
  return 0;
}
