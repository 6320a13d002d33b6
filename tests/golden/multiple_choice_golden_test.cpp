// A multiple choice's rows into sequences, as preprocess_function of transformers' run_swag.py makes them (generate/multiple_choice.py).

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "mpibert/tasks/prepare.h"
#include "tests/support/files.h"

namespace mpibert::test {

namespace {

const std::filesystem::path kFixtures = std::filesystem::path(MPIBERT_SOURCE_DIR) / "tests" / "golden" / "fixtures";

// The row alone, prepared and read back.
Sample prepared(const nlohmann::json& row, const std::filesystem::path& folder) {
  Task task = make_task("multiple-choice");
  task.files.text_b = "beginning";
  task.files.choices = {"endings"};
  task.files.label.clear();
  task.pair = true;
  write_text(folder / "test.jsonl", row.dump() + "\n");
  const BertTokenizer tokenizer(Vocabulary::from_file(kFixtures / "tokenizer_vocab.txt"));
  NoExchange alone;
  prepare({.task = task,
           .inputs = {{"test", {folder / "test.jsonl"}}},
           .output = folder / "shards",
           .overwrite = true,
           .max_seq_length = row["max_seq_length"]},
          tokenizer, alone);
  return Dataset(folder / "shards", "test").read(std::vector<int64_t>{0})[0];
}

}  // namespace

TEST(MultipleChoiceFeatures, AsRunSwag) {
  const TemporaryFolder folder;
  std::ifstream lines(kFixtures / "multiple_choice_features.jsonl");
  int cases = 0;
  for (std::string line; std::getline(lines, line); ++cases) {
    const auto row = nlohmann::json::parse(line);
    std::vector<int32_t> ids, types, lengths;
    for (const auto& sequence : row["input_ids"]) {
      ids.insert(ids.end(), sequence.begin(), sequence.end());
      lengths.push_back(static_cast<int32_t>(sequence.size()));
    }
    for (const auto& sequence : row["token_type_ids"]) types.insert(types.end(), sequence.begin(), sequence.end());
    const Sample sample = prepared(row, folder.path());
    EXPECT_EQ(sample.input_ids, ids) << line;
    EXPECT_EQ(sample.token_type_ids, types) << line;
    EXPECT_EQ(sample.label(kChoiceLengths), lengths) << line;
  }
  EXPECT_EQ(cases, 24);
}

}  // namespace mpibert::test
