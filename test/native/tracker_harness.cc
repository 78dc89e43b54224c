// The tracker on one flow without a table; ends with an error if header prediction makes a difference. Reads commands,
// one per line, and answers each with one line of JSON:
//
//   tracker MIDSTREAM LIBERAL            a new flow, yet without frames; 0 or 1 each                     → {}
//   timeout MS                           what a function sets                                            → {}
//   shift FIRST SECOND                   what a function adds to sequence numbers, of direction 0 and 1 → {}
//   forget                               from now on nothing of an ended flow is handed on to the next   → {}
//   frame TIME_US WIRE_LENGTH HEX        its direction follows from its source address                   → the flow
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <cstring>
#include <iostream>
#include <sstream>
#include <string>

#include "harness_frame.h"
#include "tcp_prediction.h"
#include "tcp_tracker.h"

namespace {

using namespace sluice;

constexpr uint64_t kNsPerUs = 1000;

class TrackerHarness {
 public:
  void Run(const std::string& line) {
    std::istringstream in(line);
    std::string command;
    in >> command;
    if (command == "tracker") Begin(in);
    if (command == "timeout") in >> flow_.timeout_ms;
    if (command == "shift") in >> shifts_.of[0] >> shifts_.of[1];
    if (command == "forget") forgets_ = true;
    if (command == "frame") {
      Track(in);
    } else {
      printf("{}\n");
    }
    fflush(stdout);
  }

 private:
  void Begin(std::istringstream& in) {
    config_.timeouts = DefaultFlowTimeouts();
    in >> config_.midstream >> config_.be_liberal;
    flow_ = {};
    shifts_ = {};
    forgets_ = false;
  }

  void Track(std::istringstream& in) {
    uint64_t time_us = 0;
    uint32_t wire_length = 0;
    std::string hex;
    in >> time_us >> wire_length >> hex;
    const HarnessFrame frame = ReadHarnessFrame(hex);
    const Record record = frame.Parse(wire_length);
    const uint64_t now_ns = time_us * kNsPerUs;
    if (flow_.deadline_ns == 0) BeginFlow(record, frame.bytes.get());
    TrackResult result = TrackTwice(DirectionOf(record, frame.bytes.get()), record, frame.bytes.get(), now_ns);
    const bool reuse = result.reuse;
    if (reuse) {
      const TcpTrack successor = forgets_ ? TcpTrack{} : TrackOfSuccessor(flow_);
      BeginFlow(record, frame.bytes.get());
      flow_.tcp = successor;
      result = TrackTwice(0, record, frame.bytes.get(), now_ns);
    }
    Print(result, reuse, now_ns);
  }

  TrackResult TrackTwice(uint8_t direction, const Record& record, const uint8_t* bytes, uint64_t now_ns) {
    FlowState other = flow_;
    const TrackResult slow = TrackFrameUnpredicted(other, direction, record, bytes, now_ns, config_, shifts_);
    const TrackResult result = TrackFrame(flow_, direction, record, bytes, now_ns, config_, shifts_);
    const bool same = memcmp(&flow_, &other, sizeof(flow_)) == 0 && slow.events == result.events &&
                      slow.deadline_ns == result.deadline_ns && slow.reuse == result.reuse;
    if (!same) fprintf(stderr, "header prediction makes a difference\n"), exit(1);
    return result;
  }

  static const uint8_t* SourceOf(const Record& record, const uint8_t* bytes) {
    return bytes + record.l3_offset + (record.ip_version == 4 ? 12 : 8);
  }

  void BeginFlow(const Record& record, const uint8_t* bytes) {
    const uint32_t timeout_ms = flow_.timeout_ms;
    flow_ = {};
    flow_.state = abi::kFlowStateNew;
    flow_.ip_proto = record.ip_proto;
    flow_.ip_version = record.ip_version;
    flow_.timeout_ms = timeout_ms;
    memcpy(first_, SourceOf(record, bytes), record.ip_version == 4 ? 4 : 16);
  }

  uint8_t DirectionOf(const Record& record, const uint8_t* bytes) const {
    return memcmp(first_, SourceOf(record, bytes), record.ip_version == 4 ? 4 : 16) != 0;
  }

  void Print(const TrackResult& result, bool reuse, uint64_t now_ns) const {
    const auto pair = [](const char* name, const auto* values) {
      printf(",\"%s\":[%u,%u]", name, unsigned{values[0]}, unsigned{values[1]});
    };
    printf("{\"state\":%u,\"events\":%" PRIu32 ",\"reuse\":%s,\"flags\":%u", flow_.state, result.events,
           reuse ? "true" : "false", flow_.flags);
    printf(",\"seconds\":%g,\"invalid\":%" PRIu32 ",\"rttUs\":%" PRIu32,
           static_cast<int64_t>(result.deadline_ns - now_ns) / 1e9, flow_.invalid, flow_.rtt_us);
    pair("retransmissions", flow_.retransmissions);
    pair("outOfOrder", flow_.out_of_order);
    pair("zeroWindows", flow_.zero_windows);
    pair("tcpFlags", flow_.tcp_flags);
    printf("}\n");
  }

  TrackerConfig config_ = {DefaultFlowTimeouts()};
  FlowState flow_ = {};
  TcpShifts shifts_;
  uint8_t first_[16] = {};
  bool forgets_ = false;
};

}  // namespace

int main() {
  TrackerHarness harness;
  for (std::string line; std::getline(std::cin, line);) harness.Run(line);
  return 0;
}
