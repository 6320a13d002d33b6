#pragma once

#include "mpibert/tensor/tensor.h"

namespace mpibert {

// Backend::cast for tensors of the host: to = from in another precision (fp32, bf16 or fp16 each), rounded to nearest even.
// Throws kInvalidArgument unless both are such tensors of one size.
void host_cast(const Tensor& from, const Tensor& to);

}  // namespace mpibert
