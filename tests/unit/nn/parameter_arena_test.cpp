#include "mpibert/nn/parameter_arena.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "tests/support/errors.h"

namespace mpibert {
namespace {

using test::expect_error;
using testing::ElementsAre;

class ParameterArenaTest : public testing::Test {
 protected:
  void declare() {
    embedding = &arena.add("embedding", {10, 3}, Init::kNormal, true);
    stack = &arena.add_stacked({"query", "key", "value"}, {5, 3}, Init::kNormal, true);
    norm = &arena.add("norm", {3}, Init::kOne, false);
  }
  Tensor host(std::vector<float>& numbers) { return host_tensor(std::span(numbers), {static_cast<int64_t>(numbers.size())}); }

  std::unique_ptr<Backend> backend = make_backend({});
  ParameterArena arena;
  const Parameter *embedding = nullptr, *stack = nullptr, *norm = nullptr;
};

TEST_F(ParameterArenaTest, LaysParametersOutInOrderOnAlignedOffsetsAndStacksBackToBack) {
  declare();
  std::vector<std::string> names;
  std::vector<int64_t> offsets;
  for (const Parameter& p : arena.parameters()) names.push_back(p.name), offsets.push_back(p.offset);
  EXPECT_THAT(names, ElementsAre("embedding", "query", "key", "value", "norm"));
  EXPECT_THAT(offsets, ElementsAre(0, 128, 143, 158, 256));
  EXPECT_EQ(stack->offset, 128);
  EXPECT_EQ(stack->shape, (Shape{15, 3}));
  EXPECT_EQ(arena.size(), 384);
  const std::vector<Segment> segments = arena.segments();
  ASSERT_EQ(segments.size(), 5u);
  EXPECT_EQ(segments[2].begin, 143);
  EXPECT_EQ(segments[2].end, 158);
  EXPECT_TRUE(segments[2].decay);
  EXPECT_FALSE(segments[4].decay);
}

TEST_F(ParameterArenaTest, ViewsOfValuesAndGradientsAreSlicesOfTheFlatBuffers) {
  declare();
  arena.allocate(*backend, DType::kFloat32, 512);
  std::vector<float> masters(512), first(512), second(512);
  std::iota(masters.begin(), masters.end(), 0.0f);
  arena.set_values(*backend, host(masters));
  EXPECT_EQ(stack->value.span<float>().front(), 128);
  EXPECT_EQ(arena.find("key").value.span<float>().front(), 143);
  EXPECT_EQ(arena.find("key").value.shape(), (Shape{5, 3}));

  arena.use_gradients(host(first));
  stack->gradient.span<float>()[15] = 1;
  arena.use_gradients(host(second));
  arena.find("key").gradient.span<float>()[0] = 2;
  EXPECT_EQ(first[143], 1);
  EXPECT_EQ(second[143], 2);
  EXPECT_EQ(std::accumulate(second.begin(), second.end(), 0.0f), 2);
}

TEST_F(ParameterArenaTest, Bf16ValuesAreRoundedMasters) {
  declare();
  arena.allocate(*backend, DType::kBFloat16, 384);
  std::vector<float> masters(384, 1.0f + 0x1p-9f);
  masters[1] = 1.0f + 0x1.8p-8f;
  arena.set_values(*backend, host(masters));
  EXPECT_EQ(static_cast<float>(embedding->value.span<bfloat16>()[0]), 1.0f);
  EXPECT_EQ(static_cast<float>(embedding->value.span<bfloat16>()[1]), 1.0f + 0x1p-7f);
}

TEST_F(ParameterArenaTest, InitializesByDeclarationAndLeavesGapsZero) {
  declare();
  std::vector<float> masters(384, 7.0f);
  arena.initialize(1, 0.02f, host(masters));
  for (size_t i : {size_t{30}, size_t{127}, size_t{173}, size_t{259}, size_t{383}}) EXPECT_EQ(masters[i], 0) << i;
  EXPECT_THAT(std::vector<float>(masters.begin() + 256, masters.begin() + 259), ElementsAre(1, 1, 1));
  EXPECT_NE(masters[128], masters[143]) << "parts of a stack have numbers of their own";
}

TEST_F(ParameterArenaTest, SinusoidsAreThoseOfThePaper) {
  const Parameter& table = arena.add_constant("positions", {50, 6}, Init::kSinusoid);
  std::vector<float> masters(static_cast<size_t>(arena.size()));
  arena.initialize(1, 0.02f, host(masters));
  for (int p = 0; p < 50; ++p) {
    for (int i = 0; i < 3; ++i) {
      const double angle = p / std::pow(10000, 2 * i / 6.0);
      EXPECT_NEAR(masters[static_cast<size_t>(6 * p + 2 * i)], std::sin(angle), 1e-7);
      EXPECT_NEAR(masters[static_cast<size_t>(6 * p + 2 * i + 1)], std::cos(angle), 1e-7);
    }
  }
  EXPECT_EQ(table.rate, 0);
  EXPECT_EQ(arena.first_trained(), arena.size());
  expect_error(ErrorKind::kInvalidArgument, {"'positions'", "constant"}, [&] { arena.set_rate("positions", 0.5f); });
}

TEST_F(ParameterArenaTest, InitialNumbersHaveTheAskedDeviationAndAreAFunctionOfTheSeed) {
  arena.add("large", {300, 1000}, Init::kNormal, true);
  std::vector<float> masters(static_cast<size_t>(arena.size())), again = masters, other = masters;
  arena.initialize(1, 0.5f, host(masters));
  arena.initialize(1, 0.5f, host(again));
  arena.initialize(2, 0.5f, host(other));
  EXPECT_EQ(masters, again);
  EXPECT_NE(masters, other);
  double sum = 0, squares = 0;
  for (size_t i = 0; i < 300000; ++i) sum += double{masters[i]}, squares += double{masters[i]} * double{masters[i]};
  // Standard errors of mean and variance of 300,000 normal numbers: 0.5 / sqrt(n), 0.25 sqrt(2 / n); five of them.
  EXPECT_NEAR(sum / 300000, 0, 5 * 0.5 / std::sqrt(300000.0));
  EXPECT_NEAR(squares / 300000, 0.25, 5 * 0.25 * std::sqrt(2 / 300000.0));
}

TEST_F(ParameterArenaTest, RefusesWhatCannotBe) {
  declare();
  expect_error(ErrorKind::kInvalidArgument, {"'key'", "twice"}, [&] { arena.add("key", {1}, Init::kZero, false); });
  expect_error(ErrorKind::kInvalidArgument, {"no parameter 'bias'"}, [&] { arena.find("bias"); });
  expect_error(ErrorKind::kInvalidArgument, {"before the parameters are allocated"}, [&] { arena.use_gradients({}); });
  expect_error(ErrorKind::kInvalidArgument, {"200", "multiple of 128 from 384"}, [&] { arena.allocate(*backend, DType::kFloat32, 200); });
  expect_error(ErrorKind::kInvalidArgument, {"fp32, bf16 or fp16, not int32"}, [&] { arena.allocate(*backend, DType::kInt32, 384); });
  arena.allocate(*backend, DType::kFloat32, 384);
  expect_error(ErrorKind::kInvalidArgument, {"'late'", "after"}, [&] { arena.add("late", {1}, Init::kZero, false); });
  std::vector<float> wrong(128);
  expect_error(ErrorKind::kInvalidArgument, {"[384] fp32", "[128] fp32"}, [&] { arena.use_gradients(host(wrong)); });
  expect_error(ErrorKind::kInvalidArgument, {"128", "384"}, [&] { arena.set_values(*backend, host(wrong)); });
}

}  // namespace
}  // namespace mpibert
