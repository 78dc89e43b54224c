// What a lane reports to other processes, and what it publishes of its use of rings and processor.
#include <algorithm>
#include <cstring>
#include <ctime>
#include <utility>

#include "lane.h"

namespace sluice {
namespace {

struct DropReport {
  uint64_t time_ns;
  uint32_t detail;
  uint32_t length;
  int16_t hop;
  uint16_t reason;
  uint8_t kind;
  uint8_t port;
  uint8_t engine;
  uint8_t link;
  uint32_t kept;
  uint32_t one_of;
  uint64_t number;
};
static_assert(sizeof(DropReport) == layout::kReportDropBytes);
static_assert(offsetof(DropReport, number) == layout::kReportDropNumber);

constexpr uint64_t kCpuEveryNs = 10'000'000;

uint64_t ThreadTime() {
  timespec used;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<uint64_t>(used.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(used.tv_nsec);
}

}  // namespace

void Lane::ReportDrop(uint32_t record_index, int32_t hop, uint32_t kind, uint32_t reason, uint32_t detail,
                      bool engine) {
  ReportRing& ring = *config_.reports;
  const Flight& flight = flights_[record_index];
  const Record& record = records_[record_index];
  if (flight.number == TestFrame::kNumber) return;
  const uint32_t kept = std::min<uint32_t>(flight.frame.length, layout::kReportFrameBytes);
  const uint32_t serial = config_.flows && record.flow != 0 ? config_.flows->SerialOf(record.flow) : 0;
  uint8_t* to = ring.Begin(layout::kReportKindsDrop, record.flow, serial, sizeof(DropReport) + kept);
  const DropReport report = {.time_ns = clock_ns_,
                             .detail = detail,
                             .length = flight.frame.wire_length,
                             .hop = static_cast<int16_t>(hop),
                             .reason = static_cast<uint16_t>(reason),
                             .kind = static_cast<uint8_t>(kind),
                             .port = record.port,
                             .engine = engine,
                             .link = record.link,
                             .kept = kept,
                             .one_of = ring.drop_every(),
                             .number = flight.number};
  std::memcpy(to, &report, sizeof(report));
  std::memcpy(to + sizeof(report), config_.umem->data() + flight.frame.offset, kept);
  ring.End();
}

void Lane::ReportEvent(const Function& function, uint32_t flow, uint32_t event, uint32_t value) {
  ReportRing& ring = *config_.reports;
  if (!ring.WantsEvent(clock_ns_)) return;
  uint8_t* to = ring.Begin(layout::kReportKindsEvent, flow, config_.flows->SerialOf(flow),
                           layout::kReportEventBytes + sizeof(FlowReport));
  const uint32_t words[] = {event, value, static_cast<uint32_t>(&function - program_->functions.data()), 0};
  static_assert(sizeof(words) == layout::kReportEventBytes);
  std::memcpy(to, words, sizeof(words));
  config_.flows->Describe(flow, clock_ns_, to + sizeof(words));
  ring.End();
}

void Lane::PublishUse() {
  if (!config_.virtual_clock && clock_ns_ - cpu_published_ns_ >= kCpuEveryNs) {
    cpu_published_ns_ = clock_ns_;
    const uint64_t now = ThreadTime();
    Use(layout::kLaneUseCountersCpuNs) += now - std::exchange(cpu_used_ns_, now);
  }
  for (uint32_t place = 0; mirrored_ && place < layout::kMirrors; ++place) {
    if (!mirrors_[place]) continue;
    const uint64_t missed = mirrors_[place]->missed();
    Use(layout::kLaneUseCountersMirrorMissed) += missed - std::exchange(mirrors_missed_[place], missed);
  }
  for (uint32_t i = 0; i < active_; ++i) {
    const PortRings& rings = ports_[i]->rings();
    uint64_t* to = program_->port_gauges[i];
    to[layout::kPortGaugesRingSize] = rings.size;
    to[layout::kPortGaugesReceiveRing] = rings.receive;
    to[layout::kPortGaugesTransmitRing] = rings.transmit;
  }
  if (!config_.reports) return;
  Use(layout::kLaneUseCountersDropsSkipped) = drops_skipped_before_ + config_.reports->drops_skipped();
  Use(layout::kLaneUseCountersEventsSkipped) = events_skipped_before_ + config_.reports->events_skipped();
  if (config_.flows) config_.reports->SetSerial(config_.flows->serial());
}

// Another thread has the lane from now on; what it used before is not the lane's.
void Lane::BeginUse() {
  cpu_used_ns_ = ThreadTime();
  if (config_.reports) config_.reports->SetNames(program_->report_names);
}

}  // namespace sluice
