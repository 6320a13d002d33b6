// step_decision, and what the optimizers make of a step that is skipped.

#include <cmath>
#include <limits>

#include "mpibert/train/loss_scale.h"
#include "tests/support/backends.h"

namespace mpibert::test {
namespace {

constexpr LossScaleOptions kShort = {.dynamic = true, .initial = 1024, .growth_interval = 3};

class StepDecisionOp : public OpTest {
 protected:
  // The state after a step whose squares these are.
  StepState decide(const StepState& before, const Numbers& squares, const StepRule& rule) {
    const Tensor t = state(before);
    backend().step_decision(
        {.squares = tensor(DType::kFloat64, squares, {static_cast<int64_t>(squares.size())}), .rule = rule, .state = t});
    return read_state(t);
  }
  StepState read_state(const Tensor& t) {
    StepState found;
    backend().download(t, Tensor(&found, DType::kUInt8, {kStepStateBytes}));
    return found;
  }
  // '+' is a step with finite gradients, '-' one without.
  StepState after(StepState state, const std::string& steps, const LossScaleOptions& options) {
    for (const char step : steps)
      state = decide(state, {step == '+' ? 1.0 : std::numeric_limits<double>::infinity()}, {.loss_scale = options});
    return state;
  }
  static StepState start(const LossScaleOptions& options) { return {.loss_scale = options.initial}; }
  // The scale after each step.
  std::vector<double> course(const LossScaleOptions& options, const std::string& steps) {
    std::vector<double> values;
    StepState s = start(options);
    for (const char step : steps) {
      s = after(s, {step}, options);
      values.push_back(s.loss_scale);
    }
    return values;
  }
};
MPIBERT_ON_EVERY_BACKEND(StepDecisionOp);

TEST_P(StepDecisionOp, NormClipAndScale) {
  // 3000 cells of 12 / 1000 make 36: a norm of 6, with a loss scale of 4 one of 1.5.
  const Numbers squares(3000, 0.012);
  const StepState s = decide({.seed = 7, .step = 41, .loss_scale = 4, .applied_steps = 9}, squares, {.max_grad_norm = 0.5});
  EXPECT_NEAR(s.gradient_norm, 1.5, 1e-13);
  EXPECT_EQ(s.gradient_scale, static_cast<float>(0.5 / 1.5 / 4));
  EXPECT_EQ(s.applied, 1);
  EXPECT_EQ(s.applied_steps, 10);
  EXPECT_EQ(s.skipped_steps, 0);
  EXPECT_EQ(s.seed, 7u);
  EXPECT_EQ(s.step, 41);
  EXPECT_EQ(decide({.loss_scale = 4}, squares, {.max_grad_norm = 1.6}).gradient_scale, 0.25f) << "within the norm";
  EXPECT_EQ(decide({.loss_scale = 4}, squares, {.max_grad_norm = 0}).gradient_scale, 0.25f) << "no clipping";
  EXPECT_EQ(decide({}, {}, {.max_grad_norm = 1}).gradient_norm, 0);
}

TEST_P(StepDecisionOp, CorrectionsArePowersOfTheBetas) {
  const StepState s = decide({.applied_steps = 2}, {1}, {.beta1 = 0.5, .beta2 = 0.75});
  EXPECT_EQ(s.bias_correction1, 0.875f);
  EXPECT_EQ(s.bias_correction2, 1 - 0.421875f);
  const StepState late = decide({.applied_steps = 99'999}, {1}, {});
  EXPECT_EQ(late.bias_correction1, 1);
  EXPECT_NEAR(late.bias_correction2, 1, 1e-6);
  EXPECT_FLOAT_EQ(decide({.applied_steps = 999}, {1}, {}).bias_correction2,
                  static_cast<float>(1 - std::pow(static_cast<double>(0.999f), 1000)));
  const StepState uncorrected = decide({}, {1}, {.correct_bias = false});
  EXPECT_EQ(uncorrected.bias_correction1, 1);
  EXPECT_EQ(uncorrected.bias_correction2, 1);
}

TEST_P(StepDecisionOp, WhatIsNotFiniteIsCountedAndChangesNoParameter) {
  for (const double bad : {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    Numbers squares(2000, 1);
    squares[1999] = bad;
    const Tensor t = state({.learning_rate = 0.1f, .applied_steps = 5, .skipped_steps = 2});
    backend().step_decision({.squares = tensor(DType::kFloat64, squares, {2000}), .rule = {.max_grad_norm = 1}, .state = t});
    const StepState s = read_state(t);
    EXPECT_EQ(s.applied, 0);
    EXPECT_EQ(s.applied_steps, 5);
    EXPECT_EQ(s.skipped_steps, 3);
    EXPECT_FALSE(std::isfinite(s.gradient_norm));

    const int64_t n = 100;
    const Numbers gradient(n, bad), numbers = read(fp32(random_numbers(n, 3), {n}));
    const auto fresh = [&] { return fp32(numbers, {n}); };
    const Tensor m = fresh(), v = fresh(), w = fresh(), value = compute(numbers, {n});
    const Numbers value_before = read(value);
    const AdamStep adam{.gradient = fp32(gradient, {n}), .state = t, .exp_avg = m, .exp_avg_sq = v, .master = w, .value = value};
    const LambDirection direction{.gradient = fp32(gradient, {n}), .state = t, .exp_avg = m, .exp_avg_sq = v, .master = w};
    const LambApply apply{.direction = fp32(gradient, {n}), .state = t, .trust_ratio = fp32({1}, {1}), .master = w, .value = value};
    backend().adam_step({&adam, 1});
    backend().lamb_direction({&direction, 1});
    backend().lamb_apply({&apply, 1});
    for (const Tensor& kept : {m, v, w}) EXPECT_EQ(read(kept), numbers);
    EXPECT_EQ(read(value), value_before);
  }
}

TEST_P(StepDecisionOp, TheLossScaleGrowsAfterAnIntervalOfFiniteSteps) {
  EXPECT_EQ(course(kShort, "+++++++"), (std::vector<double>{1024, 1024, 2048, 2048, 2048, 4096, 4096}));
  EXPECT_EQ(after(start(kShort), "+++++++", kShort).good_steps, 1);
  EXPECT_EQ(after(start(kShort), "+++", kShort).last_loss_scale, 1024);
}

TEST_P(StepDecisionOp, TheLossScaleFallsOnOverflowAndStartsTheIntervalAnew) {
  EXPECT_EQ(course(kShort, "++-++-+++"), (std::vector<double>{1024, 1024, 512, 512, 512, 256, 256, 256, 512}));
}

TEST_P(StepDecisionOp, TheLossScaleFallsToTheMinimumAndNoFurther) {
  EXPECT_EQ(course({.dynamic = true, .initial = 8, .growth_interval = 3, .minimum = 3}, "---+++"), (std::vector<double>{4, 3, 3, 3, 3, 6}));
}

TEST_P(StepDecisionOp, TheLossScaleDoesNotGrowOutOfFp32) {
  EXPECT_EQ(course({.dynamic = true, .initial = 0x1p127, .growth_interval = 1}, "+-+"), (std::vector<double>{0x1p127, 0x1p126, 0x1p127}));
}

// As torch.amp.GradScaler(): 65536, times 2 after 2000 finite steps, times 0.5 after an overflow.
TEST_P(StepDecisionOp, TheUsualLossScaleIsPyTorchs) {
  const LossScaleOptions fp16 = usual_loss_scale(DType::kFloat16);
  EXPECT_EQ(after({.loss_scale = fp16.initial, .good_steps = 1998}, "+", fp16).loss_scale, 65536);
  EXPECT_EQ(after({.loss_scale = fp16.initial, .good_steps = 1998}, "++", fp16).loss_scale, 131072);
  EXPECT_EQ(after({.loss_scale = fp16.initial, .good_steps = 1998}, "++-", fp16).loss_scale, 65536);
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) EXPECT_EQ(course(usual_loss_scale(dtype), "-+++-").back(), 1);
}

TEST_P(StepDecisionOp, RejectsWhatDoesNotFit) {
  const Tensor squares = zeros(DType::kFloat64, {4});
  expect_rejected([&] { backend().step_decision({.squares = zeros(DType::kFloat32, {4}), .state = state({})}); },
                  {"step_decision: squares: expected [4] fp64", "found [4] fp32"});
  expect_rejected([&] { backend().step_decision({.squares = squares, .rule = {.max_grad_norm = -1}, .state = state({})}); },
                  {"max_grad_norm: expected 0 or more, found -1"});
  expect_rejected([&] { backend().step_decision({.squares = squares, .rule = {.beta1 = 1}, .state = state({})}); },
                  {"beta1: expected 0 <= beta1 < 1, found 1"});
  expect_rejected([&] { backend().step_decision({.squares = squares, .state = squares}); },
                  {"state: expected [104] uint8", "found [4] fp64"});
}

class TrustRatiosOp : public OpTest {};
MPIBERT_ON_EVERY_BACKEND(TrustRatiosOp);

TEST_P(TrustRatiosOp, OfEachParameter) {
  // Of one cell, of a thousand, of none, with a zero norm each way, and one that does not adapt.
  Numbers weights{9}, directions{4};
  weights.insert(weights.end(), 1000, 0.016);
  directions.insert(directions.end(), 1000, 0.001);
  for (const double w : {0.0, 5.0, 16.0}) weights.push_back(w);
  for (const double d : {5.0, 0.0, 1.0}) directions.push_back(d);
  const int64_t cells = static_cast<int64_t>(weights.size());
  const Tensor ratios = empty(DType::kFloat32, {6});
  backend().trust_ratios({.weights = tensor(DType::kFloat64, weights, {cells}),
                          .directions = tensor(DType::kFloat64, directions, {cells}),
                          .first_cells = tensor(DType::kInt64, {0, 1, 1001, 1001, 1002, 1003, 1004}, {7}),
                          .adapts = tensor(DType::kUInt8, {1, 1, 1, 1, 1, 0}, {6}),
                          .ratios = ratios});
  expect_close(read(ratios), {1.5, 4, 1, 1, 1, 1}, {.relative = 0x1p-23}, "ratios");
  expect_rejected(
      [&] {
        backend().trust_ratios(
            {.weights = tensor(DType::kFloat64, weights, {cells}), .directions = zeros(DType::kFloat64, {1}), .ratios = ratios});
      },
      {"trust_ratios: directions: expected [1004] fp64", "found [1] fp64"});
}

}  // namespace
}  // namespace mpibert::test
