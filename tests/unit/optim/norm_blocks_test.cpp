#include "mpibert/optim/norm_blocks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
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
    for (int64_t i = s.begin; i < s.end; ++i) numbers[static_cast<size_t>(i)] = static_cast<float>(random.normal() * std::exp(4 * random.normal()));
  return numbers;
}

// The cells that the owners of `pieces_of_ranks` give together.
std::vector<double> cells(const std::vector<std::vector<Piece>>& pieces_of_ranks, const std::vector<float>& flat) {
  const auto backend = make_backend({});
  std::vector<double> sum;
  for (const std::vector<Piece>& pieces : pieces_of_ranks) {
    std::vector<float> owned(static_cast<size_t>(owned_size(pieces)));
    for (const Piece& p : pieces) std::copy(flat.begin() + p.begin, flat.begin() + p.end, owned.begin() + p.local);
    const NormBlocks blocks(*backend, kSegments, pieces);
    sum.resize(static_cast<size_t>(blocks.count()));
    blocks.own_cells(*backend, host_tensor(std::span(owned), {owned_size(pieces)}), sum);
  }
  return sum;
}

TEST(NormBlocksTest, AreTheSameBitsForAnyRanksAndPieces) {
  const std::vector<float> flat = numbers();
  const std::vector<double> one = cells({{{0, kPadded, 0}}}, flat);
  EXPECT_EQ(one.size(), 2u + 1 + 1 + 3) << "[0, 4096) [4096, 5000); [5120, 5121); [5248, 8192); three blocks of the last";
  EXPECT_EQ(cells({{{0, 8192, 0}}, {{8192, kPadded, 0}}}, flat), one);
  EXPECT_EQ(cells({{{0, 4096, 0}, {12288, 16384, 4096}}, {{4096, 8192, 0}, {16384, 20480, 4096}}, {{8192, 12288, 4096}, {20480, 24576, 0}}}, flat), one);
}

TEST(NormBlocksTest, TotalsAreThoseOfTheNumbers) {
  const std::vector<float> flat = numbers();
  const auto backend = make_backend({});
  const NormBlocks blocks(*backend, kSegments, std::vector<Piece>{{0, kPadded, 0}});
  std::vector<float> copy = flat;
  const std::vector<double> all = blocks.cells(*backend, host_tensor(std::span(copy), {kPadded}), {});
  const std::vector<double> squares = blocks.per_parameter(all);
  double total = 0;
  ASSERT_EQ(squares.size(), kSegments.size());
  for (size_t s = 0; s < kSegments.size(); ++s) {
    double expected = 0;
    for (int64_t i = kSegments[s].begin; i < kSegments[s].end; ++i) expected += std::pow(double{flat[static_cast<size_t>(i)]}, 2);
    EXPECT_NEAR(squares[s], expected, 1e-12 * expected);
    total += expected;
  }
  EXPECT_NEAR(NormBlocks::total(all), total, 1e-12 * total);
}

TEST(NormBlocksTest, TheExchangeSeesEveryCell) {
  const auto backend = make_backend({});
  const NormBlocks blocks(*backend, kSegments, std::vector<Piece>{{4096, 8192, 0}});
  std::vector<float> owned(4096, 1.0f);
  const std::vector<double> all = blocks.cells(*backend, host_tensor(std::span(owned), {4096}), [](std::span<double> mine) {
    EXPECT_THAT(std::vector<double>(mine.begin(), mine.end()), testing::ElementsAre(0, 904, 1, 2944, 0, 0, 0));
    for (double& x : mine) x += 1;
  });
  EXPECT_THAT(all, testing::ElementsAre(1, 905, 2, 2945, 1, 1, 1));
}

TEST(NormBlocksTest, WhatIsNotFiniteShows) {
  std::vector<float> flat = numbers();
  flat[5200] = std::numeric_limits<float>::quiet_NaN();  // between parameters: nobody's
  EXPECT_TRUE(std::isfinite(NormBlocks::total(cells({{{0, kPadded, 0}}}, flat))));
  flat[5120] = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(std::isfinite(NormBlocks::total(cells({{{0, kPadded, 0}}}, flat))));
  flat[5120] = std::numeric_limits<float>::max();
  EXPECT_TRUE(std::isfinite(NormBlocks::total(cells({{{0, kPadded, 0}}}, flat)))) << "squares are taken in double";
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

TEST(ClipScaleTest, ShortensToTheLargestNormAndNeverLengthens) {
  EXPECT_EQ(clip_scale(0.5, 1), 1);
  EXPECT_EQ(clip_scale(1, 1), 1);
  EXPECT_EQ(clip_scale(4, 1), 0.25);
  EXPECT_EQ(clip_scale(4, 0), 1);
  EXPECT_EQ(clip_scale(0, 1), 1);
}

}  // namespace
}  // namespace mpibert
