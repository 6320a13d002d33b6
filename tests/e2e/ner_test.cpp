// Named entities, from a file with a word a line to their F1.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/files.h"
#include "tests/support/runs.h"

namespace mpibert::test {

namespace {

using testing::HasSubstr;

const std::filesystem::path kData = sample() / "ner";

std::vector<std::string> finetune(const std::filesystem::path& data, const std::filesystem::path& run,
                                  const std::vector<std::string>& more = {}) {
  std::vector<std::string> words = {"finetune",
                                    "--task",
                                    "ner",
                                    "--data",
                                    data.string(),
                                    "--model",
                                    (sample() / "model" / "config.json").string(),
                                    "--output-dir",
                                    run.string(),
                                    "--global-batch-size",
                                    "16",
                                    "--learning-rate",
                                    "2e-3",
                                    "--max-seq-length",
                                    "64"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

}  // namespace

TEST(Ner, FromWordsWithTagsToAnF1OnAnyRanksAndInWindows) {
  const TemporaryFolder folder;
  const Finished trained = expect_code(0, finetune(kData, folder / "run", {"--num-epochs", "3"}), {.ranks = 2});
  EXPECT_GT(number_in(trained.out, "eval_f1"), 0.9) << "the sample is easy";
  const auto evaluate = [&](int ranks, const std::string& length) {
    return expect_code(
               0, {"evaluate", "--task", "ner", "--data", kData.string(), "--model", (folder / "run").string(), "--max-seq-length", length},
               {.ranks = ranks})
        .out;
  };
  const std::string whole = evaluate(1, "64"), windows = evaluate(3, "8");
  for (const char* name : {"f1", "precision", "recall", "accuracy"})
    EXPECT_EQ(number_in(whole, name), number_in(trained.out, std::string("eval_") + name));
  EXPECT_GT(number_in(windows, "count"), number_in(whole, "count")) << "sequences of 8 tokens are more";
  EXPECT_GT(number_in(windows, "f1"), 0.7) << "and each word counts once";
}

TEST(Ner, ShardsAreEqualForAnyRanks) {
  const TemporaryFolder folder;
  const auto prepare = [&](const std::string& name, int ranks) {
    expect_code(0,
                {"prepare", "--task", "ner", "--input", kData.string(), "--model", (sample() / "model").string(), "--output",
                 (folder / name).string(), "--max-seq-length", "16"},
                {.ranks = ranks});
  };
  prepare("one", 1);
  prepare("three", 3);
  for (const auto& entry : std::filesystem::directory_iterator(folder / "one"))
    EXPECT_EQ(read_text(entry.path()), read_text(folder / "three" / entry.path().filename())) << entry.path();
}

TEST(Ner, BadFilesAreNamedWithTheirLine) {
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& train, const std::string& dev, int code, const std::string& words,
                           const std::vector<std::string>& more = {}) {
    write_text(folder / "train.conll", train);
    write_text(folder / "dev.conll", dev);
    EXPECT_THAT(expect_code(code, finetune(folder.path(), folder / "run", more)).err, HasSubstr(words));
  };
  refused("a O\nb X B-Y\n", "a O\n", 65, "train.conll:2: 3 columns, expected 2 between spaces");
  refused("a O\nb B-Y\n", "a O\nc B-Z\n", 65, "dev.conll:2: label 'B-Z' is none of B-Y, O");
  refused("a\nb\n", "a O\n", 65, "words without tags");
  refused("a O\nb B-Y\n", "a O\n", 2, "leave --text-column", {"--text-column", "word"});
  for (const char* split : {"train", "dev"}) std::filesystem::remove(folder / (std::string(split) + ".conll"));
  EXPECT_THAT(expect_code(66, finetune(folder.path(), folder / "run")).err, HasSubstr("train.conll"));
}

}  // namespace mpibert::test
