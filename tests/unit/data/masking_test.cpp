#include "mpibert/data/masking.h"

#include <algorithm>
#include <map>
#include <set>

#include "tests/unit/data/data_support.h"

namespace mpibert {

using namespace test;

namespace {

constexpr int32_t kCls = 2, kSep = 3, kMask = 4, kFirstWord = 10, kPiece = 500;  // tokens from kPiece on begin with ##

Vocabulary vocabulary() {
  std::vector<std::string> tokens = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
  while (tokens.size() < 1000) tokens.push_back((tokens.size() >= kPiece ? "##t" : "t") + std::to_string(tokens.size()));
  return Vocabulary::from_tokens(tokens);
}

// [CLS] words [SEP] words [SEP]
Sample plain_sample(int64_t length, int64_t id = 0) {
  Sample sample;
  sample.id = id;
  for (int64_t i = 0; i < length; ++i)
    sample.input_ids.push_back(i == 0 ? kCls : i == length / 2 || i == length - 1 ? kSep : static_cast<int32_t>(kFirstWord + i % 300));
  sample.token_type_ids.assign(static_cast<size_t>(length), 0);
  sample.labels.emplace_back("next_sentence_labels", std::vector<int32_t>{1});
  return sample;
}

size_t count_of(const Masker& masker, int64_t length) {
  Sample sample = plain_sample(length);
  masker.mask_dynamically(sample, 1, 0);
  return sample.label("masked_lm_ids").size();
}

}  // namespace

TEST(Masker, CountsAsTheReference) {
  const Masker masker(vocabulary(), {.max_predictions_per_seq = 20});
  // round(0.15 * length), half to even.
  for (const auto& [length, count] : std::map<int64_t, size_t>{{5, 1}, {10, 2}, {30, 4}, {50, 8}, {70, 10}, {90, 14}, {128, 19}, {512, 20}})
    EXPECT_EQ(count_of(masker, length), count) << length;
  EXPECT_EQ(count_of(Masker(vocabulary(), {.max_predictions_per_seq = 80}), 512), 77u);
}

TEST(Masker, RestoringTheLabelsGivesTheText) {
  const Masker masker(vocabulary(), {});
  const Sample original = plain_sample(101, 7);
  Sample sample = original;
  masker.mask_dynamically(sample, 3, 2);
  ASSERT_EQ(sample.labels[0].first, "masked_lm_positions");
  ASSERT_EQ(sample.labels[1].first, "masked_lm_ids");
  ASSERT_EQ(sample.labels[2], original.labels[0]);
  const std::vector<int32_t>&positions = sample.label("masked_lm_positions"), &ids = sample.label("masked_lm_ids");
  EXPECT_TRUE(std::is_sorted(positions.begin(), positions.end()));
  EXPECT_EQ(std::set<int32_t>(positions.begin(), positions.end()).size(), positions.size());
  EXPECT_NE(sample.input_ids, original.input_ids);
  for (size_t i = 0; i < positions.size(); ++i) {
    EXPECT_TRUE(ids[i] != kCls && ids[i] != kSep);
    sample.input_ids[static_cast<size_t>(positions[i])] = ids[i];
  }
  EXPECT_EQ(sample.input_ids, original.input_ids);
}

TEST(Masker, IsAFunctionOfSeedEpochAndSample) {
  const Masker masker(vocabulary(), {});
  const auto masked = [&](int64_t id, uint64_t seed, int64_t epoch) {
    Sample sample = plain_sample(100, id);
    masker.mask_dynamically(sample, seed, epoch);
    return sample.label("masked_lm_positions");
  };
  EXPECT_EQ(masked(1, 2, 3), masked(1, 2, 3));
  EXPECT_NE(masked(1, 2, 3), masked(2, 2, 3));
  EXPECT_NE(masked(1, 2, 3), masked(1, 3, 3));
  EXPECT_NE(masked(1, 2, 3), masked(1, 2, 4));
}

// 20,000 masked tokens: each share within 5 standard deviations.
TEST(Masker, DrawsEightyTenTen) {
  const Masker masker(vocabulary(), {.max_predictions_per_seq = 20});
  double masked = 0, kept = 0, replaced = 0, total = 0, first_half = 0;
  std::set<int32_t> replacements;
  for (int64_t id = 0; id < 1000; ++id) {
    Sample sample = plain_sample(512, id);
    masker.mask_dynamically(sample, 1, 0);
    const std::vector<int32_t>&positions = sample.label("masked_lm_positions"), &ids = sample.label("masked_lm_ids");
    for (size_t i = 0; i < positions.size(); ++i) {
      const int32_t now = sample.input_ids[static_cast<size_t>(positions[i])];
      ++total;
      first_half += positions[i] < 256 ? 1 : 0;
      if (now == kMask) ++masked;
      else if (now == ids[i]) ++kept;
      else ++replaced, replacements.insert(now);
    }
  }
  EXPECT_EQ(total, 20000);
  EXPECT_NEAR(masked / total, 0.8, 5 * 0.0028);
  EXPECT_NEAR(kept / total, 0.1, 5 * 0.0021);
  EXPECT_NEAR(replaced / total, 0.1, 5 * 0.0021);
  EXPECT_NEAR(first_half / total, 0.5, 5 * 0.0035);
  EXPECT_GT(replacements.size(), 800u);  // of 1000 tokens, 2000 draws leave some 135 out
  EXPECT_GT(*replacements.rbegin(), kPiece);
}

TEST(Masker, MasksWholeWordsTogether) {
  const Masker masker(vocabulary(), {.max_predictions_per_seq = 20, .do_whole_word_mask = true});
  int64_t long_words = 0;
  for (int64_t id = 0; id < 200; ++id) {
    Sample sample = plain_sample(120, id);
    for (size_t i = 2; i < 119; ++i)
      if (i % 3 != 0 && sample.input_ids[i] != kSep) sample.input_ids[i] = kPiece + static_cast<int32_t>(i);
    const std::vector<int32_t> original = sample.input_ids;
    masker.mask_dynamically(sample, 1, 0);
    const std::vector<int32_t>& positions = sample.label("masked_lm_positions");
    EXPECT_LE(positions.size(), 18u);
    const std::set<int32_t> chosen(positions.begin(), positions.end());
    for (const int32_t p : positions) {  // neighbours of one word are chosen with it
      const int32_t before = original[static_cast<size_t>(p) - 1], here = original[static_cast<size_t>(p)],
                    after = original[static_cast<size_t>(p) + 1];
      EXPECT_TRUE(here < kPiece || before < kFirstWord || chosen.contains(p - 1)) << p;
      EXPECT_TRUE(after < kPiece || chosen.contains(p + 1)) << p;
      long_words += original[static_cast<size_t>(p)] >= kPiece ? 1 : 0;
    }
  }
  EXPECT_GT(long_words, 1000);
}

TEST(Masker, RefusesWhatCannotBe) {
  const auto refused = [](MaskingOptions options) { return error_of(ErrorKind::kInvalidArgument, [&] { Masker(vocabulary(), options); }); };
  expect_contains(refused({.masked_lm_prob = 0}), {"masked_lm_prob is 0"});
  expect_contains(refused({.max_predictions_per_seq = 0}), {"max_predictions_per_seq is 0"});
  expect_contains(error_of(ErrorKind::kInvalidArgument,
                           [] {
                             Masker(Vocabulary::from_tokens({"[UNK]", "[CLS]", "[SEP]"}), {});
                           }),
                  {"[MASK]"});
  const Masker masker(vocabulary(), {});
  Sample sample = plain_sample(20);
  masker.mask_dynamically(sample, 1, 0);
  expect_contains(error_of(ErrorKind::kInvalidArgument, [&] { masker.mask_dynamically(sample, 1, 0); }), {"masked already"});
}

}  // namespace mpibert
