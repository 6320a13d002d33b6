#include "mpibert/base/error.h"
#include "mpibert/model/heads.h"

namespace mpibert {

void EncoderHead::plan(ActivationArena& /*arena*/, DType /*compute*/, const BatchLimits& /*limits*/, bool train) {
  MPIBERT_CHECK(!train, kInvalidArgument, "a model without a head has no loss: nothing can be trained; give it a head");
}

}  // namespace mpibert
