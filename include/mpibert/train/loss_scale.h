#pragma once

#include <cstdint>

#include "mpibert/base/dtype.h"

namespace mpibert {

// What the loss of a step is multiplied with before backward, and the summed gradient divided by after it: most gradients of a BERT are too
// small for fp16, which has nothing below 2^-24, and with the scale they are not.
// Source: Micikevicius et al. 2017, arXiv:1710.03740, section 3.2; names and defaults of torch.amp.GradScaler, which has no minimum.
struct LossScaleOptions {
  bool dynamic = false;            // false: `initial` for ever
  double initial = 1;              // a power of two changes no bit of what neither over- nor underflows
  double growth_factor = 2;        // after growth_interval steps with finite gradients in a row
  double backoff_factor = 0.5;     // after a step whose gradient is not finite
  int64_t growth_interval = 2000;  // less finds the largest scale sooner, and skips more steps looking for it
  double minimum = 1;              // it does not fall below: then it is the training that diverges
};

// Of fp16: dynamic, from 65536. Of the others, whose smallest number is 2^-126: none.
LossScaleOptions usual_loss_scale(DType compute);

// The scale over the steps. A function of the options and of which steps had finite gradients, so it is equal on every rank.
class LossScale {
 public:
  // Throws kInvalidArgument naming the option that is out of range.
  explicit LossScale(const LossScaleOptions& options);

  double value() const { return value_; }
  int64_t good_steps() const { return good_steps_; }  // finite ones in a row since it last grew or fell

  // After a step with the scale value(): was the gradient finite?
  void update(bool finite);

  // Goes on from what value() and good_steps() were. A scale that is not dynamic keeps its own.
  void restore(double value, int64_t good_steps);

 private:
  LossScaleOptions options_;
  double value_;
  int64_t good_steps_ = 0;
};

}  // namespace mpibert
