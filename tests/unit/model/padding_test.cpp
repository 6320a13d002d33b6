#include "model/padding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <set>

namespace mpibert {
namespace {

using testing::Each;
using testing::ElementsAre;

// A batch that a loader might make: sequences of 2 or more tokens, up to a sixth of them predictions.
BatchShape random_shape(std::mt19937& random, const BatchLimits& limits) {
  const auto below = [&](int64_t end) { return static_cast<int64_t>(random() % static_cast<uint64_t>(end)); };
  BatchShape shape;
  shape.max_seq_length = 2 + below(limits.max_seq_length - 1);
  shape.sequences = 1 + below(std::min(limits.sequences, limits.tokens / 2));
  shape.tokens = std::min(limits.tokens, shape.sequences * (2 + below(shape.max_seq_length - 1)));
  shape.predictions = below(std::min(limits.predictions, shape.tokens / 6 + 1) + 1);
  return shape;
}

TEST(Padding, HasAPlaceForEveryFillerAndStaysWithinTheLimits) {
  std::mt19937 random(1);
  for (const BatchLimits limits : {BatchLimits{64, 8, 16, 24}, BatchLimits{256, 129, 65, 64}, BatchLimits{4096, 2049, 1025, 128},
                                   BatchLimits{16384, 8193, 4097, 512}}) {
    const BatchLimits most = padded_limits(limits);
    for (int i = 0; i < 20000; ++i) {
      const BatchShape real = random_shape(random, limits), padded = padded_shape(real);
      const int64_t tokens = padded.tokens - real.tokens, sequences = padded.sequences - real.sequences,
                    predictions = padded.predictions - real.predictions;
      const std::string text =
          testing::PrintToString(std::vector<int64_t>{real.tokens, real.sequences, real.predictions, real.max_seq_length});
      ASSERT_GE(tokens, sequences) << text << ": a sequence has a token";
      ASSERT_LE(tokens, sequences * padded.max_seq_length) << text << ": no sequence is longer than S";
      ASSERT_TRUE(0 <= sequences && 0 <= predictions && predictions <= tokens) << text << ": a prediction has a token of its own";
      ASSERT_TRUE(padded.tokens <= most.tokens && padded.sequences <= most.sequences && padded.predictions <= most.predictions &&
                  padded.max_seq_length <= most.max_seq_length)
          << text;
    }
  }
}

TEST(Padding, LeavesFullBatchesAloneAndAddsLittleToOthers) {
  const BatchShape full{8192, 64, 1280, 128};
  EXPECT_EQ(padded_shape(full), full);
  EXPECT_EQ(padded_shape({8000, 61, 1200, 120}), (BatchShape{8064, 64, 1216, 128}));
  EXPECT_EQ(padded_shape({30, 4, 0, 17}), (BatchShape{64, 5, 0, 64}));
  const BatchLimits limits{8192, 4097, 2049, 512}, most = padded_limits(limits);
  EXPECT_LT(static_cast<double>(most.tokens), 1.05 * static_cast<double>(limits.tokens));
}

// Micro-batches of a phase of pre-training: filled to within a sequence, but for each slot's last.
TEST(Padding, OfAThousandBatchesMostShareTheirShape) {
  std::mt19937 random(2);
  std::set<std::vector<int64_t>> real_shapes, padded_shapes;
  for (int i = 0; i < 1000; ++i) {
    const int64_t tokens = 8192 - static_cast<int64_t>(random() % 256), sequences = 64 + static_cast<int64_t>(random() % 24),
                  predictions = tokens * 15 / 100 + static_cast<int64_t>(random() % 16);
    const BatchShape real{tokens, sequences, predictions, 128}, padded = padded_shape(real);
    real_shapes.insert({real.tokens, real.sequences, real.predictions});
    padded_shapes.insert({padded.tokens, padded.sequences, padded.predictions});
  }
  EXPECT_GT(real_shapes.size(), 900u);
  EXPECT_LE(padded_shapes.size(), 16u);
}

TEST(Padding, FillersStandBehindTheRealOnesAndHaveNoLabels) {
  Batch batch;
  batch.set_extent(70, 2, 40);
  for (const char* name : {"input_ids", "token_type_ids", "position_ids", "token_keys"}) batch.add(name, std::vector<int32_t>(70, 7));
  batch.add("cu_seqlens", {0, 30, 70});
  batch.add("sequence_keys", {3, 4});
  batch.add("masked_lm_positions", {1, 2, 69});
  batch.add("masked_lm_ids", {5, 6, 7});
  batch.add("labels", {1, 1}, DType::kFloat32);
  batch.add("next_sentence_labels", {1, 0});
  const Schema labels = {{"masked_lm_positions", DType::kInt32, Per::kPrediction},
                         {"masked_lm_ids", DType::kInt32, Per::kPrediction},
                         {"labels", DType::kFloat32, Per::kSequence}};
  const Batch padded = pad(batch, labels);
  EXPECT_EQ(shape_of(padded), (BatchShape{128, 3, 8, 64}));
  for (const char* name : {"input_ids", "token_type_ids", "position_ids", "token_keys"}) {
    const auto numbers = padded[name].span<int32_t>();
    EXPECT_THAT(std::vector<int32_t>(numbers.begin(), numbers.begin() + 70), Each(7)) << name;
    EXPECT_THAT(std::vector<int32_t>(numbers.begin() + 70, numbers.end()), Each(0)) << name;
    EXPECT_EQ(numbers.size(), 128u) << name;
  }
  EXPECT_THAT(padded["cu_seqlens"].span<int32_t>(), ElementsAre(0, 30, 70, 128));
  EXPECT_THAT(padded["sequence_keys"].span<int32_t>(), ElementsAre(3, 4, 0));
  EXPECT_THAT(padded["masked_lm_positions"].span<int32_t>(), ElementsAre(1, 2, 69, 70, 71, 72, 73, 74));
  EXPECT_THAT(padded["masked_lm_ids"].span<int32_t>(), ElementsAre(5, 6, 7, -1, -1, -1, -1, -1));
  ASSERT_EQ(padded["labels"].dtype(), DType::kFloat32);
  EXPECT_TRUE(std::isnan(padded["labels"].span<float>()[2]));
  EXPECT_FALSE(padded.has("next_sentence_labels")) << "no model of this schema reads it";
}

}  // namespace
}  // namespace mpibert
