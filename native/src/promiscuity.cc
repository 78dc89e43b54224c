#include "promiscuity.h"

#include <linux/if_packet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace sluice {

std::unique_ptr<Promiscuity> Promiscuity::Begin(const std::string& device, int ifindex, SystemError* error) {
  const int descriptor = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (descriptor < 0) {
    *error = {"socket(AF_PACKET)", device, errno, ""};
    return nullptr;
  }
  std::unique_ptr<Promiscuity> begun(new Promiscuity(descriptor));
  const packet_mreq wanted = {.mr_ifindex = ifindex, .mr_type = PACKET_MR_PROMISC};
  if (setsockopt(descriptor, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &wanted, sizeof(wanted)) == 0) return begun;
  *error = {"setsockopt(PACKET_ADD_MEMBERSHIP)", device, errno, ""};
  return nullptr;
}

Promiscuity::~Promiscuity() { close(socket_); }

}  // namespace sluice
