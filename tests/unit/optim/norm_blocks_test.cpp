#include "mpibert/optim/norm_blocks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "mpibert/base/random.h"
#include "tests/support/errors.h"

namespace mpibert {
namespace {

using test::expect_error;

// Parameters whose ends fall within blocks, on them, and beyond several.
const std::vector<Segment> kSegments{{0, 5000, true}, {5120, 5121, false}, {5248, 8192, true}, {8192, 20000, true}};
constexpr int64_t kPadded = 24576;

std::vector<float> numbers() {
  std::vector<float> numbers(kPadded);
  RandomStream random(1, RandomPurpose::kParameters, 9);
  for (const Segment& s : kSegments)
    for (int64_t i = s.begin; i < s.end; ++i)
      numbers[static_cast<size_t>(i)] = static_cast<float>(random.normal() * std::exp(4 * random.normal()));
  return numbers;
}

// What the owner of `pieces` gives.
std::vector<double> own_cells(const std::vector<Piece>& pieces, const std::vector<float>& flat) {
  const auto backend = make_backend({});
  std::vector<float> owned(static_cast<size_t>(owned_size(pieces)));
  for (const Piece& p : pieces) std::copy(flat.begin() + p.begin, flat.begin() + p.end, owned.begin() + p.local);
  const NormBlocks blocks(*backend, kSegments, pieces);
  std::vector<double> cells(static_cast<size_t>(blocks.count()), -1);
  blocks.squares(*backend, host_tensor(std::span(owned), {owned_size(pieces)}), host_tensor(std::span(cells), {blocks.count()}));
  return cells;
}

// What all owners give together.
std::vector<double> cells(const std::vector<std::vector<Piece>>& pieces_of_ranks, const std::vector<float>& flat) {
  std::vector<double> sum;
  for (const std::vector<Piece>& pieces : pieces_of_ranks) {
    const std::vector<double> own = own_cells(pieces, flat);
    sum.resize(own.size());
    std::ranges::transform(sum, own, sum.begin(), std::plus());
  }
  return sum;
}

double total(const std::vector<double>& cells) { return std::accumulate(cells.begin(), cells.end(), 0.0); }

TEST(NormBlocksTest, AreTheSameBitsForAnyRanksAndPieces) {
  const std::vector<float> flat = numbers();
  const std::vector<double> one = cells({{{0, kPadded, 0}}}, flat);
  EXPECT_EQ(one.size(), 2u + 1 + 1 + 3) << "[0, 4096) [4096, 5000); [5120, 5121); [5248, 8192); three blocks of the last";
  EXPECT_EQ(cells({{{0, 8192, 0}}, {{8192, kPadded, 0}}}, flat), one);
  EXPECT_EQ(cells({{{0, 4096, 0}, {12288, 16384, 4096}}, {{4096, 8192, 0}, {16384, 20480, 4096}}, {{8192, 12288, 4096}, {20480, 24576, 0}}},
                  flat),
            one);
}

TEST(NormBlocksTest, CellsOfAParameterAreItsNumbers) {
  const std::vector<float> flat = numbers();
  const auto backend = make_backend({});
  const std::vector<int64_t> first = NormBlocks(*backend, kSegments, std::vector<Piece>{{0, kPadded, 0}}).first_cells();
  EXPECT_THAT(first, testing::ElementsAre(0, 2, 3, 4, 7));
  const std::vector<double> all = cells({{{0, kPadded, 0}}}, flat);
  for (size_t s = 0; s < kSegments.size(); ++s) {
    double expected = 0;
    for (int64_t i = kSegments[s].begin; i < kSegments[s].end; ++i) expected += std::pow(double{flat[static_cast<size_t>(i)]}, 2);
    EXPECT_NEAR(std::accumulate(all.begin() + first[s], all.begin() + first[s + 1], 0.0), expected, 1e-12 * expected);
  }
}

TEST(NormBlocksTest, CellsOfOthersAreZero) {
  EXPECT_THAT(own_cells({{4096, 8192, 0}}, std::vector<float>(kPadded, 1.0f)), testing::ElementsAre(0, 904, 1, 2944, 0, 0, 0));
}

TEST(NormBlocksTest, WhatIsNotFiniteShows) {
  std::vector<float> flat = numbers();
  flat[5200] = std::numeric_limits<float>::quiet_NaN();  // between parameters: nobody's
  EXPECT_TRUE(std::isfinite(total(cells({{{0, kPadded, 0}}}, flat))));
  flat[5120] = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(std::isfinite(total(cells({{{0, kPadded, 0}}}, flat))));
  flat[5120] = std::numeric_limits<float>::max();
  EXPECT_TRUE(std::isfinite(total(cells({{{0, kPadded, 0}}}, flat)))) << "squares are taken in double";
}

TEST(NormBlocksTest, RefusesPiecesThatCutABlock) {
  const auto backend = make_backend({});
  const auto refused = [&](std::vector<Piece> pieces, const std::string& word) {
    expect_error(ErrorKind::kInvalidArgument, {word, "multiples of 4096"}, [&] { NormBlocks(*backend, kSegments, pieces); });
  };
  refused({{0, 5000, 0}}, "[0, 5000)");
  refused({{100, 8192, 0}}, "[100, 8192)");
  refused({{8192, 12288, 0}, {0, 4096, 4096}}, "[0, 4096)");
  refused({{4096, 0, 0}}, "[4096, 0)");
}

TEST(NormBlocksTest, FrozenParametersAreNoPartOfTheNorm) {
  const auto backend = make_backend({});
  std::vector<Segment> segments = kSegments;
  segments[2].rate = 0;
  segments[0].rate = 0.5f;
  std::vector<float> flat = numbers();
  for (int64_t i = segments[2].begin; i < segments[2].end; ++i) flat[static_cast<size_t>(i)] = std::numeric_limits<float>::quiet_NaN();
  const std::vector<Piece> pieces{{0, kPadded, 0}};
  const NormBlocks blocks(*backend, segments, pieces);
  std::vector<double> found(static_cast<size_t>(blocks.count()), -1), expected = cells({pieces}, numbers());
  blocks.squares(*backend, host_tensor(std::span(flat), {kPadded}), host_tensor(std::span(found), {blocks.count()}));
  expected[3] = 0;  // the one cell of the third parameter
  EXPECT_EQ(found, expected);
}

}  // namespace
}  // namespace mpibert
