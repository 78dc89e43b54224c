// nfs/firewall in C++, for datagrams over IPv4: the decisions, tables and counters that the function has in its memory.
// What it would do differently for others is not here: they are dropped, and a comparison shows it.
#pragma once

#include "twin_classifier.h"

namespace sluice::twin {

/** As nfs/firewall/bench/index.ts writes it; addresses, unless said otherwise. */
struct FirewallTables {
  uint32_t classifier;
  /** A number. */
  uint32_t default_outcome;
  uint32_t outcomes;
  uint32_t decisions;
  uint32_t flows;
  uint32_t configuration;
};

/** Zones as they are if none are configured, looked up all the same. */
class ZonesTwin {
 public:
  uint32_t Ingress(const Record& record) const;
  uint32_t Egress(const Record& record, uint32_t destination) const;
  uint32_t Of(uint32_t address) const;
  bool IsSpoofed(uint32_t source, uint32_t ingress) const;

 private:
  uint8_t of_port_[256] = {};
  uint8_t of_vlan_[4096] = {};
  uint8_t leaves_to_[256] = {};
  uint8_t has_prefixes_[256] = {};
  uint32_t range_count_ = 1;
  uint64_t starts_high_[1] = {};
  uint64_t starts_low_[1] = {};
  uint8_t range_zones_[1] = {};
};

class FirewallTwin {
 public:
  FirewallTwin(TwinMemory memory, uint32_t tables);

  /** One batch, like nf_process. */
  void Process();

 private:
  struct Outcome {
    uint32_t accepts;
    uint32_t packets;
    uint32_t bytes;
    uint32_t last_hit;
    /** Neither limits, nor a log, nor a rule that only counts. */
    uint32_t is_plain;
  };

  void Judge(const Record& record, uint32_t place, Result* result);
  void JudgeAnew(const Record& record, uint32_t place, Result* result);
  void Add(const Record& record, uint32_t place, const ClassifierTwin::Context& context);
  void Settle(const Record& record, uint32_t index, uint32_t match, Result* result);
  void Follow(const Record& record, uint64_t decision, Result* result);
  void CarryOut(const Record& record, const Outcome& outcome, Result* result) const;
  uint32_t StateOf(const Record& record, bool is_opposite) const;
  uint64_t* DecisionOf(const Record& record) const;
  const Outcome& OutcomeAt(uint32_t number) const;

  TwinMemory memory_;
  FirewallTables tables_;
  ClassifierTwin classifier_;
  ZonesTwin zones_;
  uint64_t generation_;
  uint64_t seconds_ = 0;
  uint16_t minute_ = 0;
  // Packets of the batch that no decision covers, with the records that the classifier is to see.
  uint32_t pending_ = 0;
  Record records_[abi::kBatchCapacity];
  uint16_t input_[abi::kBatchCapacity];
  uint8_t places_[abi::kBatchCapacity];
  ClassifierTwin::Context contexts_[abi::kBatchCapacity];
};

}  // namespace sluice::twin
