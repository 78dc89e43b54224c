// Deaths of a process that writes a flow table, and garbage in the table's memory. Prints one line of JSON.
//
//   flow_recovery_harness churn FILE CAPACITY SEED   takes the table over, says how it is, changes it until it is
//   killed flow_recovery_harness steps                      ends a change between any two instructions
//   flow_recovery_harness garbage ROUNDS SEED        takes over memory that is partly nonsense
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "flow_witness.h"

namespace {

using sluice::FlowRecovery;
using sluice::FlowTable;
using witness::Journal;
using witness::Witness;

[[noreturn]] void Fail(const char* what) {
  perror(what);
  exit(1);
}

uint64_t JournalBytes(uint32_t capacity) { return sizeof(Journal) + (capacity + 1ul) * sizeof(witness::FlowNote); }

// A table's memory with a journal behind it.
std::span<uint8_t> Map(const char* path, uint32_t capacity) {
  const uint64_t bytes = FlowTable::BytesFor(capacity) + JournalBytes(capacity);
  const int file = path == nullptr ? memfd_create("flows", 0) : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0 || ftruncate(file, bytes) < 0) Fail("the table's file");
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (memory == MAP_FAILED) Fail("mmap");
  return {static_cast<uint8_t*>(memory), bytes};
}

Journal& JournalOf(std::span<uint8_t> memory, uint32_t capacity) {
  return *reinterpret_cast<Journal*>(memory.data() + FlowTable::BytesFor(capacity));
}

std::unique_ptr<FlowTable> Attach(std::span<uint8_t> memory, uint32_t capacity, FlowRecovery* recovery) {
  auto table = FlowTable::Attach(memory.first(FlowTable::BytesFor(capacity)), capacity, 1, recovery);
  if (!table) Fail("FlowTable::Attach");
  return table;
}

[[noreturn]] void Churn(const char* path, uint32_t capacity, uint32_t seed) {
  const std::span<uint8_t> memory = Map(path, capacity);
  Journal& journal = JournalOf(memory, capacity);
  FlowRecovery recovery;
  const auto table = Attach(memory, capacity, &recovery);
  Witness witness(journal, capacity);
  const std::string fault = witness.Compare(*table, recovery);
  printf("{\"fresh\":%s,\"kept\":%u,\"dropped\":%u,\"changes\":%lu,\"fault\":\"%s\"}\n",
         recovery.fresh ? "true" : "false", recovery.kept, recovery.dropped, journal.changes, fault.c_str());
  fflush(stdout);
  std::mt19937 random(seed);
  for (;;) witness.ChangeOne(*table, random);
}

// Lets a child make one change and stops it after each instruction: whatever it has stored so far is what a death would
// leave. Each new image of the memory is taken over in a copy.
struct Steps {
  uint64_t instructions = 0;
  uint32_t images = 0;
  uint32_t dropping = 0;  // images of which something was dropped
  std::string fault;
};

void Step(uint32_t capacity, const std::function<void(Witness&, FlowTable&)>& prepare,
          const std::function<void(Witness&, FlowTable&)>& change, Steps& steps) {
  const std::span<uint8_t> memory = Map(nullptr, capacity), copy = Map(nullptr, capacity);
  FlowRecovery recovery;
  const auto table = Attach(memory, capacity, &recovery);
  Witness witness(JournalOf(memory, capacity), capacity);
  prepare(witness, *table);
  std::vector<uint8_t> seen(memory.begin(), memory.end());
  const pid_t child = fork();
  if (child == 0) {
    if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(2);
    raise(SIGSTOP);
    change(witness, *table);
    _exit(0);
  }
  int status = 0;
  for (waitpid(child, &status, 0); WIFSTOPPED(status); waitpid(child, &status, 0)) {
    ++steps.instructions;
    if (memcmp(seen.data(), memory.data(), memory.size()) != 0) {
      ++steps.images;
      memcpy(seen.data(), memory.data(), memory.size());
      memcpy(copy.data(), memory.data(), memory.size());
      const auto taken_over = Attach(copy, capacity, &recovery);
      steps.dropping += recovery.dropped > 0;
      const std::string fault = Witness(JournalOf(copy, capacity), capacity).Compare(*taken_over, recovery);
      if (!fault.empty()) steps.fault = fault;
    }
    if (ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) != 0) Fail("PTRACE_SINGLESTEP");
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) steps.fault = "the child did not come to its end";
  munmap(memory.data(), memory.size());
  munmap(copy.data(), copy.size());
}

void PrintSteps() {
  using Action = std::function<void(Witness&, FlowTable&)>;
  const Action two = [](Witness& witness, FlowTable& table) {
    witness.Insert(table, 1);
    witness.Insert(table, 2);
    witness.Bind(table, 2, 3);
  };
  const Action reused = [&](Witness& witness, FlowTable& table) {
    two(witness, table);
    witness.Remove(table, 2);
    witness.Insert(table, 4);
    witness.Insert(table, 5);
    witness.Remove(table, 1);
  };
  const auto insert = [](Witness& witness, FlowTable& table) { witness.Insert(table, 9); };
  const auto bind = [](uint32_t flow, uint32_t key) {
    return [=](Witness& witness, FlowTable& table) { witness.Bind(table, flow, key); };
  };
  const auto remove = [](uint32_t flow) {
    return [=](Witness& witness, FlowTable& table) { witness.Remove(table, flow); };
  };
  Steps steps;
  Step(3, two, insert, steps);
  Step(3, reused, insert, steps);
  Step(3, two, bind(1, 9), steps);
  Step(3, two, bind(2, 9), steps);
  Step(3, reused, bind(2, 9), steps);
  Step(3, two, remove(1), steps);
  Step(3, two, remove(2), steps);
  printf("{\"instructions\":%lu,\"images\":%u,\"dropping\":%u,\"fault\":\"%s\"}\n", steps.instructions, steps.images,
         steps.dropping, steps.fault.c_str());
}

// Anything from a few wrong bits to nothing but chance.
void Spoil(std::span<uint8_t> memory, std::mt19937& random) {
  const size_t half = memory.size() / 2;
  const auto somewhere = [&] { return random() % 2 == 0 ? random() % memory.size() : random() % 8192; };
  switch (random() % 5) {
    case 0:
      for (uint8_t& byte : memory) byte = static_cast<uint8_t>(random());
      return;
    case 1:  // all but the header
      for (uint8_t& byte : memory.subspan(64)) byte = static_cast<uint8_t>(random());
      return;
    case 2:
      for (uint32_t i = random() % 64; i > 0; --i) memory[somewhere()] ^= 1 << random() % 8;
      return;
    case 3:  // lines that were somewhere else: keys twice, states of others
      for (uint32_t i = random() % 32; i > 0; --i) {
        memcpy(&memory[somewhere() / 64 * 64], &memory[somewhere() / 64 * 64], 64);
      }
      return;
    default:
      memset(memory.data() + random() % half, random() % 2 == 0 ? 0 : 0xff, random() % half);
  }
}

void PrintGarbage(uint32_t rounds, uint32_t seed) {
  std::mt19937 random(seed);
  uint64_t kept = 0, dropped = 0;
  uint32_t fresh = 0;
  std::string fault;
  for (uint32_t round = 0; round < rounds && fault.empty(); ++round) {
    const uint32_t capacity = 1 + random() % 60;
    const std::span<uint8_t> memory = Map(nullptr, capacity);
    const std::span<uint8_t> shared = memory.first(FlowTable::BytesFor(capacity));
    FlowRecovery recovery;
    {
      const auto table = Attach(memory, capacity, &recovery);
      Witness witness(JournalOf(memory, capacity), capacity);
      for (uint32_t i = random() % 200; i > 0; --i) witness.ChangeOne(*table, random);
    }
    Spoil(shared, random);
    const auto table = Attach(memory, capacity, &recovery);
    kept += recovery.kept;
    dropped += recovery.dropped;
    fresh += recovery.fresh;
    fault = witness::Examine(*table);
    // What is left of the capacity can be used as if nothing had been.
    const uint32_t free = capacity - table->size();
    for (uint32_t i = 0; i < free && fault.empty(); ++i) {
      const uint32_t flow = table->Insert(witness::KeyOf(1'000'000 + 2 * i), 0);
      if (flow == 0) {
        fault = "a free flow cannot be used";
        break;
      }
      table->state(flow).state = 1;
      if (!table->Bind(flow, witness::KeyOf(1'000'001 + 2 * i), 0)) fault = "a free tuple cannot be used";
    }
    if (fault.empty() && table->Insert(witness::KeyOf(2'000'000), 0) != 0) fault = "more flows than there is room for";
    if (fault.empty()) fault = witness::Examine(*table);
    munmap(memory.data(), memory.size());
  }
  printf("{\"fresh\":%u,\"kept\":%lu,\"dropped\":%lu,\"fault\":\"%s\"}\n", fresh, kept, dropped, fault.c_str());
}

}  // namespace

int main(int count, char** arguments) {
  const std::string verb = count > 1 ? arguments[1] : "";
  const auto number = [&](int index) { return static_cast<uint32_t>(strtoul(arguments[index], nullptr, 10)); };
  if (verb == "churn" && count == 5) Churn(arguments[2], number(3), number(4));
  if (verb == "steps" && count == 2) {
    PrintSteps();
  } else if (verb == "garbage" && count == 4) {
    PrintGarbage(number(2), number(3));
  } else {
    fprintf(stderr, "usage: flow_recovery_harness churn FILE CAPACITY SEED | steps | garbage ROUNDS SEED\n");
    return 2;
  }
}
