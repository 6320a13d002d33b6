#pragma once

#include <vector>

#include "mpibert/data/batch.h"
#include "mpibert/ops/backend.h"

namespace mpibert {

// The fields of a batch where the backend computes: a copy in device memory, made by one transfer. On the CPU a batch is there already.
class DeviceBatch {
 public:
  // The batch on the device. What the call before returned is lost.
  const Batch& put(Backend& backend, const Batch& host);
  // The same again, without a transfer, of the batch last given to put().
  const Batch& get(const Backend& backend, const Batch& host) const { return backend.device().type == DeviceType::kCpu ? host : copy_; }

 private:
  std::vector<std::byte> fields_;  // one after another, as they lie on the device
  Buffer memory_;
  Batch copy_;
};

}  // namespace mpibert
