// What a lane executes: the plan of a chain, resolved into indices (runtime/chain/plan.ts), and the pages of one
// generation's functions. A lane changes it between two turns (Lane::Install).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "canary.h"
#include "flight_recorder.h"
#include "flow_engine.h"
#include "host_table.h"
#include "layout.h"
#include "match.h"
#include "segment.h"

namespace sluice {

// Where a frame goes: a hop (>= 0), the port -1 - target, nowhere, or to that port where its route leaves.
using Target = int32_t;
inline constexpr Target kConsume = -1000;
inline constexpr Target kRoute = -1001;

inline bool IsHop(Target target) { return target >= 0; }
inline uint32_t PortOf(Target target) { return static_cast<uint32_t>(-1 - target); }

// A column as a function sees it, by flow.
struct SeenColumn {
  const uint8_t* data;
  uint32_t bytes;
};

// The pages that a function and its lane exchange besides batch and results; null for those that it has no use for.
struct Function {
  std::string name;           // whose state it has: its events go on with the next generation's function of that name
  uint8_t* outbox = nullptr;  // abi::kOutbox*
  uint8_t* chunks = nullptr;  // abi::kChunks*
  uint8_t* events = nullptr;  // abi::kEvents*
  uint32_t subscribes = 0;    // event bits
  uint32_t subscriber = 0;    // its queue in the flow engine
  Side side = Side::kAny;     // of the flows whose events it takes
  uint32_t defines = 0;       // event bits that it may raise
  uint32_t labels = 0;        // label bits that it may set
  uint64_t* counters = nullptr;  // layout::kFunctionCounters*
  bool reads_frames = false;
  bool reads_flow = false;
  std::vector<SeenColumn> seen;
  std::shared_ptr<FlightRecorder> recorder;  // null: its calls are not kept
};

struct Hop {
  uint32_t function;
  Target next;
  std::vector<Target> branches;
  uint64_t* counters;  // layout::kHopCounters*, then one per reason
  uint64_t* calls;     // layout::kCallCounters of them
  uint32_t reasons;    // declared by the function, with "unspecified"
  bool bypass;
  bool writable;
  uint32_t noted = 0;  // bits of bad results that were noted (Lane::NoteBadResult)
  bool quarantined;    // it is not called any more: its frames go on (bypass) or are dropped
};

struct Path {
  uint32_t from;
  std::optional<Match> match;
  Target first;
  Side side = Side::kAny;
};

// The frames that wait for a hop or a port, by their records.
struct FrameQueue {
  uint32_t count = 0;
  std::array<uint16_t, layout::kRecordsCapacity> records;
};

struct Program {
  std::shared_ptr<Segment> shared;                 // layout::kSharedBytes: batch, results, records
  std::vector<std::shared_ptr<Segment>> segments;  // that the functions' pages are in
  std::vector<Function> functions;
  std::vector<Hop> hops;                     // in topological order
  std::vector<Path> paths;                   // first match wins
  std::vector<FrameQueue> queues;            // by hop
  std::vector<uint64_t*> port_counters;      // by port of the generation
  std::vector<uint64_t*> port_gauges;        // layout::kPortGauges*, by port
  std::vector<bool> routed_ports;            // by port: frames leave it by the kernel's routes
  std::vector<std::vector<Prefix>> answers;  // by port: of whose link address it says that it is its own
  std::shared_ptr<HostTable> hosts;          // null: no port answers
  uint32_t report_names = 0;                 // what the numbers in its reports mean, for readers
  uint32_t stream_buffer_address = 0;        // where functions see the stream buffer
  FlowProgram flows;
};

}  // namespace sluice
