#include "twin_hello.h"

namespace sluice::twin {

void HelloTwin::Process() {
  const Batch& batch = memory_.batch();
  const Record* records = memory_.records();
  uint64_t ipv4 = 0;
  uint64_t ipv6 = 0;
  uint64_t bytes = 0;
  const uint32_t count = batch.count;
  for (uint32_t i = 0; i < count; ++i) {
    const Record& record = records[batch.input[i]];
    if (record.ip_version == 4) {
      ++ipv4;
    } else if (record.ip_version == 6) {
      ++ipv6;
    }
    bytes += record.wire_length;
  }
  uint64_t* counters = memory_.At<uint64_t>(counters_);
  counters[0] += ipv4;
  counters[1] += ipv6;
  counters[2] += count - ipv4 - ipv6;
  counters[3] += bytes;
}

}  // namespace sluice::twin
