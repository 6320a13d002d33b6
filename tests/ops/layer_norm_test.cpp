#include <algorithm>

#include "tests/support/backends.h"
#include "tests/support/reference_dropout.h"
#include "tests/support/reference_norm.h"

namespace mpibert::test {
namespace {

struct Case {
  int64_t rows, hidden;
  float rate;
  bool residual;
};
const Case kCases[] = {{1, 16, 0, false},     {3, 17, 0, true},     {5, 33, 0.1f, true}, {1, 1, 0, false},
                       {2, 100, 0.5f, false}, {70, 64, 0.1f, true}, {3, 768, 0.1f, true}};
constexpr float kEpsilon = 1e-5f;

class LayerNorm : public OpTest {
 protected:
  // Inputs and outputs of one case.
  struct Problem {
    Case c;
    Numbers x, r, w, b, dy, z;  // z: the sum as stored
    Tensor sum, output, mean, rstd;
  };

  double factor(const Case& c, int64_t row, int64_t column) { return test_dropout_factor(c.rate, row, column); }

  Problem forward(const Case& c) {
    const Shape shape = {c.rows, c.hidden}, tokens = {c.rows}, hidden = {c.hidden};
    const int64_t n = c.rows * c.hidden;
    Problem p = {c,
                 rounded(random_numbers(n, 1)),
                 rounded(random_numbers(n, 2)),
                 rounded(random_numbers(c.hidden, 3)),
                 rounded(random_numbers(c.hidden, 4)),
                 rounded(random_numbers(n, 5)),
                 {},
                 empty(shape),
                 empty(shape),
                 empty(DType::kFloat32, tokens),
                 empty(DType::kFloat32, tokens)};
    backend().layer_norm_forward({.input = compute(p.x, shape),
                                  .residual = c.residual ? compute(p.r, shape) : Tensor{},
                                  .weight = compute(p.w, hidden),
                                  .bias = compute(p.b, hidden),
                                  .epsilon = kEpsilon,
                                  .dropout = dropout(c.rate, c.rows),
                                  .sum = p.sum,
                                  .output = p.output,
                                  .mean = p.mean,
                                  .rstd = p.rstd});
    p.z = read(p.sum);
    return p;
  }
};
MPIBERT_ON_EVERY_BACKEND(LayerNorm);

TEST_P(LayerNorm, ForwardMatchesTheReference) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(testing::Message() << c.rows << " x " << c.hidden << " rate " << c.rate);
    const Problem p = forward(c);
    Numbers z, y, mean, rstd;
    for (int64_t row = 0; row < c.rows; ++row) {
      for (int64_t i = row * c.hidden; i < (row + 1) * c.hidden; ++i) {
        const size_t k = static_cast<size_t>(i);
        z.push_back(p.x[k] * factor(c, row, i % c.hidden) + (c.residual ? p.r[k] : 0));
      }
      const NormRow reference = layer_norm_row(row_of(p.z, row, c.hidden), p.w, p.b, static_cast<double>(kEpsilon));
      y.insert(y.end(), reference.output.begin(), reference.output.end());
      mean.push_back(reference.mean);
      rstd.push_back(reference.rstd);
    }
    expect_close(p.z, z, stored({.absolute = 0x1p-21}), "sum");
    expect_close(read(p.mean), mean, {.absolute = 0x1p-21}, "mean");
    expect_close(read(p.rstd), rstd, {.relative = 0x1p-20}, "rstd");
    expect_close(read(p.output), y, stored({.absolute = 0x1p-19}), "output");
  }
}

// dz by differences of the double-precision forward, with mean and rstd the operation's own.
TEST_P(LayerNorm, BackwardMatchesCentralDifferences) {
  for (const Case& c : kCases) {
    if (c.hidden == 1) continue;  // z - mean is 0: the derivative is 0 of differences that are noise
    SCOPED_TRACE(testing::Message() << c.rows << " x " << c.hidden << " rate " << c.rate);
    const Problem p = forward(c);
    const Shape shape = {c.rows, c.hidden}, hidden = {c.hidden};
    const Tensor d_input = empty(shape), d_residual = empty(shape);
    const Tensor d_weight = fp32(Numbers(p.w.size(), 0.5), hidden),
                 d_bias = fp32(Numbers(p.w.size(), -0.25), hidden);  // gradients are added
    backend().layer_norm_backward({.gradient = compute(p.dy, shape),
                                   .sum = p.sum,
                                   .mean = p.mean,
                                   .rstd = p.rstd,
                                   .weight = compute(p.w, hidden),
                                   .dropout = dropout(c.rate, c.rows),
                                   .d_input = d_input,
                                   .d_residual = d_residual,
                                   .d_weight = d_weight,
                                   .d_bias = d_bias});
    Numbers dz, dx, dw(p.w.size(), 0.5), db(p.w.size(), -0.25);
    for (int64_t row = 0; row < c.rows; ++row) {
      const Numbers z = row_of(p.z, row, c.hidden), dy = row_of(p.dy, row, c.hidden);
      const auto loss = [&](const Numbers& at) { return dot(layer_norm_row(at, p.w, p.b, static_cast<double>(kEpsilon)).output, dy); };
      const NormRow reference = layer_norm_row(z, p.w, p.b, static_cast<double>(kEpsilon));
      for (size_t i = 0; i < z.size(); ++i) {
        dz.push_back(central_difference(loss, z, i));
        dx.push_back(dz.back() * factor(c, row, static_cast<int64_t>(i)));
        dw[i] += dy[i] * (z[i] - reference.mean) * reference.rstd;
        db[i] += dy[i];
      }
    }
    expect_close(read(d_residual), dz, stored({.absolute = 0x1p-17}), "d_residual");
    expect_close(read(d_input), dx, stored({.absolute = 0x1p-16}), "d_input");
    const double rows = static_cast<double>(c.rows);
    expect_close(read(d_weight), dw, {.absolute = rows * 0x1p-20}, "d_weight");
    expect_close(read(d_bias), db, {.absolute = rows * 0x1p-20}, "d_bias");
  }
}

TEST_P(LayerNorm, OutputsMayAliasAsDocumented) {
  for (const float rate : {0.0f, 0.1f}) {
    const Case c = {5, 33, rate, true};
    const Shape shape = {c.rows, c.hidden}, hidden = {c.hidden};
    const Problem p = forward(c);
    const Tensor x = compute(p.x, shape), output = empty(shape);
    backend().layer_norm_forward({.input = x,
                                  .residual = compute(p.r, shape),
                                  .weight = compute(p.w, hidden),
                                  .bias = compute(p.b, hidden),
                                  .epsilon = kEpsilon,
                                  .dropout = dropout(rate, c.rows),
                                  .sum = x,
                                  .output = output,
                                  .mean = p.mean,
                                  .rstd = p.rstd});
    EXPECT_EQ(read(x), p.z);
    EXPECT_EQ(read(output), read(p.output));

    const auto backward = [&](const Tensor& gradient, const Tensor& d_input, const Tensor& d_residual) {
      backend().layer_norm_backward({.gradient = gradient,
                                     .sum = p.sum,
                                     .mean = p.mean,
                                     .rstd = p.rstd,
                                     .weight = compute(p.w, hidden),
                                     .dropout = dropout(rate, c.rows),
                                     .d_input = d_input,
                                     .d_residual = d_residual,
                                     .d_weight = zeros(DType::kFloat32, hidden),
                                     .d_bias = zeros(DType::kFloat32, hidden)});
    };
    const Tensor d_input = empty(shape), d_residual = empty(shape), other = empty(shape);
    backward(compute(p.dy, shape), d_input, d_residual);
    const Tensor in_place = compute(p.dy, shape), residual_in_place = compute(p.dy, shape), both = compute(p.dy, shape);
    backward(in_place, in_place, other);
    EXPECT_EQ(read(in_place), read(d_input));
    EXPECT_EQ(read(other), read(d_residual));
    backward(residual_in_place, other, residual_in_place);
    EXPECT_EQ(read(residual_in_place), read(d_residual));
    EXPECT_EQ(read(other), read(d_input));
    if (rate == 0) {
      backward(both, both, both);
      EXPECT_EQ(read(both), read(d_input));
    }
    backward(compute(p.dy, shape), other, Tensor{});
    EXPECT_EQ(read(other), read(d_input));
  }
}

TEST_P(LayerNorm, SumMayBeLeftOut) {
  const Case c = {3, 17, 0, false};
  const Problem p = forward(c);
  const Tensor output = empty({c.rows, c.hidden});
  backend().layer_norm_forward({.input = compute(p.x, {c.rows, c.hidden}),
                                .weight = compute(p.w, {c.hidden}),
                                .bias = compute(p.b, {c.hidden}),
                                .epsilon = kEpsilon,
                                .output = output,
                                .mean = p.mean,
                                .rstd = p.rstd});
  EXPECT_EQ(read(output), read(p.output));
}

TEST_P(LayerNorm, DoesNotDependOnThreads) {
  const Case c = {300, 72, 0.1f, true};
  expect_same_on_any_threads([&] {
    const Problem p = forward(c);
    const Shape shape = {c.rows, c.hidden}, hidden = {c.hidden};
    const Tensor d_input = empty(shape), d_weight = zeros(DType::kFloat32, hidden), d_bias = zeros(DType::kFloat32, hidden);
    backend().layer_norm_backward({.gradient = compute(p.dy, shape),
                                   .sum = p.sum,
                                   .mean = p.mean,
                                   .rstd = p.rstd,
                                   .weight = compute(p.w, hidden),
                                   .dropout = dropout(c.rate, c.rows),
                                   .d_input = d_input,
                                   .d_weight = d_weight,
                                   .d_bias = d_bias});
    Numbers all;
    for (const Tensor& t : {p.output, p.mean, d_input, d_weight, d_bias}) {
      const Numbers numbers = read(t);
      all.insert(all.end(), numbers.begin(), numbers.end());
    }
    return all;
  });
}

TEST_P(LayerNorm, RejectsWhatDoesNotFit) {
  const Tensor x = zeros(precision(), {2, 8}), w = zeros(precision(), {8}), row = zeros(DType::kFloat32, {2}),
               gradient = zeros(DType::kFloat32, {8});
  const LayerNormForward good = {.input = x, .weight = w, .bias = w, .output = x, .mean = row, .rstd = row};
  LayerNormForward op = good;
  op.weight = zeros(precision(), {7});
  expect_rejected([&] { backend().layer_norm_forward(op); }, {"layer_norm_forward: weight: expected [8] ", "found [7] "});
  op = good;
  op.residual = zeros(precision(), {3, 8});
  expect_rejected([&] { backend().layer_norm_forward(op); }, {"residual: expected [2, 8]", "found [3, 8]"});
  op = good;
  op.mean = zeros(DType::kInt32, {2});
  expect_rejected([&] { backend().layer_norm_forward(op); }, {"mean: expected [2] fp32", "found [2] int32"});
  op = good;
  op.residual = x;
  expect_rejected([&] { backend().layer_norm_forward(op); }, {"sum: expected [2, 8]", "found left out"});
  op = good;
  op.epsilon = -1;
  expect_rejected([&] { backend().layer_norm_forward(op); }, {"epsilon: expected 0 or more, found -1"});
  op = good;
  op.dropout.rate = 1;
  expect_rejected([&] { backend().layer_norm_forward(op); }, {"dropout.rate: expected 0 <= rate < 1, found 1"});
  op = good;
  op.sum = x;
  op.dropout = dropout(0.1f, 3);
  expect_rejected([&] { backend().layer_norm_forward(op); }, {"dropout.token_keys: expected [2] int32", "found [3] int32"});
  op = good;
  op.bias = Tensor(w.data(), precision(), {8}, Device{DeviceType::kCuda, 7});
  expect_rejected([&] { backend().layer_norm_forward(op); }, {"bias: expected [8]", "on cuda:7"});

  const LayerNormBackward good_backward = {
      .gradient = x, .sum = x, .mean = row, .rstd = row, .weight = w, .d_input = x, .d_weight = gradient, .d_bias = gradient};
  LayerNormBackward backward = good_backward;
  backward.d_weight = zeros(DType::kFloat32, {9});
  expect_rejected([&] { backend().layer_norm_backward(backward); }, {"layer_norm_backward: d_weight: expected [8] fp32", "found [9] fp32"});
  backward = good_backward;
  backward.dropout = dropout(0.1f, 2);
  backward.d_residual = backward.d_input;
  expect_rejected([&] { backend().layer_norm_backward(backward); }, {"d_residual: expected other memory than d_input"});
}

}  // namespace
}  // namespace mpibert::test
