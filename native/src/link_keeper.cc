#include "link_keeper.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "steering.h"

namespace sluice {
namespace {

// What lies beside a link; without one, it marks the queue's end for the process that looks through it.
struct Label {
  int32_t ifindex;
  int32_t hook;
  int32_t reader;  // of an end mark: the process; otherwise 0
};

// Room for one descriptor, aligned as the kernel wants it.
union Ancillary {
  cmsghdr head;
  char bytes[CMSG_SPACE(sizeof(int))];
};

msghdr Describe(iovec* body, Ancillary* ancillary) {
  msghdr message{};
  message.msg_iov = body;
  message.msg_iovlen = 1;
  message.msg_control = ancillary;
  message.msg_controllen = sizeof(ancillary->bytes);
  return message;
}

// `link`: -1 for none.
bool Send(int socket, Label label, int link) {
  iovec body{&label, sizeof(label)};
  Ancillary ancillary{};
  msghdr message = Describe(&body, &ancillary);
  if (link < 0) {
    message.msg_controllen = 0;
  } else {
    ancillary.head = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    std::memcpy(CMSG_DATA(&ancillary.head), &link, sizeof(link));
  }
  return sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(label);
}

// What is at the head of the queue; with MSG_PEEK it also stays there. False if there is nothing.
bool Receive(int socket, int flags, Label* label, int* link) {
  iovec body{label, sizeof(*label)};
  Ancillary ancillary{};
  msghdr message = Describe(&body, &ancillary);
  *link = -1;
  if (recvmsg(socket, &message, flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != sizeof(*label)) return false;
  const cmsghdr* head = CMSG_FIRSTHDR(&message);
  if (head != nullptr && head->cmsg_type == SCM_RIGHTS) std::memcpy(link, CMSG_DATA(head), sizeof(*link));
  return true;
}

void Discard(int socket) {
  Label label;
  int link;
  if (Receive(socket, 0, &label, &link) && link >= 0) close(link);
}

// The device that the link's program is attached to; 0 once it went away.
int DeviceOf(int link) {
  bpf_link_info info{};
  uint32_t bytes = sizeof(info);
  return bpf_obj_get_info_by_fd(link, &info, &bytes) == 0 ? static_cast<int>(info.xdp.ifindex) : 0;
}

}  // namespace

bool LinkKeeper::Open(int* put, int* take, SystemError* error) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
    *error = {"socketpair", "", errno, ""};
    return false;
  }
  *put = ends[0];
  *take = ends[1];
  return true;
}

bool LinkKeeper::Put(int link, int ifindex, XdpHook hook) const {
  return Send(put_, {ifindex, static_cast<int32_t>(hook), 0}, link);
}

// Each link is put to the queue's end before it is taken from its head: it is in there at any moment, should this
// process die. At worst it is then in there twice, and one of the two is let go here.
int LinkKeeper::Find(int ifindex, XdpHook hook) const {
  int found = -1;
  Label label;
  int link;
  if (!Send(put_, {0, 0, getpid()}, -1)) return -1;
  while (Receive(take_, MSG_PEEK, &label, &link)) {
    const bool is_wanted = label.ifindex == ifindex && label.hook == static_cast<int32_t>(hook);
    const bool is_kept = link >= 0 && DeviceOf(link) == label.ifindex && !(is_wanted && found >= 0);
    if (is_kept) Send(put_, label, link);
    Discard(take_);
    if (is_kept && is_wanted) {
      found = link;
    } else if (link >= 0) {
      close(link);
    }
    if (link < 0 && label.reader == getpid()) break;
  }
  return found;
}

}  // namespace sluice
