#pragma once

// The dropout mask of ops.h on the device.

#include <cuda_runtime.h>

#include "mpibert/base/random.h"
#include "mpibert/ops/ops.h"

namespace mpibert::cuda {

// What a kernel needs of a Dropout; made on the host, passed by value.
struct DropoutArguments {
  uint32_t threshold = 0;  // 0: no dropout, and nothing below is read
  float scale = 1;
  uint32_t site = 0;
  const StepState* state = nullptr;
  const int32_t* token_keys = nullptr;
};

inline DropoutArguments dropout_arguments(const Dropout& dropout) {
  DropoutArguments arguments;
  arguments.threshold = static_cast<uint32_t>(static_cast<double>(dropout.rate) * 65536 + 0.5);
  if (arguments.threshold == 0) return arguments;
  arguments.scale = arguments.threshold < 65536 ? 65536.0f / static_cast<float>(65536 - arguments.threshold) : 0.0f;
  arguments.site = 0x80000000u | dropout.site;
  arguments.state = static_cast<const StepState*>(dropout.state.data());
  arguments.token_keys = static_cast<const int32_t*>(dropout.token_keys.data());
  return arguments;
}

// The mask of one step and site, in a thread's registers.
class DropoutMask {
 public:
  __device__ explicit DropoutMask(const DropoutArguments& arguments) : arguments_(arguments) {
    if (!active()) return;
    key_ = philox_key(arguments.state->seed);
    step_ = static_cast<uint32_t>(arguments.state->step);
  }
  __device__ bool active() const { return arguments_.threshold != 0; }

  // Bit i of the result is set where column 8 * octet + i of the row with this token key is kept.
  __device__ uint32_t keep_bits(uint32_t token_key, uint32_t octet) const {
    const PhiloxCounter words = philox4x32_10({octet, token_key, arguments_.site, step_}, key_);
    uint32_t bits = 0;
    for (int i = 0; i < 4; ++i) {
      bits |= ((words[i] & 0xffffu) >= arguments_.threshold ? 1u : 0u) << (2 * i);
      bits |= ((words[i] >> 16) >= arguments_.threshold ? 1u : 0u) << (2 * i + 1);
    }
    return bits;
  }
  __device__ uint32_t token_key(int64_t row) const { return static_cast<uint32_t>(arguments_.token_keys[row]); }
  // What element (row, column) is multiplied with: 0 or 1 / (1 - p). Kernels that visit eight neighbours use keep_bits instead.
  __device__ float factor(int64_t row, int64_t column) const {
    if (!active()) return 1;
    return (keep_bits(token_key(row), static_cast<uint32_t>(column / 8)) >> (column % 8)) & 1u ? arguments_.scale : 0.0f;
  }
  __device__ float scale() const { return arguments_.scale; }

 private:
  DropoutArguments arguments_;
  PhiloxKey key_{};
  uint32_t step_ = 0;
};

}  // namespace mpibert::cuda
