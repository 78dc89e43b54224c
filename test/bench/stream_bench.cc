// The stream table alone: `stream_bench FLOWS`, on the core that it was started on. Batches of 256 segments that carry
// 1460 bytes each, of flows in random order. Prints one line of JSON: ns per segment, the median of the rounds.
#include <stdio.h>
#include <stdlib.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <random>
#include <vector>

#include "stream_table.h"

namespace {

using namespace sluice;

constexpr uint32_t kBatch = 256;
constexpr uint32_t kSlotBytes = 2048;
constexpr uint32_t kHeaders = 54;
constexpr uint32_t kPayload = 1460;
constexpr uint32_t kBatches = 2000;
constexpr int kRounds = 9;

uint64_t Now() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

void PutBig32(uint8_t* at, uint32_t value) {
  for (int i = 0; i < 4; ++i) at[i] = static_cast<uint8_t>(value >> (24 - 8 * i));
}

// In which order a flow's segments come.
enum class Order { kInOrder, kSwapped };

class Bench {
 public:
  explicit Bench(uint32_t flows) : flows_(flows), next_(flows + 1), umem_(kBatch * kSlotBytes), buffer_(1 << 24) {
    streams_ = StreamTable::Make(buffer_, {.flows = flows});
    for (uint32_t i = 0; i < kBatch; ++i) {
      records_[i] = {.length = kHeaders + kPayload, .wire_length = kHeaders + kPayload, .l3_offset = 14};
      records_[i].l4_offset = 34;
      records_[i].payload_offset = kHeaders;
      records_[i].payload_length = kPayload;
      records_[i].ip_proto = 6;
      records_[i].ip_version = 4;
      records_[i].tcp_flags = 0x10;
    }
    for (uint32_t flow = 1; flow <= flows_; ++flow) Open(flow);
  }

  double Median(Order order, bool prefetch) {
    std::array<double, kRounds> rounds;
    for (double& round : rounds) round = Round(order, prefetch);
    std::sort(rounds.begin(), rounds.end());
    return rounds[kRounds / 2];
  }

 private:
  void Open(uint32_t flow) {
    Record record = records_[0];
    record.tcp_flags = 2;
    record.payload_length = 0;
    PutBig32(&umem_[38], UINT32_MAX);
    streams_->Push(flow, 0, record, 0, umem_.data(), 0, 0, chunks_);
  }

  double Round(Order order, bool prefetch) {
    uint64_t spent = 0, chunks = 0;
    for (uint32_t batch = 0; batch < kBatches; ++batch) {
      Prepare(order);
      const uint64_t start = Now();
      chunks += PushBatch(prefetch);
      spent += Now() - start;
    }
    if (chunks < uint64_t{kBatches} * kBatch) abort();
    return static_cast<double>(spent) / (kBatches * kBatch);
  }

  void Prepare(Order order) {
    for (uint32_t i = 0; i < kBatch; i += 2) {
      chosen_[i] = 1 + random_() % flows_;
      chosen_[i + 1] = order == Order::kSwapped ? chosen_[i] : 1 + random_() % flows_;
      uint32_t first = i, second = i + 1;
      if (order == Order::kSwapped) std::swap(first, second);
      PutSequence(first);
      PutSequence(second);
    }
  }

  void PutSequence(uint32_t i) {
    PutBig32(&umem_[i * kSlotBytes + 38], next_[chosen_[i]]);
    next_[chosen_[i]] += kPayload;
  }

  uint64_t PushBatch(bool prefetch) {
    uint32_t count = 0;
    streams_->BeginBatch();
    for (uint32_t i = 0; prefetch && i < kBatch; ++i) streams_->Prefetch(chosen_[i]);
    for (uint32_t i = 0; i < kBatch; ++i) {
      count += streams_->Push(chosen_[i], 0, records_[i], static_cast<uint16_t>(i), &umem_[i * kSlotBytes],
                              i * kSlotBytes, 0, std::span(chunks_).subspan(count));
    }
    return count;
  }

  const uint32_t flows_;
  std::vector<uint32_t> next_;
  std::vector<uint8_t> umem_, buffer_;
  std::array<Record, kBatch> records_;
  std::array<uint32_t, kBatch> chosen_;
  std::array<Chunk, 1024> chunks_;
  std::unique_ptr<StreamTable> streams_;
  std::mt19937 random_{1};
};

}  // namespace

int main(int count, char** arguments) {
  const int flows = count > 1 ? atoi(arguments[1]) : 0;
  if (flows <= 0) return fprintf(stderr, "usage: stream_bench FLOWS\n"), 2;
  Bench bench(static_cast<uint32_t>(flows));
  printf("{\"flows\":%d,\"inOrderNs\":%.1f,", flows, bench.Median(Order::kInOrder, false));
  printf("\"prefetchedNs\":%.1f,\"swappedNs\":%.1f}\n", bench.Median(Order::kInOrder, true),
         bench.Median(Order::kSwapped, true));
  return 0;
}
