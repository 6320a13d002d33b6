#pragma once

#include <vector>

#include "mpibert/data/schema.h"
#include "mpibert/model/pass.h"
#include "mpibert/nn/activation_arena.h"

namespace mpibert {

// A batch where the backend computes: on the CPU the batch itself, on a card a copy, filled up (model/padding.h) and made by one transfer.
// All batches lie at the same address, and the fields of those of one padded shape too: what is captured for one holds for the others.
class DeviceBatch {
 public:
  // Reserves memory for batches within padded_limits() with these labels; none for the CPU.
  void plan(ActivationArena& arena, const Backend& backend, const BatchLimits& padded, const Schema& labels);
  // On the CPU a reference to `host`. What the call before returned is lost.
  const Batch& put(Backend& backend, const Batch& host);

 private:
  Schema labels_;
  const PlannedTensor* memory_ = nullptr;
  std::vector<int32_t> fields_;  // one after another, as they lie on the device; floats by their bits
  Batch copy_;
};

}  // namespace mpibert
