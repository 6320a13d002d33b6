#include "mpibert/base/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

#include "mpibert/base/error.h"

namespace mpibert {

// Known answers of the Random123 distribution (kat_vectors, philox4x32 10).
TEST(Random, PhiloxGivesTheKnownAnswers) {
  EXPECT_EQ(philox4x32_10({0, 0, 0, 0}, {0, 0}), (PhiloxCounter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32_10({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (PhiloxCounter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (PhiloxCounter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Random, AStreamIsAFunctionOfSeedPurposeAndPlace) {
  RandomStream a(1, RandomPurpose::kSentencePairs, 7), same(1, RandomPurpose::kSentencePairs, 7);
  RandomStream other_place(1, RandomPurpose::kSentencePairs, 8), other_purpose(1, RandomPurpose::kStaticMasking, 7),
      other_seed(2, RandomPurpose::kSentencePairs, 7);
  const uint64_t first = a.bits64();
  EXPECT_EQ(first, same.bits64());
  EXPECT_NE(first, other_place.bits64());
  EXPECT_NE(first, other_purpose.bits64());
  EXPECT_NE(first, other_seed.bits64());
}

TEST(Random, BelowIsUniform) {
  RandomStream stream(3, RandomPurpose::kSentencePairs, 0);
  std::vector<int> counts(10);
  for (int i = 0; i < 100000; ++i) ++counts[stream.below(10)];
  for (const int count : counts) EXPECT_NEAR(count, 10000, 500);  // 5 standard deviations of a binomial
}

TEST(Random, NormalHasMeanZeroAndVarianceOne) {
  RandomStream stream(4, RandomPurpose::kParameters, 0);
  double sum = 0, squares = 0;
  const int n = 100000;
  for (int i = 0; i < n; ++i) {
    const double x = stream.normal();
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / n, 0, 5 / std::sqrt(n));
  EXPECT_NEAR(squares / n, 1, 5 * std::sqrt(2.0 / n));
}

TEST(Random, APermutationMeetsEveryElementOnce) {
  for (const uint64_t n : {1u, 2u, 3u, 7u, 64u, 65u, 1000u}) {
    const Permutation permutation(n, 11, RandomPurpose::kShuffleSamples, 5);
    std::set<uint64_t> images;
    for (uint64_t i = 0; i < n; ++i) images.insert(permutation.at(i));
    EXPECT_EQ(images.size(), n);
    EXPECT_LT(*images.rbegin(), n);
  }
  EXPECT_THROW(Permutation(5, 0, RandomPurpose::kShuffleSamples, 0).at(5), Error);
}

TEST(Random, PermutationsOfDifferentPlacesDiffer) {
  const Permutation a(1000, 11, RandomPurpose::kShuffleSamples, 0), b(1000, 11, RandomPurpose::kShuffleSamples, 1);
  int same = 0;
  for (uint64_t i = 0; i < 1000; ++i) same += a.at(i) == b.at(i);
  EXPECT_LT(same, 15);
}

}  // namespace mpibert
