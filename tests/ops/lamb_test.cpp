// lamb_direction and lamb_apply.

#include <cmath>

#include "tests/support/backends.h"

namespace mpibert::test {
namespace {

using Lamb = OpTest;
MPIBERT_ON_EVERY_BACKEND(Lamb);

// Algorithm 2 of arXiv:1904.00962v5 with the trust ratio left to the caller.
TEST_P(Lamb, TwoStepsMatchTheAlgorithm) {
  for (const int64_t n : {1, 31, 5000}) {
    const Shape shape = {n};
    const Tensor m = zeros(DType::kFloat32, shape), v = zeros(DType::kFloat32, shape), master = fp32(random_numbers(n, 1), shape);
    const Tensor value = precision() == DType::kFloat32 ? master : empty(shape);
    Numbers w = read(master), exp_avg(w.size()), exp_avg_sq(w.size());
    for (int t = 1; t <= 2; ++t) {
      const double b1 = 1 - std::pow(0.9, t), b2 = 1 - std::pow(0.999, t), epsilon = static_cast<double>(1e-6f),
                   decay = static_cast<double>(0.01f);
      const Tensor gradient = fp32(random_numbers(n, 10 + static_cast<uint64_t>(t)), shape);
      const Tensor step = state({.learning_rate = 0.02f,
                                 .gradient_scale = 0.25f,
                                 .bias_correction1 = static_cast<float>(b1),
                                 .bias_correction2 = static_cast<float>(b2)});
      Numbers direction = read(gradient);
      for (size_t i = 0; i < w.size(); ++i) {
        const double g = 0.25 * direction[i];
        exp_avg[i] = 0.9 * exp_avg[i] + 0.1 * g;
        exp_avg_sq[i] = 0.999 * exp_avg_sq[i] + 0.001 * g * g;
        direction[i] = exp_avg[i] / b1 / (std::sqrt(exp_avg_sq[i] / b2) + epsilon) + decay * w[i];
        w[i] -= static_cast<double>(0.02f) * 0.5 * direction[i];
      }
      // In two ranges of different lengths, the first of them perhaps empty.
      const auto half = [&](const Tensor& t_, int part) { return part == 0 ? t_.elements(0, n / 3) : t_.elements(n / 3, n); };
      std::vector<LambDirection> directions;
      for (const int p : {0, 1})
        directions.push_back({.gradient = half(gradient, p),
                              .state = step,
                              .weight_decay = 0.01f,
                              .exp_avg = half(m, p),
                              .exp_avg_sq = half(v, p),
                              .master = half(master, p)});
      backend().lamb_direction(directions);
      expect_close(read(gradient), direction, {.relative = 16 * 0x1p-24, .absolute = 0x1p-21}, "direction");
      expect_close(read(m), exp_avg, {.relative = 8 * 0x1p-24, .absolute = 0x1p-25}, "exp_avg");
      expect_close(read(v), exp_avg_sq, {.relative = 8 * 0x1p-24}, "exp_avg_sq");
      std::vector<LambApply> updates;
      for (const int p : {0, 1})
        updates.push_back({.direction = half(gradient, p),
                           .state = step,
                           .trust_ratio = fp32({0.5}, {1}),
                           .master = half(master, p),
                           .value = half(value, p)});
      backend().lamb_apply(updates);
      expect_close(read(master), w, {.relative = 4 * 0x1p-24, .absolute = 0.01 * 0x1p-20}, "master");
      EXPECT_EQ(read(value), rounded(read(master)));
    }
  }
}

TEST_P(Lamb, RejectsWhatDoesNotFit) {
  const Tensor x = zeros(DType::kFloat32, {8}), one = zeros(DType::kFloat32, {1}), step = state({});
  const LambDirection good = {.gradient = x, .state = step, .exp_avg = x, .exp_avg_sq = x, .master = x};
  LambDirection op = good;
  op.gradient = zeros(DType::kBFloat16, {8});
  expect_rejected([&] { backend().lamb_direction({&op, 1}); }, {"lamb_direction: gradient: expected [8] fp32", "found [8] bf16"});
  op = good;
  op.master = zeros(DType::kFloat32, {9});
  expect_rejected([&] { backend().lamb_direction({&op, 1}); }, {"master: expected [8] fp32", "found [9] fp32"});
  op = good;
  op.beta1 = -0.5;
  expect_rejected([&] { backend().lamb_direction({&op, 1}); }, {"beta1: expected 0 <= beta1 < 1, found -0.5"});
  LambApply apply = {.direction = x, .state = step, .trust_ratio = x, .master = x, .value = x};
  expect_rejected([&] { backend().lamb_apply({&apply, 1}); }, {"lamb_apply: trust_ratio: expected [1] fp32", "found [8] fp32"});
  apply.trust_ratio = apply.state = one;
  expect_rejected([&] { backend().lamb_apply({&apply, 1}); }, {"state: expected [104] uint8"});
}

}  // namespace
}  // namespace mpibert::test
