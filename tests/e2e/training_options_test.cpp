// Options of a training that come from the Trainer of Hugging Face, in whole runs.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "tests/support/files.h"
#include "tests/support/runs.h"

namespace mpibert::test {

namespace {

using testing::HasSubstr;
using testing::Not;

std::filesystem::path new_model() { return sample() / "model" / "config.json"; }

// Lines of `checkpoint diff`, without the optimizer's tensors.
std::string weights_that_differ(const std::filesystem::path& first, const std::filesystem::path& second) {
  std::istringstream lines(expect_code(1, {"checkpoint", "diff", first.string(), second.string()}).out);
  std::string weights;
  for (std::string line; std::getline(lines, line);)
    if (!line.starts_with("exp_avg")) weights += line + "\n";
  return weights;
}

}  // namespace

// Nothing is learned at a rate of 0, so that no evaluation is better than the first.
TEST(TrainingOptions, EarlyStoppingEndsARunAndTheSameCommandDoesNotGoOn) {
  const TemporaryFolder folder;
  const std::vector<std::string> options = {"--learning-rate",           "0", "--num-epochs",      "4",   "--evaluate-steps", "2",
                                            "--early-stopping-patience", "2", "--metric-for-best", "loss"};
  const Finished stopped = expect_code(0, finetune_sample(new_model(), folder / "run", options), {.ranks = 2});
  EXPECT_THAT(stopped.out, HasSubstr("\"reason\":\"stopped early: no better loss in 2 evaluations\""));
  EXPECT_EQ(number_in(stopped.out, "step"), 6);
  const std::string weights = digest(folder / "run");
  const Finished again = expect_code(0, finetune_sample(new_model(), folder / "run", options));
  EXPECT_THAT(again.out, HasSubstr("stopped early"));
  EXPECT_EQ(digest(folder / "run"), weights);
}

TEST(TrainingOptions, AMetricThatNoEvaluationGivesIsNamed) {
  const TemporaryFolder folder;
  const Finished finished =
      expect_code(78, finetune_sample(new_model(), folder / "run", {"--metric-for-best", "rouge", "--evaluate-steps", "1"}));
  EXPECT_THAT(finished.err, HasSubstr("'rouge', and an evaluation gives loss, accuracy, f1"));
}

TEST(TrainingOptions, TheBestModelIsRunBest) {
  const TemporaryFolder folder;
  const Finished trained =
      expect_code(0, finetune_sample(new_model(), folder / "run", {"--save-best", "--metric-for-best", "loss", "--evaluate-steps", "3"}));
  const auto loss_of = [&](const std::string& model) {
    return number_in(expect_code(0, {"evaluate", "--task", "mrpc", "--data", (sample() / "mrpc").string(), "--model",
                                     (folder / "run" / model).string(), "--max-seq-length", "64"})
                         .out,
                     "loss");
  };
  double lowest = 1e9;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "run" / "checkpoints"))
    if (entry.is_directory()) lowest = std::min(lowest, loss_of("checkpoints/" + entry.path().filename().string()));
  EXPECT_EQ(loss_of("best"), lowest);
  expect_code(66, {"evaluate", "--task", "mrpc", "--data", (sample() / "mrpc").string(), "--model", (folder / "other" / "best").string()});
}

// Frozen parameters keep their bits, whatever the number of ranks; the rest is trained.
TEST(TrainingOptions, FrozenLayersStayAndAllRanksAgree) {
  const TemporaryFolder folder;
  const auto run = [&](const std::string& name, int ranks, const std::vector<std::string>& more) {
    std::vector<std::string> words = {"--max-steps", "4", "--slots", "4"};
    words.insert(words.end(), more.begin(), more.end());
    expect_code(0, finetune_sample(new_model(), folder / name, words), {.ranks = ranks});
    return folder / name;
  };
  const auto start = run("start", 1, {"--learning-rate", "0"});
  const auto one = run("one", 1, {"--freeze-layers", "1", "--layer-decay", "0.8", "--label-smoothing", "0.1"});
  const auto three = run("three", 3, {"--freeze-layers", "1", "--layer-decay", "0.8", "--label-smoothing", "0.1"});
  EXPECT_EQ(digest(one), digest(three));
  const std::string changed = weights_that_differ(start, one);
  EXPECT_THAT(changed, Not(HasSubstr("embeddings")));
  EXPECT_THAT(changed, Not(HasSubstr("layer.0.")));
  for (const char* trained : {"encoder.layer.1.output.dense.weight", "pooler.dense.weight", "classifier.weight"})
    EXPECT_THAT(changed, HasSubstr(trained));
}

TEST(TrainingOptions, SmoothingIsForLabels) {
  const TemporaryFolder folder;
  const Finished finished = expect_code(
      2, {"finetune", "--task", "regression", "--text-column", "a", "--label-column", "b", "--data", (sample() / "mrpc").string(),
          "--model", new_model().string(), "--output-dir", (folder / "run").string(), "--label-smoothing", "0.1"});
  EXPECT_THAT(finished.err, HasSubstr("--label-smoothing is for labels"));
}

}  // namespace mpibert::test
