#pragma once

#include <span>
#include <string>

#include "mpibert/base/dtype.h"
#include "mpibert/tensor/shape.h"

namespace mpibert {

// The shape that a file claims. Throws, with `place` before the message, kInvalidArgument for more than 5 dimensions; kCorrupt for a
// negative one and for a tensor of 2^63 bytes or more, its zero dimensions counted as one: so no order of multiplying what is left can
// overflow.
Shape checked_shape(std::span<const int64_t> dims, DType dtype, const std::string& place);

}  // namespace mpibert
