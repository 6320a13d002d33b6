// A GLUE task with two development and two test sets, and a model whose labels are in another order than the task's.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/files.h"
#include "tests/support/runs.h"

namespace mpibert::test {

namespace {

// `count` rows as MNLI has them, entailment and contradiction in turn. Without labels for a test set.
void write_mnli(const std::filesystem::path& path, int count, bool labelled, const std::string& word) {
  std::string text = std::string("index\tsentence1\tsentence2") + (labelled ? "\tlabel1\tgold_label" : "") + "\n";
  for (int i = 0; i < count; ++i) {
    text += std::to_string(i) + "\tthe " + word + " sliced the bread .\tthe bread was " + (i % 2 == 0 ? "cut" : "not cut") + " .";
    text += labelled ? std::string("\tneutral\t") + (i % 2 == 0 ? "entailment" : "contradiction") + "\n" : "\n";
  }
  write_text(path, text);
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size())) text.replace(at, what.size(), by);
  return text;
}

}  // namespace

TEST(GlueRun, MnliHasTwoDevelopmentAndTwoTestSetsAndTakesTheModelsOrderOfLabels) {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder / "MNLI");
  write_mnli(folder / "MNLI" / "train.tsv", 60, true, "baker");
  write_mnli(folder / "MNLI" / "dev_matched.tsv", 12, true, "baker");
  write_mnli(folder / "MNLI" / "dev_mismatched.tsv", 9, true, "sailor");
  write_mnli(folder / "MNLI" / "test_matched.tsv", 5, false, "baker");
  write_mnli(folder / "MNLI" / "test_mismatched.tsv", 7, false, "sailor");
  const std::string data = (folder / "MNLI").string();
  const Finished trained = expect_code(
      0,
      {"finetune", "--task", "mnli", "--data", data, "--model", (sample() / "model" / "config.json").string(), "--output-dir",
       (folder / "run").string(), "--max-steps", "8", "--global-batch-size", "16", "--learning-rate", "1e-3", "--max-seq-length", "64"},
      {.ranks = 2});
  const auto accuracy = [&](const std::string& split, const std::filesystem::path& model) {
    const Finished evaluated = expect_code(0, {"evaluate", "--task", "mnli", "--data", data, "--split", split, "--model", model.string()});
    EXPECT_EQ(number_in(evaluated.out, "count"), split == "dev" ? 12 : 9);
    return number_in(evaluated.out, "accuracy");
  };
  EXPECT_EQ(accuracy("dev", folder / "run"), number_in(trained.out, "eval_accuracy"));
  EXPECT_EQ(accuracy("dev_mismatched", folder / "run"), number_in(trained.out, "eval_accuracy_mm"));

  const auto submission = [&](const std::filesystem::path& model) {
    const std::filesystem::path file = folder / "MNLI-mm.tsv";
    expect_code(0, {"predict", "--task", "mnli", "--data", data, "--split", "test_mismatched", "--model", model.string(), "--submission",
                    file.string()});
    return read_text(file);
  };
  const std::string written = submission(folder / "run");
  EXPECT_THAT(written,
              testing::MatchesRegex("index\tprediction\n0\t[a-z]+\n1\t[a-z]+\n2\t[a-z]+\n3\t[a-z]+\n4\t[a-z]+\n5\t[a-z]+\n6\t[a-z]+\n"));

  // The same weights under other names: what was label 0 is now called by the name of label 2, and the other way about.
  const std::filesystem::path model = folder / "model";
  std::filesystem::create_directories(model);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder / "run" / "checkpoints"))
    for (const char* name : {"model.safetensors", "config.json", "vocab.txt", "tokenizer_config.json"})
      if (entry.path().filename() == name)
        std::filesystem::copy_file(entry.path(), model / name, std::filesystem::copy_options::overwrite_existing);
  const auto renamed = [](const std::string& text) {
    return replaced(replaced(replaced(text, "entailment", "?"), "contradiction", "entailment"), "?", "contradiction");
  };
  write_text(model / "config.json", renamed(read_text(model / "config.json")));
  ASSERT_NE(renamed(written), written);
  EXPECT_EQ(submission(model), renamed(written));
  write_text(folder / "MNLI" / "dev_matched.tsv", renamed(read_text(folder / "MNLI" / "dev_matched.tsv")));
  EXPECT_EQ(accuracy("dev", model), number_in(trained.out, "eval_accuracy"));
}

// F1 counts label 1: with the labels the other way about it would be of another class, in silence.
TEST(GlueRun, AModelWithReversedLabelsIsRefusedWhereF1IsTheScore) {
  const TemporaryFolder folder;
  std::filesystem::copy(sample() / "model", folder / "model");
  const auto message = [&](const std::string& task, const std::string& names) {
    const std::string config = read_text(sample() / "model" / "config.json");
    write_text(folder / "model" / "config.json", config.substr(0, config.rfind('}')) + ", \"id2label\": {" + names + "}}");
    return expect_code(78, {"evaluate", "--task", task, "--data", (sample() / "mrpc").string(), "--model", (folder / "model").string()})
        .err;
  };
  EXPECT_THAT(message("mrpc", R"("0": "equivalent", "1": "not_equivalent")"),
              testing::HasSubstr("whose F1 counts label 1, 'equivalent'; found 'not_equivalent' there"));
  EXPECT_THAT(message("qqp", R"("0": "duplicate", "1": "not_duplicate")"),
              testing::HasSubstr("whose F1 counts label 1, 'duplicate'; found 'not_duplicate' there"));
}

}  // namespace mpibert::test
