// Words into tokens as the tokenizers crate takes them; and the windows of sentences that are too long.

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "mpibert/tasks/token_features.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace mpibert::test {

namespace {

const std::filesystem::path kFixtures = std::filesystem::path(MPIBERT_SOURCE_DIR) / "tests" / "golden" / "fixtures";

class TokenFeatures : public testing::Test {
 protected:
  BertTokenizer tokenizer{Vocabulary::from_file(kFixtures / "tokenizer_vocab.txt")};
};

}  // namespace

TEST_F(TokenFeatures, AsTokenizers) {
  std::ifstream lines(kFixtures / "token_features.jsonl");
  int cases = 0;
  for (std::string line; std::getline(lines, line); ++cases) {
    const auto fixture = nlohmann::json::parse(line);
    const auto features = token_features(tokenizer, fixture["words"].get<std::vector<std::string>>(), 512);
    ASSERT_EQ(features.size(), 1u);
    EXPECT_EQ(features[0].input_ids, fixture["input_ids"].get<std::vector<int32_t>>()) << line;
    EXPECT_EQ(features[0].words, fixture["first_words"].get<std::vector<int32_t>>()) << line;
  }
  EXPECT_EQ(cases, 24);
}

TEST_F(TokenFeatures, AWordOfNothingIsUnknownAndKeepsItsPlace) {
  const std::vector<std::string> words = {"a", "\xe2\x80\x8b", "a"};
  const auto features = token_features(tokenizer, words, 16);
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  EXPECT_EQ(features[0].input_ids[2], vocabulary.unk_id());
  EXPECT_EQ(features[0].words, (std::vector<int32_t>{-1, 0, 1, 2, -1}));
}

// Every word is decided in one window, in order, and windows overlap.
TEST_F(TokenFeatures, LongSentencesAreCutIntoWindows) {
  const std::vector<std::string> words(103, "a");
  const auto features = token_features(tokenizer, words, 18);
  EXPECT_EQ(features.size(), 9u) << "16 words, then 12 new ones each";
  int32_t next = 0;
  for (const TokenFeature& feature : features) {
    EXPECT_LE(feature.input_ids.size(), 18u);
    EXPECT_EQ(feature.words.size(), feature.input_ids.size());
    for (const int32_t word : feature.words)
      if (word >= 0) {
        EXPECT_EQ(word, next++);
      }
  }
  EXPECT_EQ(next, 103);
  // Words 12 to 15 lie in the first two windows of 16: 14 and 15 have more on their right in the second, 13 in the first.
  EXPECT_EQ(features[0].words[14], 13);
  EXPECT_EQ(features[0].words[15], -1);
  EXPECT_EQ(features[1].words[2 + 1], 14);
}

TEST_F(TokenFeatures, AWordThatIsTooLongIsCutAndNoRoomIsRefused) {
  const std::vector<std::string> words = {"a", "a-a-a-a-a-a-a-a", "a"};
  for (const TokenFeature& feature : token_features(tokenizer, words, 8)) EXPECT_LE(feature.input_ids.size(), 8u);
  expect_error(ErrorKind::kInvalidArgument, {"max_seq_length 2"}, [&] { token_features(tokenizer, words, 2); });
}

}  // namespace mpibert::test
