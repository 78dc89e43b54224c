// nfs/acl in C++: the very tables that the function built in its memory, and what it says of a frame.
#pragma once

#include "twin_classifier.h"

namespace sluice::twin {

class AclTwin {
 public:
  /** `root`: address of the tables; `unmatched`: of the counter for frames without a rule. Denies by default. */
  AclTwin(TwinMemory memory, uint32_t root, uint32_t unmatched)
      : memory_(memory), classifier_(memory, root), root_(root), unmatched_(unmatched) {}

  /** One batch, like nf_process. */
  void Process();

 private:
  void Apply(const Record& record, uint32_t match, Result* result) const;
  bool IsAddressResolution(const Record& record) const;

  TwinMemory memory_;
  ClassifierTwin classifier_;
  uint32_t root_;
  uint32_t unmatched_;
};

}  // namespace sluice::twin
