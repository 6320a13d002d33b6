#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

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

// What changes from step to step, in device memory: a captured step can be replayed, and the host need not wait for what a step finds.
struct StepState {
  // The host writes these before a step: the first kStepInputBytes.
  uint64_t seed = 0;
  int64_t step = 0;  // optimizer steps begun, from 0; keys the dropout
  float learning_rate = 0;
  std::array<float, 4> loss_weights{};  // per loss term: weight / global label count

  // Backend::step_decision writes these, from the gradient's norm; the optimizer follows them.
  double loss_scale = 1;       // what losses are multiplied with (fp16; 1 otherwise)
  double last_loss_scale = 1;  // the one of the step that was decided on last
  double gradient_norm = 0;    // of that step's gradient, without the scale of the loss
  int64_t applied_steps = 0, skipped_steps = 0;
  int64_t good_steps = 0;      // dynamic loss scale: applied ones in a row since it last grew or fell
  float gradient_scale = 1;    // what the summed gradient is multiplied with: the clip factor over the scale of the loss
  float bias_correction1 = 1;  // 1 - beta1^t, t the number of applied steps counting this one; 1 without bias correction
  float bias_correction2 = 1;  // 1 - beta2^t
  int32_t applied = 1;         // 0: the gradient is not finite, and parameters and moments stay as they are
};

// A StepState as the tensor of bytes that operations take, and the part of it that the host writes.
inline constexpr int64_t kStepStateBytes = sizeof(StepState);
inline constexpr int64_t kStepInputBytes = offsetof(StepState, loss_scale);

// How a step is decided on.
struct StepRule {
  double max_grad_norm = 0;  // 0: no clipping
  double beta1 = 0.9, beta2 = 0.999;
  bool correct_bias = true;
  LossScaleOptions loss_scale{};
};

}  // namespace mpibert
