#pragma once

#include <vector>

#include "mpibert/interop/named_tensor.h"

namespace mpibert {

// What every format wants of tensors to be written. Throws kInvalidArgument for a name that is empty, used twice or not UTF-8, and for
// bytes that disagree with the shape.
void check_named_tensors(const std::vector<NamedTensor>& tensors);

}  // namespace mpibert
