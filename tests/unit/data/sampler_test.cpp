#include "mpibert/data/sampler.h"

#include <algorithm>
#include <set>

#include "tests/unit/data/data_support.h"

namespace mpibert {

using namespace test;

namespace {

std::vector<int64_t> epoch_of(const Sampler& sampler, int64_t epoch) {
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < sampler.samples(); ++i) ids.push_back(sampler.at(epoch * sampler.samples() + i));
  return ids;
}

}  // namespace

TEST(Sampler, EachEpochIsAPermutation) {
  for (const int64_t samples : {int64_t{1}, int64_t{2}, int64_t{255}, int64_t{256}, int64_t{257}, int64_t{5000},
                                kSamplesPerChunk * kChunksPerWindow, kSamplesPerChunk * kChunksPerWindow * 2 + 77}) {
    const Sampler sampler(samples, 5);
    for (const int64_t epoch : {0, 1, 9}) {
      std::vector<int64_t> ids = epoch_of(sampler, epoch);
      std::sort(ids.begin(), ids.end());
      for (int64_t i = 0; i < samples; ++i) ASSERT_EQ(ids[static_cast<size_t>(i)], i) << samples << " samples, epoch " << epoch;
    }
  }
}

TEST(Sampler, DependsOnSeedAndEpochAlone) {
  const Sampler a(3000, 5), b(3000, 5), c(3000, 6);
  EXPECT_EQ(epoch_of(a, 2), epoch_of(b, 2));
  EXPECT_NE(epoch_of(a, 2), epoch_of(c, 2));
  EXPECT_NE(epoch_of(a, 2), epoch_of(a, 3));
  EXPECT_EQ(a.at(7123), b.at(7123));  // in any order of asking
  EXPECT_EQ(a.epoch(2999), 0);
  EXPECT_EQ(a.epoch(3000), 1);
}

TEST(Sampler, StaysInFewChunksAtATime) {
  const int64_t window = kSamplesPerChunk * kChunksPerWindow;
  const Sampler sampler(window * 4, 1);
  std::set<int64_t> chunks;
  for (int64_t i = 0; i < window; ++i) chunks.insert(sampler.at(i) / kSamplesPerChunk);
  EXPECT_EQ(static_cast<int64_t>(chunks.size()), kChunksPerWindow);
}

// Neighbours in the data do not stay neighbours: with 4 windows of order, the mean distance of a uniform permutation is n / 3.
TEST(Sampler, Mixes) {
  const int64_t n = kSamplesPerChunk * kChunksPerWindow;
  const Sampler sampler(n, 1);
  double distance = 0;
  for (int64_t i = 1; i < n; ++i) distance += static_cast<double>(std::abs(sampler.at(i) - sampler.at(i - 1)));
  // Standard deviation of the mean is below 0.24 n / sqrt(n), 0.2 % of n; 5 of them.
  EXPECT_NEAR(distance / static_cast<double>(n - 1) / static_cast<double>(n), 1.0 / 3.0, 0.01);
}

TEST(Sampler, SequentialOrderRepeats) {
  const Sampler sampler(10, 1, SampleOrder::kSequential);
  for (int64_t i = 0; i < 25; ++i) EXPECT_EQ(sampler.at(i), i % 10);
}

TEST(Sampler, RefusesNothing) {
  EXPECT_FALSE(error_of(ErrorKind::kInvalidArgument, [] { Sampler(0, 1); }).empty());
  EXPECT_FALSE(error_of(ErrorKind::kInvalidArgument, [] { Sampler(3, 1).at(-1); }).empty());
}

}  // namespace mpibert
