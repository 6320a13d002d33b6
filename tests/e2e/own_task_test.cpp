// A task of the user's own, from a file of rows to its scores, without a line of code.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/files.h"
#include "tests/support/runs.h"

namespace mpibert::test {

namespace {

using testing::AllOf;
using testing::HasSubstr;

// The sample's sentences on films as a CSV with other names: id,review,verdict; every text in quotes, with a comma and quotes in it.
std::filesystem::path write_reviews(const std::filesystem::path& folder, const std::string& split) {
  std::ifstream rows(sample() / "sst2" / (split + ".tsv"));
  std::ofstream csv(folder / (split + ".csv"));
  csv << "id,review,verdict\r\n";
  std::string line;
  std::getline(rows, line);
  for (int id = 1; std::getline(rows, line); ++id)
    csv << id << ",\"" << line.substr(0, line.find('\t')) << " , \"\"yes\"\"\"," << (line.ends_with('1') ? "good" : "bad") << "\r\n";
  return folder / (split + ".csv");
}

// The sample's pairs as JSON lines with a number to learn, 0 or 2.5.
void write_pairs(const std::filesystem::path& folder, const std::string& split) {
  std::ifstream rows(sample() / "mrpc" / (split + ".tsv"));
  std::ofstream json(folder / (split + ".jsonl"));
  std::string line;
  std::getline(rows, line);
  while (std::getline(rows, line)) {
    const size_t last = line.rfind('\t'), before = line.rfind('\t', last - 1);
    json << R"({"one": ")" << line.substr(before + 1, last - before - 1) << R"(", "two": ")" << line.substr(last + 1) << R"(", "value": )"
         << (line[0] == '1' ? 2.5 : 0) << "}\n";
  }
}

std::vector<std::string> finetune(const std::string& task, const std::filesystem::path& data, const std::filesystem::path& run,
                                  const std::vector<std::string>& more) {
  std::vector<std::string> words = {"finetune",
                                    "--task",
                                    task,
                                    "--data",
                                    data.string(),
                                    "--model",
                                    (sample() / "model" / "config.json").string(),
                                    "--output-dir",
                                    run.string(),
                                    "--global-batch-size",
                                    "16",
                                    "--learning-rate",
                                    "1e-3",
                                    "--max-seq-length",
                                    "64",
                                    "--num-epochs",
                                    "1"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

int count_lines(const std::string& text, const std::string& with = "") {
  std::istringstream lines(text);
  int count = 0;
  for (std::string line; std::getline(lines, line);) count += line.find(with) != std::string::npos;
  return count;
}

}  // namespace

TEST(OwnTask, FromACsvToAnAccuracyInOneCommand) {
  const TemporaryFolder folder;
  const std::filesystem::path train = write_reviews(folder.path(), "train"), dev = write_reviews(folder.path(), "dev");
  const Finished trained = expect_code(0,
                                       finetune("classification", train, folder / "run",
                                                {"--dev-data", dev.string(), "--text-column", "review", "--label-column", "verdict"}),
                                       {.ranks = 2});
  EXPECT_GT(number_in(trained.out, "eval_accuracy"), 0.9) << "the sample is easy";

  // evaluate and predict know the labels from the model alone.
  const Finished evaluated =
      expect_code(0,
                  {"evaluate", "--task", "classification", "--data", dev.string(), "--model", (folder / "run").string(), "--text-column",
                   "review", "--label-column", "verdict", "--max-seq-length", "64"},
                  {.ranks = 2});
  EXPECT_EQ(number_in(evaluated.out, "accuracy"), number_in(trained.out, "eval_accuracy"));
  EXPECT_EQ(number_in(evaluated.out, "matthews_correlation"), number_in(trained.out, "eval_matthews_correlation"));
  const Finished predicted = expect_code(
      0, {"predict", "--task", "classification", "--data", dev.string(), "--model", (folder / "run").string(), "--text-column", "review"});
  std::istringstream predictions(predicted.out);
  std::ifstream rows(dev);
  std::string row, prediction;
  std::getline(rows, row);
  double right = 0, all = 0;
  for (; std::getline(rows, row) && std::getline(predictions, prediction); ++all)
    right += (prediction.find("\"label\":\"good\"") != std::string::npos) == (row.find(",good") != std::string::npos) ? 1 : 0;
  EXPECT_NEAR(right / all, number_in(evaluated.out, "accuracy"), 1e-12);

  // The same model under GLUE's name writes what its server takes.
  const std::filesystem::path submission = folder / "SST-2.tsv";
  expect_code(0, {"predict", "--task", "sst2", "--data", (sample() / "sst2").string(), "--model", (folder / "run").string(), "--submission",
                  submission.string()});
  const std::string written = read_text(submission), test = read_text(sample() / "sst2" / "test.tsv");
  EXPECT_TRUE(written.starts_with("index\tprediction\n0\t"));
  EXPECT_EQ(count_lines(written), count_lines(test));
  EXPECT_EQ(count_lines(written, "\t0") + count_lines(written, "\t1"), count_lines(test) - 1);

  // A label that the model has never seen.
  write_text(folder / "new.csv", "review,verdict\nfine,good\nodd,strange\n");
  const Finished unknown = expect_code(65, {"evaluate", "--task", "classification", "--data", (folder / "new.csv").string(), "--model",
                                            (folder / "run").string(), "--text-column", "review", "--label-column", "verdict"});
  EXPECT_THAT(unknown.err, HasSubstr("new.csv:3: label 'strange' is none of 'bad', 'good'"));
  const Finished column = expect_code(65, {"evaluate", "--task", "classification", "--data", dev.string(), "--model",
                                           (folder / "run").string(), "--text-column", "reviews"});
  EXPECT_THAT(column.err, HasSubstr("dev.csv:1: the header has no column 'reviews' (did you mean 'review'?)"));
}

TEST(OwnTask, LearnsNumbersOfPairs) {
  const TemporaryFolder folder;
  write_pairs(folder.path(), "train");
  write_pairs(folder.path(), "dev");
  const std::vector<std::string> columns = {"--text-column", "one", "--second-text-column", "two", "--label-column", "value"};
  const Finished trained = expect_code(0, finetune("regression", folder.path(), folder / "run", columns), {.ranks = 2});
  EXPECT_GT(number_in(trained.out, "eval_pearson"), 0.1);
  EXPECT_NEAR(number_in(trained.out, "eval_combined_score"),
              (number_in(trained.out, "eval_pearson") + number_in(trained.out, "eval_spearmanr")) / 2, 1e-12);
  std::vector<std::string> evaluate = {
      "evaluate", "--task", "regression", "--data", folder.path().string(), "--model", (folder / "run").string(), "--max-seq-length", "64"};
  evaluate.insert(evaluate.end(), columns.begin(), columns.end());
  const Finished evaluated = expect_code(0, evaluate);
  EXPECT_NEAR(number_in(evaluated.out, "pearson"), number_in(trained.out, "eval_pearson"), 1e-5)
      << "batches of other sizes differ in the last bits of fp32 alone";
  EXPECT_NEAR(number_in(evaluated.out, "loss"), number_in(trained.out, "eval_loss"), 1e-5);
  const Finished predicted = expect_code(0, {"predict", "--task", "regression", "--data", folder.path().string(), "--split", "dev",
                                             "--model", (folder / "run").string(), "--text-column", "one", "--second-text-column", "two"});
  EXPECT_EQ(count_lines(predicted.out, "{\"score\":"), count_lines(read_text(folder / "dev.jsonl")));
}

TEST(OwnTask, FlagsThatDoNotGoTogetherAreRefused) {
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& task, const std::vector<std::string>& more) {
    return expect_code(2, finetune(task, folder.path(), folder / "run", more)).err;
  };
  EXPECT_THAT(refused("sst2", {"--text-column", "review"}), AllOf(HasSubstr("--text-column"), HasSubstr("task sst2 has its own")));
  EXPECT_THAT(refused("classification", {"--second-text-column", "b"}), HasSubstr("pair-classification"));
  EXPECT_THAT(refused("regression", {"--labels", "a,b"}), HasSubstr("learns numbers"));
  EXPECT_THAT(refused("classification", {"--labels", "a,b,a"}), HasSubstr("found 2 of 3"));
}

}  // namespace mpibert::test
