// Vocabularies beside those of the tokenizers crate, token by token in the order of ids.

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "mpibert/text/vocabulary_trainer.h"
#include "mpibert/text/word_counter.h"
#include "tests/golden/tokenizer_json.h"
#include "tests/support/files.h"

namespace mpibert::test {

namespace {

VocabularyTrainerOptions trainer_options(const nlohmann::json& json) {
  VocabularyTrainerOptions options;
  options.vocab_size = json.value("vocab_size", options.vocab_size);
  options.min_frequency = json.value("min_frequency", options.min_frequency);
  options.limit_alphabet = json.value("limit_alphabet", options.limit_alphabet);
  options.initial_alphabet = json.value("initial_alphabet", options.initial_alphabet);
  options.special_tokens = json.value("special_tokens", options.special_tokens);
  options.wordpieces_prefix = json.value("wordpieces_prefix", options.wordpieces_prefix);
  return options;
}

std::vector<std::string> trained(const nlohmann::json& line) {
  WordCounter counter(options_from(line.at("tokenizer")));
  for (const std::string text : line.at("texts")) counter.add(text);
  WordCounts words;
  counter.flush([&](std::string_view word, int64_t count) { words.add(word, count); });
  return train_vocabulary(words, trainer_options(line.at("options"))).tokens();
}

}  // namespace

TEST(VocabularyGolden, EqualsTheCratesTokenByToken) {
  std::ifstream file(source_folder() / "tests" / "golden" / "fixtures" / "vocabulary_training.jsonl");
  std::string text;
  ASSERT_TRUE(std::getline(file, text)) << "the fixture is not there";
  int64_t cases = 0, joined = 0;
  for (; std::getline(file, text); ++cases) {
    const nlohmann::json line = nlohmann::json::parse(text);
    const std::vector<std::string> expected = line.at("expected");
    ASSERT_EQ(trained(line), expected) << "case " << cases << ": " << line.at("options");
    for (const std::string& token : expected) joined += token.size() > 4 ? 1 : 0;
  }
  EXPECT_EQ(cases, 29);
  EXPECT_GT(joined, 1000);
}

}  // namespace mpibert::test
