// The whole path, as a user walks it, on the project's own sample.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/files.h"
#include "tests/support/runs.h"

namespace mpibert::test {

TEST(Pipeline, PrepareTrainFinetuneEvaluatePredict) {
  const TemporaryFolder folder;
  expect_code(0, prepare_sample(folder / "shards"), {.ranks = 2});
  expect_code(0, pretrain_sample(folder / "shards", folder / "pretrained", 60), {.ranks = 2});
  EXPECT_LT(last_metric(folder / "pretrained", "loss"), 0.8 * first_metric(folder / "pretrained", "loss"));

  const Finished trained = expect_code(
      0, finetune_sample(folder / "pretrained", folder / "tuned", {"--num-epochs", "1", "--learning-rate", "1e-3"}), {.ranks = 2});
  const Finished evaluated = expect_code(
      0, {"evaluate", "--task", "mrpc", "--data", (sample() / "mrpc").string(), "--model", (folder / "tuned").string()}, {.ranks = 2});
  EXPECT_EQ(number_in(trained.out, "eval_accuracy"), number_in(evaluated.out, "accuracy"));
  EXPECT_EQ(number_in(trained.out, "eval_f1"), number_in(evaluated.out, "f1"));
  EXPECT_EQ(std::count(evaluated.out.begin(), evaluated.out.end(), '\n'), 1)
      << "results are one JSON object on one line: " << evaluated.out;

  // Predictions of the dev pairs, scored by hand, give the accuracy that evaluate gave.
  std::ifstream dev(sample() / "mrpc" / "dev.tsv");
  std::string texts, line;
  std::vector<std::string> labels;
  std::getline(dev, line);
  while (std::getline(dev, line)) {
    const size_t first = line.find('\t'), second = line.find('\t', first + 1), third = line.find('\t', second + 1);
    labels.push_back(line.substr(0, first));
    texts += line.substr(third + 1) + "\n";
  }
  const Finished predicted = expect_code(0, {"predict", "--task", "mrpc", "--model", (folder / "tuned").string()}, {.input = texts});
  std::istringstream rows(predicted.out);
  double right = 0;
  for (const std::string& label : labels) {
    ASSERT_TRUE(std::getline(rows, line));
    right += line.find(label == "1" ? "\"label\":\"equivalent\"" : "\"label\":\"not_equivalent\"") != std::string::npos;
  }
  EXPECT_NEAR(right / static_cast<double>(labels.size()), number_in(evaluated.out, "accuracy"), 1e-12);
}

TEST(Pipeline, TheSameCommandAgainContinuesAFinishedRunAndDoesNothing) {
  const TemporaryFolder folder;
  expect_code(0, prepare_sample(folder / "shards"));
  expect_code(0, pretrain_sample(folder / "shards", folder / "run", 4));
  const std::string before = digest(folder / "run");
  const Finished again = expect_code(0, pretrain_sample(folder / "shards", folder / "run", 4));
  EXPECT_THAT(again.err, testing::HasSubstr("going on from"));
  EXPECT_EQ(digest(folder / "run"), before);
}

}  // namespace mpibert::test
