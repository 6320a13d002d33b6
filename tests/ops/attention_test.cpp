#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

#include "mpibert/base/error.h"
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
  int64_t positions = 0;  // P of the distance embeddings; 0: there are none
  DistanceUse distance_use = DistanceUse::kQueries;
};

constexpr DistanceUse kOfKeys = DistanceUse::kQueriesAndKeys, kOfValues = DistanceUse::kQueriesAndValues;

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
      {"ends of 16 rows", {15, 16, 17, 32, 33}, 2, 8},
      {"ends of 64 rows, dropped", {63, 64, 65, 1}, 3, 64, 0.1},
      {"ends of 128 rows", {127, 128, 129}, 1, 64},
      {"D 40, dropped", {33, 66}, 3, 40, 0.2},
      {"D 96, dropped", {65, 31}, 2, 96, 0.1},
      {"D 128, dropped", {64, 130}, 1, 128, 0.1},
      {"distances of one token", {1}, 1, 1, 0, 1},
      {"distances, D 16", {5, 1, 16, 17}, 2, 16, 0, 17},
      {"distances, odd D, an empty sequence", {9, 0, 49, 48}, 2, 20, 0, 49},
      {"more distances than there are", {33, 7, 64}, 3, 32, 0, 100},
      {"distances, dropped", {1, 66, 130, 17}, 2, 64, 0.1, 130},
      {"distances, D 128, dropped", {50, 97}, 1, 128, 0.1, 128},
      {"distances of many sequences", std::vector<int32_t>(45, 5), 2, 8, 0.2, 8},
      {"fewer distances than there are", {30, 70}, 2, 16, 0.1, 20},
      {"fewer distances of keys than there are", {30, 70}, 2, 16, 0.1, 20, kOfKeys},
      {"distances of keys, one token", {1}, 1, 1, 0, 1, kOfKeys},
      {"distances of keys, D 16", {5, 1, 16, 17}, 2, 16, 0, 17, kOfKeys},
      {"distances of keys, odd D", {9, 49, 48}, 2, 20, 0, 60, kOfKeys},
      {"distances of keys, dropped", {1, 66, 130, 17}, 2, 64, 0.1, 130, kOfKeys},
      {"distances of keys, D 128, dropped", {50, 97}, 1, 128, 0.1, 128, kOfKeys},
      {"distances of values, one token", {1}, 1, 1, 0, 1, kOfValues},
      {"distances of values, all alike", {5, 40}, 2, 8, 0, 1, kOfValues},
      {"distances of values, odd D, an empty sequence", {9, 0, 49, 48}, 2, 20, 0, 17, kOfValues},
      {"distances of values, dropped", {1, 66, 130, 17}, 2, 64, 0.1, 17, kOfValues},
      {"more distances of values than there are", {33, 7, 64}, 3, 32, 0.1, 100, kOfValues},
      {"distances of values, D 128, dropped", {50, 97}, 1, 128, 0.1, 33, kOfValues},
      {"distances of values of many sequences", std::vector<int32_t>(45, 5), 2, 8, 0.2, 3, kOfValues},
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
    if (c.positions > 0) {
      distances = Numbers::normal(dtype, {2 * c.positions - 1, c.head_size}, 13, 0.8);
      d_distances = Numbers(DType::kFloat32, distances.shape(), kBefore);
      shape.distances = distances.doubles();
      shape.distance_use = c.distance_use;
    }
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
  bool has_distances() const { return !shape.distances.empty(); }
  static constexpr double kBefore = 0.5;  // what the distances' gradients are added to
  Tensor cu_seqlens() { return host_tensor(std::span(shape.cu_seqlens), {static_cast<int64_t>(shape.cu_seqlens.size())}); }
  static constexpr int64_t kStateBytes = sizeof(StepState);
  AttentionShape shape;
  int64_t max_seq_length = 0;
  Numbers qkv, gradient, context, d_qkv, distances, d_distances;
  std::vector<int32_t> token_keys;
  StepState state;
  Mask mask;
};

class Attention : public test::OpTest {
 protected:
  // Forward and backward on the device; context, d_qkv and d_distances come back.
  void run(Operands& x) {
    const AttentionForward forward = forward_of(x);
    backend().attention_forward(forward);
    const Tensor d_qkv = on_device(x.d_qkv.tensor()), d_distances = x.has_distances() ? on_device(x.d_distances.tensor()) : Tensor{};
    backend().attention_backward({.gradient = on_device(x.gradient.tensor()),
                                  .qkv = forward.qkv,
                                  .distance_embedding = forward.distance_embedding,
                                  .context = forward.context,
                                  .cu_seqlens = forward.cu_seqlens,
                                  .saved = forward.saved,
                                  .distance_use = forward.distance_use,
                                  .max_seq_length = x.max_seq_length,
                                  .dropout = forward.dropout,
                                  .d_qkv = d_qkv,
                                  .d_distance_embedding = d_distances});
    backend().download(forward.context, x.context.tensor());
    backend().download(d_qkv, x.d_qkv.tensor());
    if (d_distances) backend().download(d_distances, x.d_distances.tensor());
  }
  AttentionForward forward_of(Operands& x) {
    Dropout dropout = x.dropout();
    if (dropout.rate > 0) dropout.state = on_device(dropout.state), dropout.token_keys = on_device(dropout.token_keys);
    const size_t saved = backend().attention_saved_bytes(x.shape.tokens(), x.shape.heads, x.shape.head_size, x.max_seq_length);
    return {.qkv = on_device(x.qkv.tensor()),
            .distance_embedding = x.has_distances() ? on_device(x.distances.tensor()) : Tensor{},
            .cu_seqlens = on_device(x.cu_seqlens()),
            .distance_use = x.shape.distance_use,
            .max_seq_length = x.max_seq_length,
            .dropout = dropout,
            .context = on_device(x.context.tensor()),
            .saved = zeros(DType::kUInt8, {static_cast<int64_t>(saved)})};
  }
};
MPIBERT_ON_EVERY_BACKEND(Attention);

// What is said of threads is the CPU's alone.
class CpuAttention : public Attention {};
INSTANTIATE_TEST_SUITE_P(Backends, CpuAttention,
                         testing::Values(test::BackendCase{{}, DType::kFloat32}, test::BackendCase{{}, DType::kBFloat16}), test::case_name);

double largest(const std::vector<double>& values) {
  double most = 0;
  for (const double x : values) most = std::max(most, std::abs(x));
  return most;
}

// README.md, "Tolerances": one rounding to the type of the tensor, and the fp32 sums inside; `rounding` more for each element, unless
// empty.
void expect_near(const Numbers& got, const std::vector<double>& expected, int64_t terms, double amplification,
                 const std::vector<double>& rounding) {
  const double scale = largest(expected);
  const double inside = 4 * reference::unit_roundoff(DType::kFloat32) * (std::sqrt(static_cast<double>(terms)) + 4) * amplification * scale;
  for (size_t i = 0; i < expected.size(); ++i)
    ASSERT_NEAR(got.at(static_cast<int64_t>(i)), expected[i],
                reference::unit_roundoff(got.dtype()) * std::abs(expected[i]) + reference::underflow(got.dtype()) + inside +
                    (rounding.empty() ? 0 : rounding[i]))
        << "element " << i;
}

// Whether products on tensor cores round what they multiply: src/ops/cuda/attention_mma.h.
bool is_rounded_inside(const test::BackendCase& backend, const AttentionShape& shape) {
  return backend.device.type == DeviceType::kCuda && bytes_of(backend.precision) == 2 && shape.head_size % 8 == 0 &&
         shape.distances.empty();
}

// `size`: of the products q k and gradient v, beside those of normal numbers.
void expect_formula(const Operands& x, const test::BackendCase& backend, double size = 1) {
  const std::vector<double> qkv = x.qkv.doubles(), gradient = x.gradient.doubles();
  reference::AttentionRounding rounding;
  if (is_rounded_inside(backend, x.shape))
    rounding = reference::attention_rounding(backend.precision, x.shape, qkv, gradient, x.mask, x.token_keys);
  const int64_t terms = x.max_seq_length + x.shape.head_size;
  expect_near(x.context, reference::attention_forward(x.shape, qkv, x.mask, x.token_keys), terms, 4 * size, rounding.context);
  expect_near(x.d_qkv, reference::attention_backward(x.shape, qkv, gradient, x.mask, x.token_keys), terms, 16 * size, rounding.d_qkv);
  if (!x.has_distances()) return;
  std::vector<double> d_distances = reference::attention_distance_gradient(x.shape, qkv, gradient, x.mask, x.token_keys);
  for (double& each : d_distances) each += Operands::kBefore;
  expect_near(x.d_distances, d_distances, terms + x.shape.tokens() * x.shape.heads, 16 * size, {});
}

TEST_P(Attention, EqualsTheDoublePrecisionFormula) {
  for (const AttentionCase& c : cases()) {
    SCOPED_TRACE(c.name);
    Operands x(c, precision());
    run(x);
    expect_formula(x, GetParam());
    if (HasFatalFailure()) return;
  }
}

// Keys and values that have much in common: d_qkv depends on the small rest, and a delta taken from the rounded context would be wrong by
// more than that, for all keys alike.
TEST_P(Attention, BackwardDoesNotSufferFromTheRoundingOfContext) {
  Operands x({"alike", {20, 70}, 2, 64}, precision());
  for (int64_t i = 0; i < x.qkv.size(); ++i)
    if (i / (2 * 64) % 3 != 0) x.qkv.set(i, x.qkv.at(i) / 4 + 8);
  run(x);
  expect_formula(x, GetParam(), 8);
}

// The reference's own gradient, so that both are not wrong alike: central differences of sum(gradient * context), in double.
TEST(AttentionReference, GradientIsTheDerivative) {
  for (const AttentionCase& c : {AttentionCase{"small", {3, 1, 5}, 2, 4},
                                 {"dropped", {3, 1, 5}, 2, 4, 0.25},
                                 {"distances", {3, 1, 5}, 2, 4, 0.25, 6},
                                 {"distances of keys", {3, 1, 5}, 2, 4, 0.25, 6, kOfKeys}}) {
    SCOPED_TRACE(c.name);
    Operands x(c, DType::kFloat32);
    std::vector<double> qkv = x.qkv.doubles();
    const std::vector<double> gradient = x.gradient.doubles();
    const auto objective = [&] {
      const std::vector<double> context = reference::attention_forward(x.shape, qkv, x.mask, x.token_keys);
      return std::inner_product(context.begin(), context.end(), gradient.begin(), 0.0);
    };
    const auto expect_derivative = [&](const std::vector<double>& found, std::vector<double>& of) {
      constexpr double kStep = 1e-5;
      for (size_t i = 0; i < of.size(); ++i) {
        const double before = of[i];
        of[i] = before + kStep;
        const double above = objective();
        of[i] = before - kStep;
        const double below = objective();
        of[i] = before;
        ASSERT_NEAR(found[i], (above - below) / (2 * kStep), 1e-8) << "element " << i;
      }
    };
    expect_derivative(reference::attention_backward(x.shape, qkv, gradient, x.mask, x.token_keys), qkv);
    expect_derivative(reference::attention_distance_gradient(x.shape, qkv, gradient, x.mask, x.token_keys), x.shape.distances);
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
      if (!x.has_distances()) return both;
      const test::Numbers d_distances = x.d_distances.doubles();
      both.insert(both.end(), d_distances.begin(), d_distances.end());
      return both;
    });
  }
}

// Packing is a matter of speed: a sequence gets the same bits alone as between others.
TEST_P(Attention, DoesNotDependOnTheOtherSequences) {
  for (const auto& [head_size, positions, use] : {std::tuple{20, 0, DistanceUse::kQueries},
                                                  {32, 0, DistanceUse::kQueries},
                                                  {64, 0, DistanceUse::kQueries},
                                                  {128, 0, DistanceUse::kQueries},
                                                  {20, 200, kOfKeys},
                                                  {64, 130, DistanceUse::kQueries},
                                                  {32, 17, kOfValues}}) {
    SCOPED_TRACE(str_cat("D ", head_size, ", P ", positions));
    Operands all({"three", {130, 77, 5}, 2, head_size, 0.1, positions, use}, precision());
    run(all);
    Operands one({"the second", {77}, 2, head_size, 0.1, positions, use}, precision());
    const int64_t stride = 2 * head_size;
    for (int64_t i = 0; i < one.qkv.size(); ++i) one.qkv.set(i, all.qkv.at(130 * 3 * stride + i));
    for (int64_t i = 0; i < one.gradient.size(); ++i) one.gradient.set(i, all.gradient.at(130 * stride + i));
    one.token_keys.assign(all.token_keys.begin() + 130, all.token_keys.begin() + 207);
    run(one);
    for (int64_t i = 0; i < one.context.size(); ++i) ASSERT_EQ(one.context.at(i), all.context.at(130 * stride + i));
    for (int64_t i = 0; i < one.d_qkv.size(); ++i) ASSERT_EQ(one.d_qkv.at(i), all.d_qkv.at(130 * 3 * stride + i));
  }
}

// With V and the gradient unit matrices, context is the dropped-out probabilities themselves, and the gradient of V is their transpose:
// zero exactly where the formula drops.
TEST_P(Attention, DropsWhatTheFormulaOfOpsHSays) {
  for (const int32_t length : {32, 64, 128}) {
    SCOPED_TRACE(length);
    Operands x({"mask", {length}, 2, length, 0.1}, precision());
    for (int64_t i = 0; i < length; ++i)
      for (int64_t head = 0; head < 2; ++head)
        for (int64_t d = 0; d < length; ++d) {
          x.qkv.set(((i * 3 + 2) * 2 + head) * length + d, i == d ? 1 : 0);
          x.gradient.set((i * 2 + head) * length + d, i == d ? 1 : 0);
        }
    run(x);
    int64_t kept = 0;
    for (int64_t i = 0; i < length; ++i)
      for (int64_t head = 0; head < 2; ++head)
        for (int64_t j = 0; j < length; ++j) {
          const bool keeps = x.mask.keeps(x.token_keys[static_cast<size_t>(i)], head * 65536 + j);
          ASSERT_EQ(x.context.at((i * 2 + head) * length + j) != 0, keeps) << "context, query " << i << ", head " << head << ", key " << j;
          ASSERT_EQ(x.d_qkv.at(((j * 3 + 2) * 2 + head) * length + i) != 0, keeps)
              << "d_value, query " << i << ", head " << head << ", key " << j;
          kept += keeps;
        }
    const double count = 2.0 * length * length;
    EXPECT_NEAR(static_cast<double>(kept), 0.9 * count, 5 * std::sqrt(count * 0.1 * 0.9));  // five standard deviations
  }
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
