#include "route_mirror.h"

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <utility>

#include "route_message.h"

namespace sluice {
namespace {

constexpr uint64_t kSettleMs = 20;        // changes come in crowds
constexpr uint64_t kProbeEveryMs = 5000;  // neighbours in use, so that the kernel goes on making sure of them
constexpr size_t kWantedCapacity = 1024;
constexpr int kEventsBytes = 4 << 20;

uint64_t NowMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1'000'000;
}

mnl_socket* OpenSocket(uint32_t groups, SystemError* error) {
  mnl_socket* socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (socket == nullptr || mnl_socket_bind(socket, groups, MNL_SOCKET_AUTOPID) != 0) {
    *error = {"netlink", "", errno, ""};
    if (socket) mnl_socket_close(socket);
    return nullptr;
  }
  return socket;
}

// The prefixes in the order in which they are to be put into the tree: of the same ones, what counts comes last.
std::shared_ptr<const RouteTable> BuildTable(std::vector<RouteMessage> messages) {
  std::ranges::stable_sort(messages, [](const RouteMessage& a, const RouteMessage& b) {
    if (a.is_local_table != b.is_local_table) return b.is_local_table;
    return a.priority > b.priority;
  });
  auto table = std::make_shared<RouteTable>();
  std::vector<PrefixTree::Prefix> prefixes;
  for (RouteMessage& message : messages) {
    prefixes.push_back({message.destination, message.length, static_cast<uint32_t>(table->routes.size())});
    table->routes.push_back(std::move(message.route));
  }
  table->tree = PrefixTree(std::move(prefixes));
  return table;
}

}  // namespace

std::shared_ptr<RouteMirror> RouteMirror::Follow(SystemError* error) {
  std::shared_ptr<RouteMirror> mirror(new RouteMirror());
  return mirror->Open(error) ? mirror : nullptr;
}

std::shared_ptr<RouteMirror> RouteMirror::Fixed(Forwarding forwarding) {
  std::shared_ptr<RouteMirror> mirror(new RouteMirror());
  mirror->next_ = std::move(forwarding);
  mirror->Publish();
  return mirror;
}

RouteMirror::~RouteMirror() {
  stops_ = true;
  if (wake_ >= 0) eventfd_write(wake_, 1);
  if (thread_.joinable()) thread_.join();
  if (events_) mnl_socket_close(events_);
  if (requests_) mnl_socket_close(requests_);
  if (wake_ >= 0) close(wake_);
}

bool RouteMirror::Open(SystemError* error) {
  constexpr uint32_t kGroups =
      RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE;
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  events_ = OpenSocket(kGroups, error);
  requests_ = events_ ? OpenSocket(0, error) : nullptr;
  if (requests_ == nullptr) return false;
  setsockopt(mnl_socket_get_fd(events_), SOL_SOCKET, SO_RCVBUFFORCE, &kEventsBytes, sizeof(kEventsBytes));
  ReadNeighbours();
  if (!ReadAll()) return *error = {"netlink", "", errno, "a dump failed"}, false;
  Publish();
  thread_ = std::thread([this] { Run(); });
  return true;
}

std::shared_ptr<const Forwarding> RouteMirror::current() const {
  const std::lock_guard lock(lock_);
  return current_;
}

bool RouteMirror::Resolve(const Neighbour& neighbour) {
  const std::unique_lock lock(wanted_lock_, std::try_to_lock);
  if (!lock.owns_lock() || wanted_.size() >= kWantedCapacity || wake_ < 0) return false;
  wanted_.push_back(neighbour);
  eventfd_write(wake_, 1);
  return true;
}

void RouteMirror::Wake(int descriptor) {
  const std::lock_guard lock(lock_);
  woken_.push_back(descriptor);
}

void RouteMirror::Forget(int descriptor) {
  const std::lock_guard lock(lock_);
  std::erase(woken_, descriptor);
}

// ---- the thread ----

void RouteMirror::Run() {
  while (!stops_) {
    pollfd descriptors[] = {{mnl_socket_get_fd(events_), POLLIN, 0}, {wake_, POLLIN, 0}};
    poll(descriptors, 2, static_cast<int>(routes_changed_ ? kSettleMs : 1000));
    eventfd_t woken;
    if (descriptors[1].revents & POLLIN) eventfd_read(wake_, &woken);
    ReadEvents();
    std::vector<Neighbour> wanted;
    {
      const std::lock_guard lock(wanted_lock_);
      wanted.swap(wanted_);
    }
    Probe(wanted);
    const uint64_t now = NowMs();
    if (lost_events_) ReadNeighbours();
    if (routes_changed_ && now >= read_next_ms_) {
      routes_changed_ = !ReadAll();
      // A large table takes long to read: most of the time is left to others.
      read_next_ms_ = NowMs() + std::max(kSettleMs, 10 * (NowMs() - now));
      Publish();
    } else if (neighbours_changed_) {
      Publish();
    }
    // Freed here, not by the lane that looks at it last.
    std::erase_if(published_, [](const auto& published) { return published.use_count() == 1; });
    if (now >= probe_next_ms_) {
      probe_next_ms_ = now + kProbeEveryMs;
      Probe(next_.neighbours->TakeUsed());
    }
  }
}

void RouteMirror::ReadEvents() {
  alignas(nlmsghdr) std::array<char, 32768> buffer;
  while (true) {
    const ssize_t received = mnl_socket_recvfrom(events_, buffer.data(), buffer.size());
    if (received < 0 && errno == ENOBUFS) {
      lost_events_ = routes_changed_ = true;
      continue;
    }
    if (received <= 0) return;
    auto left = static_cast<int>(received);
    for (const auto* message = reinterpret_cast<const nlmsghdr*>(buffer.data()); mnl_nlmsg_ok(message, left);
         message = mnl_nlmsg_next(message, &left)) {
      Note(message);
    }
  }
}

void RouteMirror::Note(const nlmsghdr* message) {
  if (message->nlmsg_type == RTM_NEWNEIGH || message->nlmsg_type == RTM_DELNEIGH) return NoteNeighbour(message);
  if (!routes_changed_) read_next_ms_ = std::max(read_next_ms_, NowMs() + kSettleMs);
  routes_changed_ = true;
}

void RouteMirror::NoteNeighbour(const nlmsghdr* message) {
  Neighbour neighbour;
  bool is_known;
  if (!ReadNeighbour(message, &neighbour, &is_known)) return;
  const NeighbourKey key{{neighbour.ifindex, neighbour.version}, neighbour.address};
  const auto found = neighbours_.find(key);
  if (!is_known) {
    if (found == neighbours_.end()) return;
    neighbours_.erase(found);
  } else {
    if (found != neighbours_.end() && found->second.mac == neighbour.mac) return;
    neighbours_[key] = neighbour;
  }
  neighbours_changed_ = true;
}

template <typename Take>
bool RouteMirror::Dump(uint16_t type, uint8_t family, Take take) {
  alignas(nlmsghdr) std::array<char, 32768> buffer;
  nlmsghdr* request = mnl_nlmsg_put_header(buffer.data());
  request->nlmsg_type = type;
  request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request->nlmsg_seq = ++sequence_;
  // Every kind of dump begins with a family, and asks for nothing else here.
  auto* head = static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(request, sizeof(rtmsg)));
  head->rtm_family = family;
  if (mnl_socket_sendto(requests_, request, request->nlmsg_len) < 0) return false;
  while (true) {
    pollfd descriptor{mnl_socket_get_fd(requests_), POLLIN, 0};
    if (poll(&descriptor, 1, 1000) != 1) return false;
    const ssize_t received = mnl_socket_recvfrom(requests_, buffer.data(), buffer.size());
    if (received < 0) return false;
    auto left = static_cast<int>(received);
    for (const auto* message = reinterpret_cast<const nlmsghdr*>(buffer.data()); mnl_nlmsg_ok(message, left);
         message = mnl_nlmsg_next(message, &left)) {
      if (message->nlmsg_seq != sequence_) continue;
      if (message->nlmsg_type == NLMSG_DONE) return true;
      if (message->nlmsg_type == NLMSG_ERROR || (message->nlmsg_flags & NLM_F_DUMP_INTR)) return false;
      take(message);
    }
  }
}

void RouteMirror::ReadNeighbours() {
  neighbours_.clear();
  lost_events_ = false;
  neighbours_changed_ = true;
  const auto note = [this](const nlmsghdr* message) { NoteNeighbour(message); };
  if (!Dump(RTM_GETNEIGH, AF_INET, note) || !Dump(RTM_GETNEIGH, AF_INET6, note)) lost_events_ = true;
}

bool RouteMirror::ReadAll() {
  std::vector<Link> links;
  std::array<std::vector<RouteMessage>, 2> routes;
  const bool is_whole = Dump(RTM_GETLINK, AF_UNSPEC,
                             [&](const nlmsghdr* message) {
                               if (Link link; ReadLink(message, &link)) links.push_back(std::move(link));
                             }) &&
                        Dump(RTM_GETADDR, AF_UNSPEC,
                             [&](const nlmsghdr* message) {
                               LinkAddress address;
                               if (!ReadAddress(message, &address)) return;
                               const auto link = std::ranges::find(links, address.ifindex, &Link::ifindex);
                               if (link == links.end()) return;
                               auto& list = address.ip_version == 4 ? link->addresses4 : link->addresses6;
                               list.push_back(address.address);
                             }) &&
                        Dump(RTM_GETROUTE, AF_UNSPEC, [&](const nlmsghdr* message) {
                          RouteMessage route;
                          if (ReadRoute(message, &route)) routes[route.ip_version == 6].push_back(std::move(route));
                        });
  if (!is_whole) return false;
  next_.links = std::move(links);
  next_.routes4 = BuildTable(std::move(routes[0]));
  next_.routes6 = BuildTable(std::move(routes[1]));
  return true;
}

void RouteMirror::Publish() {
  if (std::exchange(neighbours_changed_, false)) {
    std::vector<Neighbour> known;
    for (const auto& [key, neighbour] : neighbours_) known.push_back(neighbour);
    next_.neighbours = std::make_shared<NeighbourTable>(known);
  }
  ++next_.version;
  published_.push_back(std::make_shared<const Forwarding>(next_));
  const std::lock_guard lock(lock_);
  current_ = published_.back();
  version_.store(next_.version, std::memory_order_release);
  for (const int descriptor : woken_) eventfd_write(descriptor, 1);
}

void RouteMirror::Probe(const std::vector<Neighbour>& neighbours) {
  for (const Neighbour& neighbour : neighbours) {
    alignas(nlmsghdr) std::array<char, 256> buffer;
    nlmsghdr* request = mnl_nlmsg_put_header(buffer.data());
    WriteProbe(request, neighbour);
    mnl_socket_sendto(requests_, request, request->nlmsg_len);
  }
}

}  // namespace sluice
