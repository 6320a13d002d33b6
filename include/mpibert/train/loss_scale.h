#pragma once

#include "mpibert/base/dtype.h"
#include "mpibert/ops/step_state.h"

namespace mpibert {

// Of fp16: dynamic, from 65536. Of the others, whose smallest number is 2^-126: none.
LossScaleOptions usual_loss_scale(DType compute);

// Throws kInvalidArgument naming the option that is out of range.
void check(const LossScaleOptions& options);

}  // namespace mpibert
