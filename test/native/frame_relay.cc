// Puts frames on devices of several namespaces and says what arrived there: `frame_relay NETNS DEVICE [NETNS DEVICE
// …]`.
//
// A request on stdin and its answer on stdout have one form: u32 bytes that follow; then per frame u8 end (which of the
// devices, from 0), u8 0, u16 length, the frame. Numbers are little-endian. Frames whose last bytes are kMarker are
// sent after all others, and twice more, each time when all of them have arrived somewhere: then what was to come has
// come. They are not part of the answer; if they do not arrive in time, the program ends.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace {

constexpr char kMarker[] = "sluicemk";
constexpr size_t kMarkerBytes = sizeof(kMarker) - 1;
constexpr int kPatienceMs = 10000;
constexpr size_t kHeaderBytes = 4;
// A marker may overtake what is in an engine's batch with it, and fragments that waited for their first one come in the
// batch after that.
constexpr int kRounds = 3;

struct Frame {
  uint8_t end;
  std::string bytes;
};

// A packet socket stays in the namespace where it was made.
int OpenDevice(const std::string& network, const char* device) {
  const int descriptor = open(("/run/netns/" + network).c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0 || setns(descriptor, CLONE_NEWNET) < 0) return -1;
  close(descriptor);
  const int result = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  const int on = 1;
  const int room = 16 << 20;
  setsockopt(result, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on));
  setsockopt(result, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
  setsockopt(result, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(if_nametoindex(device));
  if (bind(result, reinterpret_cast<sockaddr*>(&address), sizeof(address)) < 0) return -1;
  return result;
}

bool IsMarker(const std::string& bytes) {
  return bytes.size() > kMarkerBytes && bytes.compare(bytes.size() - kMarkerBytes, kMarkerBytes, kMarker) == 0;
}

bool ReadExactly(void* to, size_t length) { return length == 0 || fread(to, 1, length, stdin) == length; }

bool ReadRequest(std::vector<Frame>* frames) {
  uint32_t length = 0;
  if (!ReadExactly(&length, sizeof(length))) return false;
  std::string body(length, '\0');
  if (!ReadExactly(body.data(), length)) return false;
  for (size_t at = 0; at + kHeaderBytes <= body.size();) {
    uint16_t bytes = 0;
    memcpy(&bytes, &body[at + 2], sizeof(bytes));
    frames->push_back({static_cast<uint8_t>(body[at]), body.substr(at + kHeaderBytes, bytes)});
    at += kHeaderBytes + bytes;
  }
  return true;
}

class Relay {
 public:
  bool Open(int count, char** names) {
    for (int i = 0; i + 1 < count; i += 2) {
      const int descriptor = OpenDevice(names[i], names[i + 1]);
      if (descriptor < 0) return false;
      ends_.push_back({descriptor, POLLIN, 0});
    }
    return !ends_.empty();
  }

  // False if the markers did not arrive.
  bool Exchange(const std::vector<Frame>& frames) {
    answer_.clear();
    size_t markers = 0;
    for (const Frame& frame : frames) {
      if (IsMarker(frame.bytes))
        ++markers;
      else
        Send(frame);
    }
    for (int round = 0; round < kRounds; ++round) {
      for (const Frame& frame : frames) {
        if (IsMarker(frame.bytes)) Send(frame);
      }
      if (!Await(markers)) return false;
    }
    return true;
  }

  void Answer() const {
    const uint32_t length = static_cast<uint32_t>(answer_.size());
    fwrite(&length, sizeof(length), 1, stdout);
    fwrite(answer_.data(), 1, answer_.size(), stdout);
    fflush(stdout);
  }

 private:
  void Send(const Frame& frame) const {
    if (frame.end >= ends_.size()) return;
    if (send(ends_[frame.end].fd, frame.bytes.data(), frame.bytes.size(), 0) < 0) perror("send");
  }

  bool Await(size_t markers) {
    while (markers > 0) {
      if (poll(ends_.data(), ends_.size(), kPatienceMs) <= 0) return false;
      for (size_t end = 0; end < ends_.size(); ++end) markers -= Drain(end);
    }
    return true;
  }

  // How many markers came.
  size_t Drain(size_t end) {
    size_t markers = 0;
    char bytes[65536];
    ssize_t length;
    while ((length = recv(ends_[end].fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
      const std::string frame(bytes, static_cast<size_t>(length));
      if (IsMarker(frame)) {
        ++markers;
        continue;
      }
      const uint16_t size = static_cast<uint16_t>(length);
      answer_.push_back(static_cast<char>(end));
      answer_.push_back(0);
      answer_.append(reinterpret_cast<const char*>(&size), sizeof(size));
      answer_.append(frame);
    }
    return markers;
  }

  std::vector<pollfd> ends_;
  std::string answer_;
};

}  // namespace

int main(int argc, char** argv) {
  Relay relay;
  if (!relay.Open(argc - 1, argv + 1)) {
    perror("frame_relay");
    return 1;
  }
  std::vector<Frame> frames;
  while (ReadRequest(&frames)) {
    if (!relay.Exchange(frames)) {
      fprintf(stderr, "frame_relay: markers did not arrive\n");
      return 1;
    }
    relay.Answer();
    frames.clear();
  }
  return 0;
}
