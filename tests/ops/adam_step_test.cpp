#include <algorithm>
#include <cmath>

#include "tests/ops/adam_golden.h"
#include "tests/support/backends.h"

namespace mpibert::test {
namespace {

// One weight, in double, as ops.h writes it: corrected moments and all.
struct AdamReference {
  AdamKind kind;
  double beta1, beta2, epsilon, weight_decay;
  bool correct_bias = true;
  double w, m_raw = 0, v_raw = 0;
  int t = 0;

  void step(double g, double rate) {
    ++t;
    const double b1 = correct_bias ? 1 - std::pow(beta1, t) : 1, b2 = correct_bias ? 1 - std::pow(beta2, t) : 1;
    if (kind == AdamKind::kAdam) g += weight_decay * w;
    if (kind == AdamKind::kAdamW) w -= rate * weight_decay * w;
    m_raw = beta1 * m_raw + (1 - beta1) * g;
    v_raw = beta2 * v_raw + (1 - beta2) * g * g;
    const double m = m_raw / b1, v = v_raw / b2;
    if (kind == AdamKind::kAdamWHf) {
      w -= rate * m * std::sqrt(b2) / (std::sqrt(v * b2) + epsilon);
      w -= rate * weight_decay * w;
    } else {
      w -= rate * m / (std::sqrt(v) + epsilon);
    }
  }
};

class AdamStepOp : public OpTest {
 protected:
  struct Optimizer {
    AdamStep op;
    int t = 0;
    bool correct_bias = true;
  };

  Optimizer start(AdamKind kind, const Numbers& weights, float weight_decay, float epsilon = 1e-8f) {
    const Shape shape = {static_cast<int64_t>(weights.size())};
    const Tensor master = fp32(weights, shape);
    return {{.kind = kind,
             .epsilon = epsilon,
             .weight_decay = weight_decay,
             .exp_avg = zeros(DType::kFloat32, shape),
             .exp_avg_sq = zeros(DType::kFloat32, shape),
             .master = master,
             .value = precision() == DType::kFloat32 ? master : empty(shape)}};
  }

  void step(Optimizer& o, const Numbers& gradient, float rate, float gradient_scale = 1) {
    ++o.t;
    StepState s = {.learning_rate = rate, .gradient_scale = gradient_scale};
    if (o.correct_bias) {
      s.bias_correction1 = static_cast<float>(1 - std::pow(o.op.beta1, o.t));
      s.bias_correction2 = static_cast<float>(1 - std::pow(o.op.beta2, o.t));
    }
    o.op.gradient = fp32(gradient, o.op.master.shape());
    o.op.state = state(s);
    backend().adam_step({&o.op, 1});
  }
};
MPIBERT_ON_EVERY_BACKEND(AdamStepOp);

template <class Row>
Numbers numbers_of(const Row& row) {
  return {row.begin(), row.end()};
}

TEST_P(AdamStepOp, TenStepsAgreeWithPyTorchToTheLastBits) {
  for (const AdamKind kind : {AdamKind::kAdam, AdamKind::kAdamW}) {
    const AdamGolden& golden = kind == AdamKind::kAdam ? kAdamGolden : kAdamWGolden;
    Optimizer o = start(kind, numbers_of(kAdamStart), 0.01f);
    for (const GoldenRow& gradient : kAdamGradients) step(o, numbers_of(gradient), 2e-3f);
    // One rounding a step; the weights move by 2e-3 a step, so that theirs is all there is.
    expect_close(read(o.op.master), numbers_of(golden.weight), {.relative = 4 * 0x1p-24, .absolute = 10 * 2e-3 * 0x1p-22}, "weight");
    expect_close(read(o.op.exp_avg), numbers_of(golden.exp_avg), {.relative = 4 * 0x1p-24, .absolute = 0x1p-23}, "exp_avg");
    expect_close(read(o.op.exp_avg_sq), numbers_of(golden.exp_avg_sq), {.relative = 8 * 0x1p-24}, "exp_avg_sq");
    EXPECT_EQ(read(o.op.value), rounded(read(o.op.master)));
  }
}

TEST_P(AdamStepOp, EveryKindMatchesItsFormula) {
  for (const AdamKind kind : {AdamKind::kAdam, AdamKind::kAdamW, AdamKind::kAdamWHf}) {
    for (const bool correct_bias : {true, false}) {
      for (const int64_t n : {1, 17, 5000}) {
        // A large epsilon, so that where it stands in the formula makes a difference.
        Optimizer o = start(kind, random_numbers(n, 1), 0.1f, 1e-2f);
        o.correct_bias = correct_bias;
        std::vector<AdamReference> references;
        for (const double w : read(o.op.master))
          references.push_back({kind, 0.9, 0.999, static_cast<double>(1e-2f), static_cast<double>(0.1f), correct_bias, w});
        for (int t = 0; t < 3; ++t) {
          const Numbers gradient = random_numbers(n, 10 + static_cast<uint64_t>(t), 0.1);
          step(o, gradient, 0.01f, 0.5f);
          for (size_t i = 0; i < references.size(); ++i)
            references[i].step(0.5 * static_cast<double>(static_cast<float>(gradient[i])), static_cast<double>(0.01f));
        }
        Numbers w, m, v;
        for (const AdamReference& r : references) {
          w.push_back(r.w);
          m.push_back(r.m_raw);
          v.push_back(r.v_raw);
        }
        expect_close(read(o.op.master), w, {.relative = 8 * 0x1p-24, .absolute = 3 * 0.1 * 0x1p-20}, "master");
        expect_close(read(o.op.exp_avg), m, {.relative = 8 * 0x1p-24, .absolute = 0x1p-27}, "exp_avg");
        // g + decay * w may cancel: an error of 2^-25 in g, up to 0.5, is 2 * 0.001 * g * 2^-25 in its square's share.
        expect_close(read(o.op.exp_avg_sq), v, {.relative = 8 * 0x1p-24, .absolute = 0.001 * 0x1p-25}, "exp_avg_sq");
        EXPECT_EQ(read(o.op.value), rounded(read(o.op.master)));
      }
    }
  }
}

// Ranks own ranges that differ with their number: a weight's update must depend neither on where its range begins nor on the others.
TEST_P(AdamStepOp, AnyPartitionGivesTheSameBits) {
  const int64_t n = 1000;
  const auto weights = random_numbers(n, 1), gradient = random_numbers(n, 2);
  Optimizer whole = start(AdamKind::kAdamW, weights, 0.01f), parts = start(AdamKind::kAdamW, weights, 0.01f);
  for (int t = 0; t < 3; ++t) {
    step(whole, gradient, 1e-3f);
    const AdamStep& op = whole.op;
    std::vector<AdamStep> ranges;
    for (int64_t begin = 0; begin < n; begin += 7) {  // more of them than one launch takes
      const auto part = [&](const Tensor& t_) { return t_.elements(begin, std::min<int64_t>(begin + 7, n)); };
      ranges.push_back({.gradient = part(op.gradient),
                        .state = op.state,
                        .kind = op.kind,
                        .weight_decay = op.weight_decay,
                        .exp_avg = part(parts.op.exp_avg),
                        .exp_avg_sq = part(parts.op.exp_avg_sq),
                        .master = part(parts.op.master),
                        .value = part(parts.op.value)});
    }
    backend().adam_step(ranges);
  }
  EXPECT_EQ(read(parts.op.master), read(whole.op.master));
  EXPECT_EQ(read(parts.op.exp_avg_sq), read(whole.op.exp_avg_sq));
}

TEST_P(AdamStepOp, RejectsWhatDoesNotFit) {
  Optimizer o = start(AdamKind::kAdamW, Numbers(8, 1), 0.01f);
  step(o, Numbers(8, 1), 0.1f);
  AdamStep op = o.op;
  op.gradient = zeros(DType::kFloat32, {7});
  expect_rejected([&] { backend().adam_step({&op, 1}); }, {"adam_step: gradient: expected [8] fp32", "found [7] fp32"});
  op = o.op;
  op.exp_avg = zeros(DType::kBFloat16, {8});
  expect_rejected([&] { backend().adam_step({&op, 1}); }, {"exp_avg: expected [8] fp32", "found [8] bf16"});
  op = o.op;
  op.state = zeros(DType::kUInt8, {40});
  expect_rejected([&] { backend().adam_step({&op, 1}); }, {"state: expected [104] uint8", "found [40] uint8"});
  op = o.op;
  op.beta2 = 1;
  expect_rejected([&] { backend().adam_step({&op, 1}); }, {"beta2: expected 0 <= beta2 < 1, found 1"});
  op = o.op;
  op.weight_decay = -0.1f;
  expect_rejected([&] { backend().adam_step({&op, 1}); }, {"weight_decay: expected 0 or more, found -0.1"});
  std::vector<AdamStep> two = {o.op, o.op};
  two[1].beta1 = 0.8;
  expect_rejected([&] { backend().adam_step(two); }, {"ranges: expected tensors, rate and weight decay to be all that differs"});
}

}  // namespace
}  // namespace mpibert::test
