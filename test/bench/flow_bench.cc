// The flow table and its timers alone: `flow_bench FLOWS [small-pages]`, on the core that it was started on. Built with
// a peer (FLOW_PEER) it measures that one in turn, on the same keys. Prints one line of JSON.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <chrono>

#include "flow_keys.h"
#include "flow_table.h"
#include "flow_timers.h"
#ifdef FLOW_PEER
#include "flow_peer.h"
#endif

namespace {

using bench::KeyOf;
using sluice::FlowHit;
using sluice::FlowKey;
using sluice::FlowTable;
using sluice::FlowTimers;

constexpr uint32_t kBatch = 256;
constexpr uint32_t kLookups = 1 << 20;
constexpr int kRounds = 9;
constexpr uint64_t kSecond = 1'000'000'000;

uint64_t Now() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

// Of this thread alone: without what the core did for others meanwhile.
uint64_t CpuTime() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return time.tv_sec * kSecond + time.tv_nsec;
}

[[noreturn]] void Fail(const char* what) {
  fprintf(stderr, "flow_bench: %s\n", what);
  exit(1);
}

// What is in memory of this process, in bytes.
uint64_t ResidentBytes() {
  unsigned long size = 0, resident = 0;
  FILE* file = fopen("/proc/self/statm", "r");
  if (file == nullptr || fscanf(file, "%lu %lu", &size, &resident) != 2) Fail("/proc/self/statm");
  fclose(file);
  return resident * 4096;
}

std::unique_ptr<FlowTable> MakeTable(uint32_t flows) {
  const uint64_t bytes = FlowTable::BytesFor(flows);
  const int file = memfd_create("flow_bench", MFD_CLOEXEC);
  if (file < 0 || ftruncate(file, bytes) < 0) Fail("memfd_create");
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory == MAP_FAILED) Fail("mmap");
  sluice::FlowRecovery recovery;
  auto table = FlowTable::Attach({static_cast<uint8_t*>(memory), bytes}, flows, 42, &recovery);
  if (!table) Fail("FlowTable::Attach");
  return table;
}

struct Fill {
  double ns;  // per flow
  double bytes;
};

// What the engine does for the first frame of a flow: a lookup in vain, the flow, its timer.
Fill FillTable(FlowTable& table, FlowTimers& timers, uint32_t flows, uint64_t resident_before) {
  std::array<FlowKey, kBatch> keys;
  std::array<uint8_t, kBatch> sides = {};
  std::array<FlowHit, kBatch> hits;
  uint64_t spent = 0;
  for (uint32_t first = 0; first < flows; first += kBatch) {
    for (uint32_t i = 0; i < kBatch; ++i) keys[i] = KeyOf(first + i);
    const uint64_t start = Now();
    table.Find(keys.data(), sides.data(), kBatch, hits.data());
    for (uint32_t i = 0; i < kBatch; ++i) {
      const uint32_t flow = hits[i].flow == 0 ? table.Insert(keys[i], 0) : 0;
      if (flow == 0) Fail("a flow found no place");
      table.state(flow).state = sluice::abi::kFlowStateNew;
      timers.AddUnassured(flow);
      timers.Set(flow, kSecond + bench::Mix(flow) % kSecond);
    }
    spent += Now() - start;
  }
  return {static_cast<double>(spent) / flows, static_cast<double>(ResidentBytes() - resident_before) / flows};
}

// Nanoseconds per lookup of one pass over `numbers`. The keys of a batch are made outside of the time taken.
template <typename Find>
double Measure(const std::vector<uint32_t>& numbers, bool hit, Find find) {
  std::array<FlowKey, kBatch> keys;
  uint64_t spent = 0, found = 0;
  for (size_t first = 0; first < numbers.size(); first += kBatch) {
    for (uint32_t i = 0; i < kBatch; ++i) keys[i] = KeyOf(numbers[first + i]);
    const uint64_t start = Now();
    found += find(keys.data());
    spent += Now() - start;
  }
  if (found != (hit ? numbers.size() : 0)) Fail("a lookup found what it should not, or did not what it should");
  return static_cast<double>(spent) / numbers.size();
}

void PrintRates(const char* name, const std::vector<double>& ns) {
  printf("\"%s\":[", name);
  for (size_t i = 0; i < ns.size(); ++i) printf("%s%.4g", i == 0 ? "" : ",", 1e9 / ns[i]);
  printf("]");
}

struct Sides {
  const FlowTable& table;
#ifdef FLOW_PEER
  bench::FlowPeer& peer;
#endif
};

void CompareLookups(const Sides& sides, const char* name, const std::vector<uint32_t>& numbers, bool hit) {
  std::array<FlowHit, kBatch> hits;
  const std::array<uint8_t, kBatch> senders = {};
  const auto ours = [&](const FlowKey* keys) {
    sides.table.Find(keys, senders.data(), kBatch, hits.data());
    uint32_t found = 0;
    for (const FlowHit& one : hits) found += one.flow != 0;
    return found;
  };
  std::vector<double> sluice_ns, peer_ns;
  const auto measure_ours = [&] { sluice_ns.push_back(Measure(numbers, hit, ours)); };
  const auto measure_peer = [&] {
#ifdef FLOW_PEER
    const auto theirs = [&](const FlowKey* keys) { return sides.peer.Find(keys, kBatch); };
    peer_ns.push_back(Measure(numbers, hit, theirs));
#endif
  };
  for (int round = 0; round < kRounds; ++round) {
    // Whoever goes first in one round goes second in the next.
    if (round % 2 == 0) measure_ours();
    measure_peer();
    if (round % 2 == 1) measure_ours();
  }
  printf("{\"keys\":\"%s\",", name);
  PrintRates("sluice", sluice_ns);
  printf(",");
  PrintRates("peer", peer_ns);
  printf("}");
}

struct Expiry {
  double ns;  // per flow, with its removal from the table
  std::vector<uint64_t> pauses;
};

// All flows within one second, 64 by 64, as a lane that polls does it.
Expiry ExpireAll(FlowTable& table, FlowTimers& timers) {
  std::array<uint32_t, 64> flows;
  Expiry expiry = {};
  const uint32_t count = table.size();
  const uint64_t start = Now();
  while (timers.Next() != UINT64_MAX) {
    const uint64_t before = CpuTime();
    const uint32_t taken = timers.Expired(2 * kSecond, flows.data(), flows.size());
    expiry.pauses.push_back(CpuTime() - before);
    for (uint32_t i = 0; i < taken; ++i) {
      timers.RemoveUnassured(flows[i]);
      table.Remove(flows[i]);
    }
  }
  expiry.ns = static_cast<double>(Now() - start) / count;
  if (table.size() != 0) Fail("a flow did not expire");
  std::sort(expiry.pauses.begin(), expiry.pauses.end());
  return expiry;
}

}  // namespace

int main(int count, char** arguments) {
  const uint32_t flows = count > 1 ? static_cast<uint32_t>(atol(arguments[1])) : 0;
  if (flows == 0 || flows % kBatch != 0) Fail("usage: flow_bench FLOWS [small-pages], FLOWS a multiple of 256");
  // The peer has no huge pages, so in a comparison neither have we.
  const bool small_pages = count > 2 && strcmp(arguments[2], "small-pages") == 0;
  if (small_pages && prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) != 0) Fail("prctl(PR_SET_THP_DISABLE)");

  const uint64_t resident = ResidentBytes();
  const auto table = MakeTable(flows);
  const auto timers = FlowTimers::Make(flows, 0);
  const Fill fill = FillTable(*table, *timers, flows, resident);
#ifdef FLOW_PEER
  // As many places as we have: two tuples per flow.
  const auto peer = bench::MakeFlowPeer(2 * flows);
  if (!peer) Fail("no peer");
  for (uint32_t number = 0; number < flows; ++number) {
    if (!peer->Insert(KeyOf(number))) Fail("a key found no place in the peer");
  }
  const Sides sides = {*table, *peer};
#else
  const Sides sides = {*table};
#endif

  std::mt19937 random(1);
  printf("{\"flows\":%u,\"insertNs\":%.1f,\"bytesPerFlow\":%.0f,\"lookups\":[", flows, fill.ns, fill.bytes);
  CompareLookups(sides, "uniform hit", bench::Uniform(kLookups, 0, flows, random), true);
  printf(",");
  CompareLookups(sides, "Zipf 1.1 hit", bench::Zipf(kLookups, flows, 1.1, random), true);
  printf(",");
  CompareLookups(sides, "miss", bench::Uniform(kLookups, flows, flows, random), false);
  const Expiry expiry = ExpireAll(*table, *timers);
  const auto pause = [&](double share) { return expiry.pauses[(expiry.pauses.size() - 1) * share] / 1e3; };
  printf("],\"expireNs\":%.1f,\"pauseUs\":{\"median\":%.2f,\"p999\":%.2f,\"longest\":%.2f}}\n", expiry.ns, pause(0.5),
         pause(0.999), pause(1));
}
