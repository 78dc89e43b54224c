#include "twin_hello.h"

namespace sluice::twin {

void HelloTwin::Process() {
  const Batch& batch = memory_.batch();
  const Record* records = memory_.records();
  uint64_t* counters = memory_.At<uint64_t>(counters_);
  const uint32_t count = batch.count;
  for (uint32_t i = 0; i < count; ++i) {
    const Record& record = records[batch.input[i]];
    if (record.ip_version == 4) {
      ++counters[0];
    } else if (record.ip_version == 6) {
      ++counters[1];
    } else {
      ++counters[2];
    }
    counters[3] += record.wire_length;
  }
}

}  // namespace sluice::twin
