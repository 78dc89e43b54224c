#include "canary.h"

#include "tuple_hash.h"

namespace sluice {

uint32_t Canary::HashOf(const FlowKey& key) {
  const auto hash = [&](int end) {
    return key.ip_version == 6 ? HashEndpoint6(key.address[end], key.port[end])
                               : HashEndpoint4(key.address[end], key.port[end]);
  };
  return HashPair(hash(0), hash(1), key.ip_proto);
}

}  // namespace sluice
