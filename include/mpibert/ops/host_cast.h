#pragma once

#include <vector>

#include "mpibert/ops/backend.h"

namespace mpibert {

// Backend::cast for tensors of the host: to = from in another precision (fp32, bf16 or fp16 each), rounded to nearest even.
// Throws kInvalidArgument unless both are such tensors of one size.
void host_cast(const Tensor& from, const Tensor& to);

// The numbers of a tensor of compute precision, on the host. Waits.
std::vector<float> host_floats(Backend& backend, const Tensor& tensor);

}  // namespace mpibert
