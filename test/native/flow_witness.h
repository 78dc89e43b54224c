// What the recovery tests know of a flow table from outside: which flows were whole when the process that wrote it
// died.
#pragma once

#include <atomic>
#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "flow_table.h"

namespace witness {

// Another key for each number, IPv4 and IPv6 in turn.
inline sluice::FlowKey KeyOf(uint32_t number) {
  sluice::FlowKey key = {};
  key.ip_version = number % 2 == 0 ? 4 : 6;
  key.ip_proto = 6;
  key.vlan = static_cast<uint16_t>(number % 3);
  std::memcpy(key.address[0], &number, sizeof(number));
  std::memcpy(key.address[1] + (key.ip_version == 4 ? 0 : 12), &number, sizeof(number));
  key.port[1] = 80;
  return key;
}

inline uint8_t SideOf(uint32_t number) { return number / 2 % 2; }

struct FlowNote {
  uint32_t first;  // number of the first key, 0 for no flow
  uint32_t second;
};

enum class Change : uint32_t { kNone, kInsert, kBind, kRemove };

// Written before and after each change, in memory that outlives the process like the table's.
struct Journal {
  Change change;
  uint32_t flow;
  uint32_t key;
  uint32_t next_key;
  uint64_t changes;
  FlowNote notes[];  // by flow
};

class Witness {
 public:
  Witness(Journal& journal, uint32_t capacity) : journal_(journal), capacity_(capacity) {}

  // One change to the table, chosen by chance; about as many flows come as go.
  void ChangeOne(sluice::FlowTable& table, std::mt19937& random) {
    const uint32_t flow = 1 + random() % capacity_;
    const uint32_t key = ++journal_.next_key;
    if (journal_.notes[flow].first == 0) return Insert(table, key);
    if (random() % 2 == 0) return Remove(table, flow);
    Bind(table, flow, key);
  }

  void Insert(sluice::FlowTable& table, uint32_t key) {
    Begin(Change::kInsert, 0, key);
    const uint32_t flow = table.Insert(KeyOf(key), SideOf(key));
    if (flow != 0) {
      table.state(flow).state = 1;
      Store(journal_.notes[flow].second, 0u);
      Store(journal_.notes[flow].first, key);
    }
    End();
  }

  void Bind(sluice::FlowTable& table, uint32_t flow, uint32_t key) {
    Begin(Change::kBind, flow, key);
    if (table.Bind(flow, KeyOf(key), SideOf(key))) Store(journal_.notes[flow].second, key);
    End();
  }

  void Remove(sluice::FlowTable& table, uint32_t flow) {
    Begin(Change::kRemove, flow, 0);
    table.Remove(flow);
    Store(journal_.notes[flow].first, 0u);
    End();
  }

  // What is wrong with a table that was just taken over, or nothing. Notes what became of the change that was under
  // way.
  std::string Compare(sluice::FlowTable& table, const sluice::FlowRecovery& recovery);

 private:
  template <typename Value>
  static void Store(Value& to, Value value) {
    std::atomic_ref(to).store(value, std::memory_order_release);
    std::atomic_thread_fence(std::memory_order_release);
  }

  void Begin(Change change, uint32_t flow, uint32_t key) {
    journal_.flow = flow;
    journal_.key = key;
    Store(journal_.change, change);
  }
  void End() {
    ++journal_.changes;
    Store(journal_.change, Change::kNone);
  }

  static bool Has(const sluice::FlowTable& table, uint32_t flow, uint8_t tuple, uint32_t key) {
    const sluice::FlowKey* found = table.KeyOf(flow, tuple);
    if (key == 0 || found == nullptr) return key == 0 && found == nullptr;
    const sluice::FlowKey expected = KeyOf(key);
    return std::memcmp(found, &expected, sizeof(expected)) == 0;
  }

  bool Settle(const sluice::FlowTable& table, uint32_t flow);

  Journal& journal_;
  const uint32_t capacity_;
};

// Whether the flow is as it may be after the change that was under way; the note then says how it is.
inline bool Witness::Settle(const sluice::FlowTable& table, uint32_t flow) {
  FlowNote& note = journal_.notes[flow];
  const bool live = table.IsLive(flow);
  if (live && note.first == 0 && journal_.change == Change::kInsert) note = {journal_.key, 0};
  if (!live && note.first != 0 && journal_.change == Change::kRemove && journal_.flow == flow) note.first = 0;
  if (!live) return note.first == 0;
  if (journal_.change == Change::kBind && journal_.flow == flow && !Has(table, flow, 1, note.second)) {
    note.second = table.KeyOf(flow, 1) == nullptr ? 0 : journal_.key;
  }
  return Has(table, flow, 0, note.first) && Has(table, flow, 1, note.second);
}

// What is wrong with the table in itself, or nothing: every flow is found by its keys from both sides, and only so.
inline std::string Examine(const sluice::FlowTable& table) {
  uint32_t live = 0;
  for (uint32_t flow = 0; flow <= table.capacity(); ++flow) {
    const std::string name = "flow " + std::to_string(flow);
    if (!table.IsLive(flow)) {
      if (table.KeyOf(flow, 0) != nullptr || table.KeyOf(flow, 1) != nullptr) return name + " has keys but no state";
      continue;
    }
    ++live;
    const sluice::FlowState& state = table.state(flow);
    for (uint8_t tuple = 0; tuple < 2; ++tuple) {
      const sluice::FlowKey* key = table.KeyOf(flow, tuple);
      if (key == nullptr && tuple == 0) return name + " has no key";
      if (key == nullptr) continue;
      const sluice::FlowKey keys[] = {*key, *key};
      const uint8_t sides[] = {0, 1};
      sluice::FlowHit hits[2];
      table.Find(keys, sides, 2, hits);
      for (const sluice::FlowHit& hit : hits) {
        if (hit.flow != flow || hit.tuple != tuple) return name + " is not found by its key";
      }
      if (hits[0].direction == hits[1].direction) return name + " has one direction";
      if (tuple == 0 && hits[state.first_side].direction != 0) return name + " has its directions exchanged";
      if (key->ip_proto != state.ip_proto && tuple == 0) return name + " has the state of another";
    }
  }
  return live == table.size() ? "" : "the table's size is wrong";
}

inline std::string Witness::Compare(sluice::FlowTable& table, const sluice::FlowRecovery& recovery) {
  for (uint32_t flow = 1; flow <= capacity_; ++flow) {
    if (!Settle(table, flow)) return "flow " + std::to_string(flow) + " is not what it was";
  }
  const bool under_way = journal_.change != Change::kNone;
  journal_.change = Change::kNone;
  if (recovery.kept != table.size()) return "kept is not the table's size";
  if (recovery.dropped > (under_way ? 1 : 0)) return "more dropped than was under way";
  return Examine(table);
}

}  // namespace witness
