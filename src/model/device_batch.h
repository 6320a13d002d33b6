#pragma once

#include "mpibert/data/batch.h"
#include "mpibert/ops/backend.h"

namespace mpibert {

// The fields of a batch where the backend computes: a copy in device memory, made by one transfer. On the CPU a batch is there already.
class DeviceBatch {
 public:
  // The batch on the device; `host` must live until the next call. What the call before returned is lost.
  const Batch& put(Backend& backend, const Batch& host);
  // What put() returned last.
  const Batch& get() const { return *current_; }

 private:
  Buffer staging_, memory_;
  Batch copy_;
  const Batch* current_ = &copy_;
};

}  // namespace mpibert
