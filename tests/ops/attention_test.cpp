#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tests/support/backends.h"
#include "tests/support/reference.h"

namespace mpibert {
namespace {

using reference::AttentionShape;
using reference::Mask;
using reference::Numbers;

struct AttentionCase {
  std::string name;
  std::vector<int32_t> lengths;
  int64_t heads = 1, head_size = 1;
  double rate = 0;
};

std::vector<AttentionCase> cases() {
  return {
      {"one token", {1}, 1, 1},
      {"single tokens", {1, 1, 1}, 3, 32},
      {"D 16", {5, 1, 16, 17}, 2, 16},
      {"D 32", {33, 7, 64}, 3, 32},
      {"D 64", {1, 128, 65, 2, 31}, 2, 64},
      {"D 128", {50, 3, 97}, 2, 128},
      {"odd D", {9, 49, 48, 47}, 2, 20},
      {"D 80, dropped", {70, 3}, 1, 80, 0.3},
      {"an empty sequence", {4, 0, 3}, 1, 32},
      {"dropped", {1, 66, 130, 17}, 3, 64, 0.1},
      {"all but dropped", {40}, 2, 32, 0.9},
      {"long", {513, 200}, 1, 32, 0.1},
  };
}

// Everything of one call on the host, owned. Token keys are as of a batch that starts anywhere in a global one.
struct Operands {
  Operands(const AttentionCase& c, DType dtype) {
    shape.cu_seqlens = {0};
    for (const int32_t length : c.lengths) shape.cu_seqlens.push_back(shape.cu_seqlens.back() + length);
    shape.heads = c.heads;
    shape.head_size = c.head_size;
    max_seq_length = *std::max_element(c.lengths.begin(), c.lengths.end());
    const int64_t t = shape.tokens();
    qkv = Numbers::normal(dtype, {t, 3, c.heads, c.head_size}, 11, 1.2);
    gradient = Numbers::normal(dtype, {t, c.heads, c.head_size}, 12);
    context = Numbers(dtype, {t, c.heads, c.head_size}, NAN);
    d_qkv = Numbers(dtype, {t, 3, c.heads, c.head_size}, NAN);
    for (size_t b = 0; b < c.lengths.size(); ++b)
      for (int32_t i = 0; i < c.lengths[b]; ++i) token_keys.push_back(static_cast<int32_t>(b + 7) * 512 + i);
    state.seed = 0x1234567890abcdef;
    state.step = 41;
    mask = {.rate = c.rate, .site = 5, .seed = state.seed, .step = state.step};
  }
  Dropout dropout() {
    if (mask.rate == 0) return {};
    return {.rate = static_cast<float>(mask.rate),
            .site = mask.site,
            .state = Tensor(&state, DType::kUInt8, {kStateBytes}),
            .token_keys = host_tensor(std::span(token_keys), {shape.tokens()})};
  }
  Tensor cu_seqlens() { return host_tensor(std::span(shape.cu_seqlens), {static_cast<int64_t>(shape.cu_seqlens.size())}); }
  static constexpr int64_t kStateBytes = sizeof(StepState);
  AttentionShape shape;
  int64_t max_seq_length = 0;
  Numbers qkv, gradient, context, d_qkv;
  std::vector<int32_t> token_keys;
  StepState state;
  Mask mask;
};

class Attention : public test::OpTest {
 protected:
  // Forward and backward on the device; context and d_qkv come back.
  void run(Operands& x) {
    const AttentionForward forward = forward_of(x);
    backend().attention_forward(forward);
    const Tensor d_qkv = on_device(x.d_qkv.tensor());
    backend().attention_backward({.gradient = on_device(x.gradient.tensor()),
                                  .qkv = forward.qkv,
                                  .context = forward.context,
                                  .cu_seqlens = forward.cu_seqlens,
                                  .saved = forward.saved,
                                  .max_seq_length = x.max_seq_length,
                                  .dropout = forward.dropout,
                                  .d_qkv = d_qkv});
    backend().download(forward.context, x.context.tensor());
    backend().download(d_qkv, x.d_qkv.tensor());
  }
  AttentionForward forward_of(Operands& x) {
    Dropout dropout = x.dropout();
    if (dropout.rate > 0) dropout.state = on_device(dropout.state), dropout.token_keys = on_device(dropout.token_keys);
    const size_t saved = backend().attention_saved_bytes(x.shape.tokens(), x.shape.heads, x.shape.head_size, x.max_seq_length);
    return {.qkv = on_device(x.qkv.tensor()),
            .cu_seqlens = on_device(x.cu_seqlens()),
            .max_seq_length = x.max_seq_length,
            .dropout = dropout,
            .context = on_device(x.context.tensor()),
            .saved = zeros(DType::kUInt8, {static_cast<int64_t>(saved)})};
  }
};
MPIBERT_ON_EVERY_BACKEND(Attention);

// What is said of threads is the CPU's alone.
class CpuAttention : public Attention {};
INSTANTIATE_TEST_SUITE_P(Backends, CpuAttention, testing::Values(test::BackendCase{{}, DType::kFloat32}, test::BackendCase{{}, DType::kBFloat16}), test::case_name);

double largest(const std::vector<double>& values) {
  double most = 0;
  for (const double x : values) most = std::max(most, std::abs(x));
  return most;
}

// README.md, "Tolerances": one rounding to the type of the tensor, and the fp32 sums inside.
void expect_near(const Numbers& got, const std::vector<double>& expected, int64_t terms, double amplification) {
  const double scale = largest(expected);
  const double inside = 4 * reference::unit_roundoff(DType::kFloat32) * (std::sqrt(static_cast<double>(terms)) + 4) * amplification * scale;
  for (size_t i = 0; i < expected.size(); ++i)
    ASSERT_NEAR(got.at(static_cast<int64_t>(i)), expected[i], reference::unit_roundoff(got.dtype()) * std::abs(expected[i]) + reference::underflow(got.dtype()) + inside)
        << "element " << i;
}

TEST_P(Attention, EqualsTheDoublePrecisionFormula) {
  for (const AttentionCase& c : cases()) {
    SCOPED_TRACE(c.name);
    Operands x(c, precision());
    run(x);
    const int64_t terms = x.max_seq_length + c.head_size;
    expect_near(x.context, reference::attention_forward(x.shape, x.qkv.doubles(), x.mask, x.token_keys), terms, 4);
    expect_near(x.d_qkv, reference::attention_backward(x.shape, x.qkv.doubles(), x.gradient.doubles(), x.mask, x.token_keys), terms, 16);
    if (HasFatalFailure()) return;
  }
}

// The reference's own gradient, so that both are not wrong alike: central differences of sum(gradient * context), in double.
TEST(AttentionReference, GradientIsTheDerivative) {
  for (const double rate : {0.0, 0.25}) {
    Operands x({"small", {3, 1, 5}, 2, 4, rate}, DType::kFloat32);
    std::vector<double> qkv = x.qkv.doubles();
    const std::vector<double> gradient = x.gradient.doubles();
    const auto objective = [&] {
      const std::vector<double> context = reference::attention_forward(x.shape, qkv, x.mask, x.token_keys);
      return std::inner_product(context.begin(), context.end(), gradient.begin(), 0.0);
    };
    const std::vector<double> d_qkv = reference::attention_backward(x.shape, qkv, gradient, x.mask, x.token_keys);
    constexpr double kStep = 1e-5;
    for (size_t i = 0; i < qkv.size(); ++i) {
      const double before = qkv[i];
      qkv[i] = before + kStep;
      const double above = objective();
      qkv[i] = before - kStep;
      const double below = objective();
      qkv[i] = before;
      ASSERT_NEAR(d_qkv[i], (above - below) / (2 * kStep), 1e-8) << "element " << i;
    }
  }
}

TEST_P(CpuAttention, HasTheSameBitsForAnyNumberOfThreads) {
  for (const AttentionCase& c : cases()) {
    SCOPED_TRACE(c.name);
    expect_same_on_any_threads([&] {
      Operands x(c, precision());
      run(x);
      test::Numbers both = x.context.doubles();
      const test::Numbers gradient = x.d_qkv.doubles();
      both.insert(both.end(), gradient.begin(), gradient.end());
      return both;
    });
  }
}

// Packing is a matter of speed: a sequence gets the same bits alone as between others.
TEST_P(Attention, DoesNotDependOnTheOtherSequences) {
  Operands all({"three", {90, 77, 5}, 2, 32, 0.1}, precision());
  run(all);
  Operands one({"the second", {77}, 2, 32, 0.1}, precision());
  const int64_t stride = 2 * 32;
  for (int64_t i = 0; i < one.qkv.size(); ++i) one.qkv.set(i, all.qkv.at(90 * 3 * stride + i));
  for (int64_t i = 0; i < one.gradient.size(); ++i) one.gradient.set(i, all.gradient.at(90 * stride + i));
  one.token_keys.assign(all.token_keys.begin() + 90, all.token_keys.begin() + 167);
  run(one);
  for (int64_t i = 0; i < one.context.size(); ++i) ASSERT_EQ(one.context.at(i), all.context.at(90 * stride + i));
  for (int64_t i = 0; i < one.d_qkv.size(); ++i) ASSERT_EQ(one.d_qkv.at(i), all.d_qkv.at(90 * 3 * stride + i));
}

// With V the unit matrix, context is the dropped-out probabilities themselves: zero exactly where the formula drops.
TEST_P(Attention, DropsWhatTheFormulaOfOpsHSays) {
  constexpr int32_t kLength = 128;
  Operands x({"mask", {kLength}, 2, kLength, 0.1}, precision());
  for (int64_t i = 0; i < kLength; ++i)
    for (int64_t head = 0; head < 2; ++head)
      for (int64_t d = 0; d < kLength; ++d) x.qkv.set(((i * 3 + 2) * 2 + head) * kLength + d, i == d ? 1 : 0);
  run(x);
  int64_t kept = 0;
  for (int64_t i = 0; i < kLength; ++i)
    for (int64_t head = 0; head < 2; ++head)
      for (int64_t j = 0; j < kLength; ++j) {
        const bool keeps = x.mask.keeps(x.token_keys[static_cast<size_t>(i)], head * 65536 + j);
        ASSERT_EQ(x.context.at((i * 2 + head) * kLength + j) != 0, keeps) << i << " " << head << " " << j;
        kept += keeps;
      }
  constexpr double kCount = 2.0 * kLength * kLength;
  EXPECT_NEAR(static_cast<double>(kept), 0.9 * kCount, 5 * std::sqrt(kCount * 0.1 * 0.9));  // five standard deviations
}

TEST_P(Attention, StaysFiniteForScoresBeyondExp) {
  Operands x({"large", {20}, 1, 16}, precision());
  for (int64_t i = 0; i < x.qkv.size(); ++i) x.qkv.set(i, 40 * x.qkv.at(i));
  run(x);
  for (int64_t i = 0; i < x.context.size(); ++i) ASSERT_TRUE(std::isfinite(x.context.at(i)));
  for (int64_t i = 0; i < x.d_qkv.size(); ++i) ASSERT_TRUE(std::isfinite(x.d_qkv.at(i)));
}

TEST_P(Attention, RefusesSequencesOutsideTheBatch) {
  Operands x({"wrong", {4, 4}, 1, 16}, precision());
  x.max_seq_length = 5;
  const AttentionForward right = forward_of(x);
  for (const std::vector<int32_t>& bounds : {std::vector<int32_t>{0, 5, 3}, {0, 9, 8}, {-1, 4, 8}, {0, 1, 8}}) {
    x.shape.cu_seqlens = bounds;
    AttentionForward wrong = right;
    wrong.cu_seqlens = on_device(x.cu_seqlens());
    expect_numbers_rejected([&] { backend().attention_forward(wrong); }, {"attention: sequence"});
  }
}

}  // namespace
}  // namespace mpibert
