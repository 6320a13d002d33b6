// The cases of generate/tokenizer_cases.py: what tokenizers 0.22.2 makes of hard texts with our own small vocabulary.
#include <gtest/gtest.h>

#include <fstream>

#include "mpibert/base/error.h"
#include "tests/golden/tokenizer_json.h"

namespace mpibert {

namespace {

using Json = nlohmann::json;
const std::string kFixtures = MPIBERT_SOURCE_DIR "/tests/golden/fixtures/";

Truncation truncation_named(const std::string& name) {
  if (name == "only_first") return Truncation::kOnlyFirst;
  return name == "only_second" ? Truncation::kOnlySecond : Truncation::kLongestFirst;
}

Encoding encode(const BertTokenizer& tokenizer, const Json& c) {
  const std::string a = c["a"];
  if (c["max_length"].is_null()) return tokenizer.encode(a);
  std::optional<std::string> b;
  if (!c["b"].is_null()) b = c["b"];
  return tokenizer.encode(a, b, c["max_length"], truncation_named(c["truncation"]));
}

}  // namespace

TEST(TokenizerCases, AgreeWithHuggingFace) {
  std::ifstream in(kFixtures + "tokenizer_cases.jsonl");
  std::string line;
  ASSERT_TRUE(std::getline(in, line));
  const Json header = Json::parse(line);
  ASSERT_EQ(header["tokenizers"], "0.22.2");
  std::vector<BertTokenizer> tokenizers;
  for (const Json& options : header["options"])
    tokenizers.emplace_back(Vocabulary::from_file(kFixtures + "tokenizer_vocab.txt"), test::options_from(options));

  int64_t count = 0;
  for (; std::getline(in, line); ++count) {
    SCOPED_TRACE(line);
    const Json c = Json::parse(line);
    const BertTokenizer& tokenizer = tokenizers.at(c["options"]);
    if (c["expected"].contains("error")) {
      EXPECT_THROW(encode(tokenizer, c), Error);
      continue;
    }
    const Encoding encoding = encode(tokenizer, c);
    const Json found = test::to_json(encoding);
    for (const auto& [key, value] : c["expected"].items()) EXPECT_EQ(found[key], value) << key;
    if (!c["max_length"].is_null()) continue;
    for (int pass = 0; pass < 2; ++pass)  // computed, then remembered
      EXPECT_EQ(tokenizer.ids(c["a"].get<std::string>()), encoding.ids);
  }
  EXPECT_EQ(count, header["cases"]);
  EXPECT_GE(count, 500);
}

}  // namespace mpibert
