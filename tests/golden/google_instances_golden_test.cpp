// The samples of google-research/bert's create_pretraining_data.py, draw by draw (generate/google_instances.py).

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "mpibert/data/google_instances.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace mpibert::test {

namespace {

GoogleInstanceOptions options_of(const nlohmann::json& json) {
  return {.max_seq_length = json["max_seq_length"],
          .short_seq_prob = json["short_seq_prob"],
          .masking = {.masked_lm_prob = json["masked_lm_prob"],
                      .max_predictions_per_seq = json["max_predictions_per_seq"],
                      .do_whole_word_mask = json["do_whole_word_mask"]},
          .dupe_factor = json["dupe_factor"],
          .random_seed = json["random_seed"]};
}

std::vector<TokenizedDocument> documents_of(const nlohmann::json& json) {
  std::vector<TokenizedDocument> documents;
  for (const auto& sentences : json) {
    TokenizedDocument& document = documents.emplace_back();
    for (const auto& sentence : sentences) {
      document.ids.insert(document.ids.end(), sentence.begin(), sentence.end());
      document.offsets.push_back(std::ssize(document.ids));
    }
  }
  return documents;
}

}  // namespace

TEST(GoogleInstances, EqualTheScripts) {
  std::ifstream lines(std::filesystem::path(MPIBERT_SOURCE_DIR) / "tests" / "golden" / "fixtures" / "google_instances.jsonl");
  int cases = 0;
  for (std::string line; std::getline(lines, line); ++cases) {
    const auto json = nlohmann::json::parse(line);
    const std::vector<Sample> samples =
        make_google_instances(documents_of(json["documents"]), Vocabulary::from_tokens(json["vocabulary"]), options_of(json["options"]));
    const auto& expected = json["samples"];
    ASSERT_EQ(samples.size(), expected.size()) << json["options"];
    for (size_t i = 0; i < samples.size(); ++i) {
      EXPECT_EQ(samples[i].id, static_cast<int64_t>(i));
      EXPECT_EQ(nlohmann::json(samples[i].input_ids), expected[i][0]) << "case " << cases << ", sample " << i;
      EXPECT_EQ(nlohmann::json(samples[i].token_type_ids), expected[i][1]);
      EXPECT_EQ(nlohmann::json(samples[i].label("masked_lm_positions")), expected[i][2]);
      EXPECT_EQ(nlohmann::json(samples[i].label("masked_lm_ids")), expected[i][3]);
      EXPECT_EQ(nlohmann::json(samples[i].label("next_sentence_labels")), nlohmann::json{expected[i][4]});
    }
  }
  EXPECT_EQ(cases, 7);
}

// Files are read one behind the other, and their ends end no document.
TEST(GoogleInstances, ReadDocumentsAsTheScript) {
  const TemporaryFolder folder;
  write_text(folder / "1.txt", "a b\n\n \t\nb [MASK]\n");
  write_text(folder / "2.txt", "a\n\x01\n\n\nb\n\n");
  const BertTokenizer tokenizer(Vocabulary::from_tokens({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "[", "]", "mask"}));
  const std::vector<std::filesystem::path> files = {folder / "1.txt", folder / "2.txt"};
  const std::vector<TokenizedDocument> documents = read_google_documents(files, tokenizer);
  ASSERT_EQ(documents.size(), 3u);
  EXPECT_EQ(documents[0].ids, (std::vector<int32_t>{5, 6}));
  EXPECT_EQ(documents[1].ids, (std::vector<int32_t>{6, 7, 9, 8, 5}));
  EXPECT_EQ(documents[1].offsets, (std::vector<int64_t>{0, 4, 5}));
  EXPECT_EQ(documents[2].ids, (std::vector<int32_t>{6}));
}

TEST(GoogleInstances, RefuseNothing) {
  const Vocabulary vocabulary = Vocabulary::from_tokens({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a"});
  expect_error(ErrorKind::kInvalidArgument, {"no document"}, [&] { make_google_instances({}, vocabulary, {}); });
  expect_error(ErrorKind::kInvalidArgument, {"max_seq_length is 4"},
               [&] { make_google_instances(documents_of(nlohmann::json::parse("[[[5]]]")), vocabulary, {.max_seq_length = 4}); });
}

}  // namespace mpibert::test
