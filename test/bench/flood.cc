// Sends frames of one size from a device as fast as it can: `flood DEVICE SECONDS BYTES`. Prints one JSON line.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <chrono>
#include <vector>

int main(int count, char** arguments) {
  if (count != 4) {
    fprintf(stderr, "usage: flood DEVICE SECONDS BYTES\n");
    return 2;
  }
  const int descriptor = socket(AF_PACKET, SOCK_RAW, 0);
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_ifindex = static_cast<int>(if_nametoindex(arguments[1]));
  const int on = 1;
  setsockopt(descriptor, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on));
  if (bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof(address)) < 0) {
    perror("flood");
    return 1;
  }
  constexpr uint32_t kBurst = 64;
  std::vector<uint8_t> frame(static_cast<size_t>(atoi(arguments[3])), 0);
  memset(frame.data(), 0xff, ETH_ALEN);
  memset(frame.data() + ETH_ALEN, 0x02, ETH_ALEN);
  const uint16_t ether_type = htons(0x88b5);  // IEEE 802: local experiments
  memcpy(frame.data() + 2 * ETH_ALEN, &ether_type, sizeof(ether_type));
  iovec part = {frame.data(), frame.size()};
  std::vector<mmsghdr> burst(kBurst);
  for (mmsghdr& message : burst) {
    message.msg_hdr.msg_iov = &part;
    message.msg_hdr.msg_iovlen = 1;
  }
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::seconds(atoi(arguments[2]));
  uint64_t sent = 0;
  while (Clock::now() < end) {
    const int done = sendmmsg(descriptor, burst.data(), kBurst, 0);
    if (done > 0) sent += static_cast<uint64_t>(done);
  }
  printf("{\"sent\":%llu}\n", static_cast<unsigned long long>(sent));
  return 0;
}
