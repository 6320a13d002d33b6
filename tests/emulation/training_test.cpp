// The whole program on the emulated card: the trainer with the CUDA backend's host logic, beside the CPU.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "mpibert/train/loss_scale.h"
#include "tests/support/files.h"
#include "tests/support/reference.h"
#include "tests/support/runs.h"

namespace mpibert::test {
namespace {

constexpr int kBatch = 8;

// A number of each step, from RUN/metrics.jsonl.
std::vector<double> each_step(const std::filesystem::path& run, const std::string& name) {
  std::istringstream lines(read_text(run / "metrics.jsonl"));
  std::vector<double> found;
  for (std::string line; std::getline(lines, line);)
    if (line.find("\"grad_norm\":") != std::string::npos) found.push_back(number_in(line, name));
  return found;
}

class EmulatedProgram : public testing::Test {
 protected:
  void SetUp() override { expect_code(0, prepare_sample(folder_ / "shards")); }
  std::vector<std::string> command(const std::string& run, const std::string& device, const std::string& precision, int steps, const std::vector<std::string>& more = {}) {
    std::vector<std::string> words = {"--precision", precision, "--device", device, "--lr-schedule", "constant", "--global-batch-size", std::to_string(kBatch), "--slots", "4"};
    words.insert(words.end(), more.begin(), more.end());
    return pretrain_sample(folder_ / "shards", folder_ / run, steps, words);
  }
  Launch emulated(int ranks = 1) { return {.ranks = ranks, .program = MPIBERT_EMULATED_PROGRAM}; }
  TemporaryFolder folder_;
};

class EmulatedTraining : public EmulatedProgram, public testing::WithParamInterface<const char*> {
 protected:
  std::vector<std::string> command(const std::string& run, const std::string& device, int steps = 3) { return EmulatedProgram::command(run, device, GetParam(), steps); }
};

// README.md, "How near the program is to the CPU's". The CPU has no fp16; it is compared in fp32.
TEST_P(EmulatedTraining, LossesAndNormsEqualTheCpus) {
  const std::string precision = GetParam();
  expect_code(0, EmulatedProgram::command("cpu", "cpu", precision == "fp16" ? "fp32" : precision, 3));
  expect_code(0, command("cuda", "cuda"), emulated());
  const double terms = precision == "fp32" ? 256 : 1, between = 2 * std::sqrt(48 * terms) * reference::unit_roundoff(precision_from_name(precision));
  const double logit = std::sqrt(64) * 0.05;
  const std::vector<double> losses = each_step(folder_ / "cuda", "loss"), cpu_losses = each_step(folder_ / "cpu", "loss");
  const std::vector<double> norms = each_step(folder_ / "cuda", "grad_norm"), cpu_norms = each_step(folder_ / "cpu", "grad_norm");
  ASSERT_EQ(cpu_losses.size(), 3u);
  ASSERT_EQ(losses.size(), 3u);
  for (size_t i = 0; i < losses.size(); ++i) {
    EXPECT_NEAR(losses[i], cpu_losses[i], between * logit * std::sqrt(2.0 / kBatch)) << "step " << i + 1;
    EXPECT_NEAR(norms[i], cpu_norms[i], between * cpu_norms[i]) << "step " << i + 1;
  }
}

// Also after a stop: two steps on two ranks, the third on one.
TEST_P(EmulatedTraining, TwoRanksAndARestartGiveTheBitsOfOne) {
  expect_code(0, command("one", "cuda"), emulated());
  expect_code(0, command("two", "cuda", 2), emulated(2));
  expect_code(0, command("two", "cuda"), emulated());
  EXPECT_EQ(digest(folder_ / "two"), digest(folder_ / "one"));
}

INSTANTIATE_TEST_SUITE_P(Precision, EmulatedTraining, testing::Values("fp32", "bf16", "fp16"), [](const auto& each) { return std::string(each.param); });

// A run that begins above what fp16 holds: half of 2^22 over 8 labels is 2^18, and the largest number is below 2^16.
class EmulatedLossScale : public EmulatedProgram {
 protected:
  static constexpr LossScaleOptions kOptions = {.dynamic = true, .initial = 0x1p22, .growth_interval = 2};
  static constexpr int kSteps = 8;

  std::vector<std::string> command(const std::string& run, int steps = kSteps) {
    return EmulatedProgram::command(run, "cuda", "fp16", steps, {"--initial-loss-scale", "4194304", "--loss-scale-growth-interval", "2"});
  }

  // The machine after each step of a run, fed with which of them the run skipped.
  static std::vector<LossScale> course(const std::filesystem::path& run) {
    std::vector<LossScale> scales;
    LossScale scale(kOptions);
    double before = 0;
    for (const double skipped : each_step(run, "skipped")) {
      scale.update(skipped == before);
      scales.push_back(scale);
      before = skipped;
    }
    return scales;
  }

  // What the newest checkpoint of a run holds of the machine.
  static std::pair<double, double> saved(const std::filesystem::path& run, int step) {
    const std::string state = read_text(run / "checkpoints" / ("step-0000000" + std::to_string(step)) / "state.json");
    return {number_in(state, "value"), number_in(state, "good_steps")};
  }
};

TEST_F(EmulatedLossScale, FallsUntilItFitsAndGrowsAgain) {
  expect_code(0, command("run"), emulated());
  const std::vector<LossScale> expected = course(folder_ / "run");
  const std::vector<double> scales = each_step(folder_ / "run", "loss_scale"), losses = each_step(folder_ / "run", "loss");
  ASSERT_EQ(scales.size(), static_cast<size_t>(kSteps));
  bool fell = false, grew = false;
  for (size_t i = 0; i < scales.size(); ++i) {
    EXPECT_EQ(scales[i], expected[i].value()) << "after step " << i + 1;
    EXPECT_LT(losses[i], 10) << "a loss is reported without the scale";
    fell |= scales[i] < (i == 0 ? kOptions.initial : scales[i - 1]);
    grew |= i > 0 && scales[i] > scales[i - 1];
  }
  EXPECT_TRUE(fell && grew) << testing::PrintToString(scales);
  EXPECT_EQ(saved(folder_ / "run", kSteps), std::pair(expected.back().value(), static_cast<double>(expected.back().good_steps())));
}

TEST_F(EmulatedLossScale, TwoRanksAndARestartInTheMiddleOfAnIntervalGiveTheBitsOfOne) {
  expect_code(0, command("one"), emulated());
  const std::vector<LossScale> whole = course(folder_ / "one");
  const auto middle = std::ranges::find_if(whole, [](const LossScale& scale) { return scale.good_steps() == 1; });
  ASSERT_NE(middle, whole.end());
  const int stop = static_cast<int>(middle - whole.begin()) + 1;
  ASSERT_LT(stop, kSteps);
  expect_code(0, command("two", stop), emulated(2));
  EXPECT_EQ(saved(folder_ / "two", stop), std::pair(middle->value(), 1.0));
  expect_code(0, command("two"), emulated(2));
  EXPECT_EQ(each_step(folder_ / "two", "loss_scale"), each_step(folder_ / "one", "loss_scale"));
  EXPECT_EQ(saved(folder_ / "two", kSteps), saved(folder_ / "one", kSteps));
  EXPECT_EQ(digest(folder_ / "two"), digest(folder_ / "one"));
}

}  // namespace
}  // namespace mpibert::test
