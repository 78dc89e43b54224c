#include "flow_table.h"

#include <emmintrin.h>

#include <algorithm>

#include "flow_file.h"
#include "flow_index.h"
#include "flow_numbers.h"

namespace sluice {
namespace {

// Keys that are looked up together: enough to cover the memory's latency, few enough that what was fetched for them is
// still in the first-level cache when its turn comes.
constexpr uint32_t kGroup = 128;

bool Equal(const FlowKey& a, const FlowKey& b) {
  const auto* x = reinterpret_cast<const __m128i*>(&a);
  const auto* y = reinterpret_cast<const __m128i*>(&b);
  const auto difference = [&](int i) { return _mm_xor_si128(_mm_loadu_si128(x + i), _mm_loadu_si128(y + i)); };
  const __m128i any = _mm_or_si128(_mm_or_si128(difference(0), difference(1)), difference(2));
  return _mm_movemask_epi8(_mm_cmpeq_epi8(any, _mm_setzero_si128())) == 0xffff;
}
static_assert(sizeof(FlowKey) == 3 * sizeof(__m128i));

class SharedFlowTable final : public FlowTable {
 public:
  SharedFlowTable(const FlowFile& file, uint32_t capacity, std::unique_ptr<FlowIndex> index,
                  std::unique_ptr<FlowNumbers> numbers)
      : file_(file), capacity_(capacity), hash_(file.seed()), index_(std::move(index)), numbers_(std::move(numbers)) {
    states_ = file_.states();
  }

  void Recover(FlowRecovery* recovery);

  void Find(const FlowKey* keys, const uint8_t* sides, uint32_t count, FlowHit* hits) const override;
  uint32_t Insert(const FlowKey& key, uint8_t side) override;
  bool Bind(uint32_t flow, const FlowKey& key, uint8_t side) override;
  void Remove(uint32_t flow) override;
  const FlowKey* KeyOf(uint32_t flow, uint8_t tuple) const override;
  uint8_t SideOf(uint32_t flow, uint8_t tuple) const override {
    return file_.tuple(tuple == 0 ? flow : Second(flow)).side();
  }

  TcpShifts shifts(uint32_t flow) const override {
    return states_[flow].flags & abi::kFlowFlagShifted ? file_.tuple(Second(flow)).shifts : TcpShifts{};
  }
  void Shift(uint32_t flow, uint8_t direction, uint32_t shift) override;
  FlowPorts& PortsOf(uint32_t flow) override { return file_.tuple(flow).ports; }

  uint32_t size() const override { return size_; }
  uint32_t capacity() const override { return capacity_; }
  uint32_t used() const override { return numbers_->used(); }

 private:
  uint32_t Second(uint32_t flow) const { return flow + file_.second_base(); }
  bool IsWhole(uint32_t flow) const { return flow != 0 && flow <= used() && file_.tuple(flow).whole(); }

  void FindGroup(const FlowKey* keys, const uint8_t* sides, uint32_t count, FlowHit* hits) const;
  FlowHit HitOf(uint32_t number, uint8_t side) const;
  uint32_t Search(uint64_t hash, const FlowKey& key) const;
  void Write(uint32_t number, const FlowKey& key, uint64_t hash, uint8_t side);
  bool RecoverFirst(uint32_t flow);
  bool RecoverSecond(uint32_t flow);

  FlowFile file_;
  const uint32_t capacity_;
  const FlowHash hash_;
  const std::unique_ptr<FlowIndex> index_;
  const std::unique_ptr<FlowNumbers> numbers_;
  uint32_t size_ = 0;
};

// ---- lookup ----

FlowHit SharedFlowTable::HitOf(uint32_t number, uint8_t side) const {
  const bool second = number >= file_.second_base();
  const uint32_t flow = second ? number - file_.second_base() : number;
  return {flow, second, static_cast<uint8_t>(side ^ file_.tuple(number).side())};
}

uint32_t SharedFlowTable::Search(uint64_t hash, const FlowKey& key) const {
  return index_->Search(hash, [&](uint32_t number) { return Equal(file_.tuple(number).key, key); });
}

void SharedFlowTable::Find(const FlowKey* keys, const uint8_t* sides, uint32_t count, FlowHit* hits) const {
  for (uint32_t first = 0; first < count; first += kGroup) {
    FindGroup(keys + first, sides + first, std::min(count - first, kGroup), hits + first);
  }
}

// Three passes, each on memory that the one before asked for: hashes, buckets, tuples.
void SharedFlowTable::FindGroup(const FlowKey* keys, const uint8_t* sides, uint32_t count, FlowHit* hits) const {
  uint64_t hash[kGroup];
  uint32_t tuple[kGroup];
  bool more[kGroup];
  for (uint32_t i = 0; i < count; ++i) {
    hash[i] = hash_(keys[i]);
    index_->Prefetch(hash[i]);
  }
  for (uint32_t i = 0; i < count; ++i) {
    tuple[i] = index_->First(hash[i], &more[i]);
    __builtin_prefetch(&file_.tuple(tuple[i]));
  }
  for (uint32_t i = 0; i < count; ++i) {
    const bool found = tuple[i] != 0 && Equal(file_.tuple(tuple[i]).key, keys[i]);
    const uint32_t number = found ? tuple[i] : more[i] ? Search(hash[i], keys[i]) : 0;
    hits[i] = number == 0 ? FlowHit{} : HitOf(number, sides[i]);
  }
}

const FlowKey* SharedFlowTable::KeyOf(uint32_t flow, uint8_t tuple) const {
  if (!IsWhole(flow)) return nullptr;
  if (tuple == 0) return &file_.tuple(flow).key;
  return file_.tuple(flow).bound() ? &file_.tuple(Second(flow)).key : nullptr;
}

// ---- change ----

// The word has said before that the rest is in the making, and says after it that it is whole.
void SharedFlowTable::Write(uint32_t number, const FlowKey& key, uint64_t hash, uint8_t side) {
  FlowTuple& tuple = file_.tuple(number);
  tuple.key = key;
  if (number < file_.second_base()) tuple.ports = {};
  StoreOrdered(tuple.word, WordOf(hash, side));
  index_->Insert(hash, number);
}

uint32_t SharedFlowTable::Insert(const FlowKey& key, uint8_t side) {
  const uint32_t flow = numbers_->Take();
  if (flow == 0) return 0;
  if (flow > file_.used()) file_.RaiseUsed(flow);
  StoreOrdered(file_.tuple(flow).word, kTupleChanging);
  FlowState& state = states_[flow];
  state = {};
  state.ip_proto = key.ip_proto;
  state.ip_version = key.ip_version;
  state.first_side = side;
  state.zone = key.zone;
  state.vlan = key.vlan;
  Write(flow, key, hash_(key), side);
  ++size_;
  return flow;
}

bool SharedFlowTable::Bind(uint32_t flow, const FlowKey& key, uint8_t side) {
  if (!IsWhole(flow)) return false;
  const uint64_t hash = hash_(key);
  const uint32_t taken = Search(hash, key);
  if (taken != 0 && taken != flow && taken != Second(flow)) return false;
  FlowTuple& first = file_.tuple(flow);
  FlowTuple& second = file_.tuple(Second(flow));
  if (first.bound()) index_->Remove(hash_(second.key), Second(flow));
  if (taken == flow) {  // the first tuple finds the flow already
    StoreOrdered(first.word, first.word & ~kTupleBound);
    return true;
  }
  StoreOrdered(second.word, kTupleChanging);
  // Only now may the second tuple be looked at: what it held before belonged to no flow.
  StoreOrdered(first.word, first.word | kTupleBound);
  Write(Second(flow), key, hash, side ^ 1);
  return true;
}

void SharedFlowTable::Shift(uint32_t flow, uint8_t direction, uint32_t shift) {
  if (!IsWhole(flow)) return;
  TcpShifts shifts = this->shifts(flow);
  shifts.of[direction] = shift;
  file_.tuple(Second(flow)).shifts = shifts;
  states_[flow].flags |= abi::kFlowFlagShifted;
}

void SharedFlowTable::Remove(uint32_t flow) {
  if (!IsWhole(flow)) return;
  const FlowTuple& first = file_.tuple(flow);
  if (first.bound()) index_->Remove(hash_(file_.tuple(Second(flow)).key), Second(flow));
  index_->Remove(hash_(first.key), flow);
  file_.Erase(flow);
  numbers_->Give(flow);
  --size_;
}

// ---- taking over ----

bool SharedFlowTable::RecoverFirst(uint32_t flow) {
  if (!file_.IsWholeFlow(flow, hash_)) return false;
  const FlowKey& key = file_.tuple(flow).key;
  const uint64_t hash = hash_(key);
  if (Search(hash, key) != 0) return false;
  index_->Insert(hash, flow);
  return true;
}

bool SharedFlowTable::RecoverSecond(uint32_t flow) {
  const uint32_t number = Second(flow);
  const FlowKey& key = file_.tuple(number).key;
  if (file_.IsWholeTuple(number, hash_) && Search(hash_(key), key) == 0) {
    index_->Insert(hash_(key), number);
    return true;
  }
  FlowTuple& first = file_.tuple(flow);
  StoreOrdered(first.word, first.word & ~kTupleBound);
  return false;
}

void SharedFlowTable::Recover(FlowRecovery* recovery) {
  for (uint32_t flow = 1; flow <= used(); ++flow) {
    if (RecoverFirst(flow)) {
      ++size_;
      continue;
    }
    recovery->dropped += file_.Erase(flow);
    numbers_->Give(flow);
  }
  for (uint32_t flow = 1; flow <= used(); ++flow) {
    if (file_.tuple(flow).bound() && !RecoverSecond(flow)) ++recovery->dropped;
  }
  recovery->kept = size_;
}

}  // namespace

uint64_t FlowTable::BytesFor(uint32_t capacity) { return FlowFile::BytesFor(capacity); }

uint64_t FlowTable::StatesOffset(uint32_t capacity) { return FlowFile::StatesOffset(capacity); }

std::unique_ptr<FlowTable> FlowTable::Attach(std::span<uint8_t> memory, uint32_t capacity, uint64_t seed,
                                             FlowRecovery* recovery) {
  *recovery = {};
  if (capacity == 0 || capacity > kFlowCapacityLimit || memory.size() < BytesFor(capacity)) return nullptr;
  FlowFile file(memory, capacity);
  recovery->fresh = !file.IsFormatted();
  if (recovery->fresh) {
    file.Format(seed);
  } else {
    file.Trim();
  }
  auto index = FlowIndex::Make(2 * capacity);
  auto numbers = FlowNumbers::Make(capacity, file.used());
  if (!index || !numbers) return nullptr;
  auto table = std::make_unique<SharedFlowTable>(file, capacity, std::move(index), std::move(numbers));
  table->Recover(recovery);
  return table;
}

}  // namespace sluice
