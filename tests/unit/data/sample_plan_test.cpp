#include "mpibert/data/sample_plan.h"

#include <numeric>

#include "tests/unit/data/data_support.h"

namespace mpibert {

using namespace test;

namespace {

std::vector<uint32_t> offsets_of(const std::vector<uint32_t>& lengths, uint32_t first = 0) {
  std::vector<uint32_t> offsets{first};
  for (const uint32_t length : lengths) offsets.push_back(offsets.back() + length);
  return offsets;
}

std::vector<PlannedSample> pairs_of(const std::vector<uint32_t>& offsets, int64_t max_seq_length, uint64_t place,
                                    double short_seq_prob = 0.1) {
  std::vector<PlannedSample> samples;
  plan_sentence_pairs(offsets, max_seq_length, short_seq_prob, RandomStream(1, RandomPurpose::kSentencePairs, place), samples);
  return samples;
}

}  // namespace

// a and what follows it end at sentences, a pair begins where the one before left off, and a chunk ends with the sentence that reaches the
// target.
TEST(SentencePairs, ObeyTheRules) {
  std::vector<uint32_t> lengths;
  for (uint32_t s = 0; s < 40; ++s) lengths.push_back(1 + s * 5 % 17);
  const std::vector<uint32_t> offsets = offsets_of(lengths, 1000);
  const auto is_end = [&](int64_t token) { return std::binary_search(offsets.begin(), offsets.end(), static_cast<uint32_t>(token)); };
  int64_t random = 0, total = 0, aimed_short = 0, documents = 0;
  for (uint64_t place = 0; place < 400; ++place) {
    int64_t next = offsets.front();
    const std::vector<PlannedSample> samples = pairs_of(offsets, 48, place);
    ++documents;
    aimed_short += samples.front().target < 45 ? 1 : 0;
    for (const PlannedSample& sample : samples) {
      ASSERT_EQ(sample.a.begin, next);
      ASSERT_GT(sample.a.size(), 0);
      ASSERT_EQ(sample.b.begin, sample.a.end);
      ASSERT_TRUE(is_end(sample.a.end) && is_end(sample.b.end));
      ASSERT_TRUE(sample.is_random_next || sample.b.size() > 0);
      const auto last = std::lower_bound(offsets.begin(), offsets.end(), static_cast<uint32_t>(sample.b.end)) - 1;
      ASSERT_TRUE(last == offsets.begin() || *last <= sample.a.begin || *last - sample.a.begin < sample.target)
          << "the chunk was long enough a sentence earlier";
      ASSERT_TRUE(sample.b.end == offsets.back() || sample.b.end - sample.a.begin >= sample.target);
      next = sample.is_random_next ? sample.a.end : sample.b.end;
      ++total;
      random += sample.is_random_next ? 1 : 0;
    }
    ASSERT_EQ(next, offsets.back());
  }
  EXPECT_NEAR(static_cast<double>(random) / static_cast<double>(total), 0.52, 0.04)
      << "half by the draw, and the rests of one sentence besides";
  EXPECT_NEAR(static_cast<double>(aimed_short) / static_cast<double>(documents), 0.1, 0.05);
}

// 100,000 pairs: where there is a choice, next sentences are a fair coin, the first part ends after any sentence but the last alike, and
// short targets have any length alike.
TEST(SentencePairs, DistributionsAreThoseOfTheScript) {
  const std::vector<uint32_t> offsets = offsets_of(std::vector<uint32_t>(64, 1));
  int64_t coins = 0, random = 0, first_parts = 0;
  std::vector<int64_t> ends(7), targets(28);
  for (uint64_t place = 0; coins < 100000; ++place) {
    const std::vector<PlannedSample> samples = pairs_of(offsets, 32, place, 0.5);  // targets 2 .. 29, or 29
    if (samples.front().target < 29) ++targets[static_cast<size_t>(samples.front().target - 2)];
    for (const PlannedSample& sample : samples) {
      if (sample.b.size() == 0) continue;
      ++coins;
      random += sample.is_random_next ? 1 : 0;
      if (sample.b.end - sample.a.begin != 8) continue;
      ++ends[static_cast<size_t>(sample.a.size() - 1)];
      ++first_parts;
    }
  }
  targets.pop_back();
  const auto chi_square = [](const std::vector<int64_t>& counts) {
    const double expected =
        static_cast<double>(std::accumulate(counts.begin(), counts.end(), int64_t{0})) / static_cast<double>(counts.size());
    double sum = 0;
    for (const int64_t count : counts) sum += (static_cast<double>(count) - expected) * (static_cast<double>(count) - expected) / expected;
    return sum;
  };
  EXPECT_LT(chi_square({random, coins - random}), 15.1) << "1 degree of freedom, once in 10,000 times";
  EXPECT_GT(first_parts, 500);
  EXPECT_LT(chi_square(ends), 27.9) << "6 degrees";
  EXPECT_LT(chi_square(targets), 60.1) << "26 degrees";
}

TEST(SentencePairs, AreAFunctionOfTheKey) {
  const std::vector<uint32_t> offsets = offsets_of(std::vector<uint32_t>(60, 9));
  const auto keys = [&](uint64_t place) {
    std::vector<uint64_t> all;
    for (const PlannedSample& sample : pairs_of(offsets, 64, place)) all.push_back(sample.key);
    return all;
  };
  EXPECT_EQ(keys(1), keys(1));
  EXPECT_NE(keys(1), keys(2));
}

TEST(SentencePairs, OneSentenceIsFollowedByARandomOne) {
  const std::vector<PlannedSample> samples = pairs_of(offsets_of({3}), 64, 0);
  ASSERT_EQ(samples.size(), 1u);
  EXPECT_TRUE(samples[0].is_random_next);
  EXPECT_FALSE(error_of(ErrorKind::kInvalidArgument, [&] { pairs_of(offsets_of({3}), 4, 0); }).empty());
}

TEST(SentencePairs, AreCutAtEitherEndOfTheLonger) {
  int64_t front = 0, back = 0;
  for (uint64_t place = 0; place < 200; ++place) {
    RandomStream random(1, RandomPurpose::kSentencePairDetails, place);
    IndexRange a{100, 130}, b{500, 510};
    truncate_pair(a, b, 30, random);
    EXPECT_EQ(a.size() + b.size(), 30);
    EXPECT_EQ(b, (IndexRange{500, 510})) << "the shorter is not cut";
    front += a.begin - 100;
    back += 130 - a.end;
  }
  EXPECT_EQ(front + back, 200 * 10);
  EXPECT_NEAR(static_cast<double>(front), 1000, 90);
  RandomStream random(1, RandomPurpose::kSentencePairDetails, 0);
  IndexRange a{0, 2}, b{0, 2};
  truncate_pair(a, b, 3, random);
  EXPECT_EQ(std::pair(a.size(), b.size()), std::pair(int64_t{2}, int64_t{1})) << "of equal ones the second";
}

TEST(Segments, HoldWholeSentencesWhileTheyFitAndNoTokenTwice) {
  const std::vector<uint32_t> offsets = offsets_of({4, 3, 2, 20, 1, 8}, 7);
  std::vector<PlannedSample> samples;
  plan_segments(offsets, 10, samples);  // 8 tokens of text
  std::vector<int64_t> lengths;
  int64_t next = offsets.front();
  for (const PlannedSample& sample : samples) {
    EXPECT_EQ(sample.a.begin, next);
    EXPECT_EQ(sample.b.size(), 0);
    next = sample.a.end;
    lengths.push_back(sample.a.size());
  }
  EXPECT_EQ(next, offsets.back());
  EXPECT_EQ(lengths, (std::vector<int64_t>{7, 2, 8, 8, 5, 8})) << "4 + 3; 2; 20 in three, the last with 1 behind it; 8";
  EXPECT_THROW(plan_segments(offsets, 4, samples), Error);
}

}  // namespace mpibert
