#include "ops/cpu/attention.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <numeric>

#include "mpibert/base/error.h"
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

// Everything of one call, owned. Token keys are as of a batch that starts anywhere in a global one.
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
    saved.resize(cpu::attention_saved_bytes(t, c.heads, c.head_size, max_seq_length));
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
  void forward(cpu::AttentionEngine& engine) {
    engine.forward({.qkv = qkv.tensor(),
                    .cu_seqlens = cu_seqlens(),
                    .max_seq_length = max_seq_length,
                    .dropout = dropout(),
                    .context = context.tensor(),
                    .saved = host_tensor(std::span(saved), {static_cast<int64_t>(saved.size())})});
  }
  void backward(cpu::AttentionEngine& engine) {
    engine.backward({.gradient = gradient.tensor(),
                     .qkv = qkv.tensor(),
                     .context = context.tensor(),
                     .cu_seqlens = cu_seqlens(),
                     .saved = host_tensor(std::span(saved), {static_cast<int64_t>(saved.size())}),
                     .max_seq_length = max_seq_length,
                     .dropout = dropout(),
                     .d_qkv = d_qkv.tensor()});
  }
  static constexpr int64_t kStateBytes = sizeof(StepState);
  AttentionShape shape;
  int64_t max_seq_length = 0;
  Numbers qkv, gradient, context, d_qkv;
  std::vector<int32_t> token_keys;
  std::vector<uint8_t> saved;
  StepState state;
  Mask mask;
};

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
    ASSERT_NEAR(got.at(static_cast<int64_t>(i)), expected[i], reference::unit_roundoff(got.dtype()) * std::abs(expected[i]) + inside)
        << "element " << i;
}

TEST(Attention, EqualsTheDoublePrecisionFormula) {
  cpu::AttentionEngine engine;
  for (const AttentionCase& c : cases())
    for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
      SCOPED_TRACE(c.name + " " + std::string(name_of(dtype)));
      Operands x(c, dtype);
      x.forward(engine);
      x.backward(engine);
      const int64_t terms = x.max_seq_length + c.head_size;
      expect_near(x.context, reference::attention_forward(x.shape, x.qkv.doubles(), x.mask, x.token_keys), terms, 4);
      expect_near(x.d_qkv, reference::attention_backward(x.shape, x.qkv.doubles(), x.gradient.doubles(), x.mask, x.token_keys), terms, 16);
      if (HasFatalFailure()) return;
    }
}

// The reference's own gradient, so that both are not wrong alike: central differences of sum(gradient * context), in double.
TEST(Attention, ReferenceGradientIsTheDerivativeOfTheReference) {
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

TEST(Attention, HasTheSameBitsForAnyNumberOfThreads) {
  const int before = omp_get_max_threads();
  for (const AttentionCase& c : cases())
    for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
      std::vector<uint8_t> context, d_qkv, saved;
      for (const int threads : {1, 2, 3, 8}) {
        omp_set_num_threads(threads);
        cpu::AttentionEngine engine;
        Operands x(c, dtype);
        x.forward(engine);
        x.backward(engine);
        if (threads == 1) context = x.context.bytes(), d_qkv = x.d_qkv.bytes(), saved = x.saved;
        EXPECT_TRUE(context == x.context.bytes() && d_qkv == x.d_qkv.bytes() && saved == x.saved)
            << c.name << ", " << threads << " threads";
      }
    }
  omp_set_num_threads(before);
}

// Packing is a matter of speed: a sequence gets the same bits alone as between others.
TEST(Attention, DoesNotDependOnTheOtherSequences) {
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    cpu::AttentionEngine engine;
    Operands all({"three", {90, 77, 5}, 2, 32, 0.1}, dtype);
    all.forward(engine);
    all.backward(engine);
    Operands one({"the second", {77}, 2, 32, 0.1}, dtype);
    const int64_t stride = 2 * 32;
    for (int64_t i = 0; i < one.qkv.size(); ++i) one.qkv.set(i, all.qkv.at(90 * 3 * stride + i));
    for (int64_t i = 0; i < one.gradient.size(); ++i) one.gradient.set(i, all.gradient.at(90 * stride + i));
    one.token_keys.assign(all.token_keys.begin() + 90, all.token_keys.begin() + 167);
    one.forward(engine);
    one.backward(engine);
    for (int64_t i = 0; i < one.context.size(); ++i) ASSERT_EQ(one.context.at(i), all.context.at(90 * stride + i));
    for (int64_t i = 0; i < one.d_qkv.size(); ++i) ASSERT_EQ(one.d_qkv.at(i), all.d_qkv.at(90 * 3 * stride + i));
  }
}

// With V the unit matrix, context is the dropped-out probabilities themselves: zero exactly where the formula drops.
TEST(Attention, DropsWhatTheFormulaOfOpsHSays) {
  constexpr int32_t kLength = 128;
  Operands x({"mask", {kLength}, 2, kLength, 0.1}, DType::kFloat32);
  for (int64_t i = 0; i < kLength; ++i)
    for (int64_t head = 0; head < 2; ++head)
      for (int64_t d = 0; d < kLength; ++d) x.qkv.set(((i * 3 + 2) * 2 + head) * kLength + d, i == d ? 1 : 0);
  cpu::AttentionEngine engine;
  x.forward(engine);
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

TEST(Attention, StaysFiniteForScoresBeyondExp) {
  cpu::AttentionEngine engine;
  Operands x({"large", {20}, 1, 16}, DType::kFloat32);
  for (int64_t i = 0; i < x.qkv.size(); ++i) x.qkv.set(i, 40 * x.qkv.at(i));
  x.forward(engine);
  x.backward(engine);
  for (int64_t i = 0; i < x.context.size(); ++i) ASSERT_TRUE(std::isfinite(x.context.at(i)));
  for (int64_t i = 0; i < x.d_qkv.size(); ++i) ASSERT_TRUE(std::isfinite(x.d_qkv.at(i)));
}

TEST(Attention, RefusesSequencesOutsideTheBatch) {
  cpu::AttentionEngine engine;
  Operands x({"wrong", {4, 4}, 1, 16}, DType::kFloat32);
  for (const std::vector<int32_t>& bounds : {std::vector<int32_t>{0, 5, 3}, {0, 9, 8}, {-1, 4, 8}, {0, 1, 8}}) {
    x.shape.cu_seqlens = bounds;
    try {
      engine.forward({.qkv = x.qkv.tensor(),
                      .cu_seqlens = x.cu_seqlens(),
                      .max_seq_length = 5,
                      .context = x.context.tensor(),
                      .saved = host_tensor(std::span(x.saved), {static_cast<int64_t>(x.saved.size())})});
      ADD_FAILURE() << "accepted " << bounds[1];
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kInvalidArgument);
      EXPECT_NE(std::string(error.what()).find("attention: sequence"), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace mpibert
