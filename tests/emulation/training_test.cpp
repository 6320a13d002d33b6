// The whole program on the emulated card: the trainer with the CUDA backend's host logic, beside the CPU.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "tests/support/files.h"
#include "tests/support/runs.h"

namespace mpibert::test {
namespace {

// The losses of the steps, from RUN/metrics.jsonl.
std::vector<double> losses(const std::filesystem::path& run) {
  std::istringstream lines(read_text(run / "metrics.jsonl"));
  std::vector<double> found;
  for (std::string line; std::getline(lines, line);)
    if (line.find("\"grad_norm\":") != std::string::npos) found.push_back(number_in(line, "loss"));
  return found;
}

class EmulatedTraining : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { expect_code(0, prepare_sample(folder_ / "shards")); }
  std::vector<std::string> command(const std::string& run, const std::string& device, int steps = 3) {
    return pretrain_sample(folder_ / "shards", folder_ / run, steps, {"--precision", GetParam(), "--device", device, "--lr-schedule", "constant", "--global-batch-size", "8", "--slots", "4"});
  }
  Launch emulated(int ranks = 1) { return {.ranks = ranks, .program = MPIBERT_EMULATED_PROGRAM}; }
  TemporaryFolder folder_;
};

TEST_P(EmulatedTraining, LossesEqualTheCpus) {
  expect_code(0, command("cpu", "cpu"));
  expect_code(0, command("cuda", "cuda"), emulated());
  const std::vector<double> cpu = losses(folder_ / "cpu"), cuda = losses(folder_ / "cuda");
  ASSERT_EQ(cpu.size(), 3u);
  ASSERT_EQ(cuda.size(), cpu.size());
  // As in tests/golden/README.md, "losses over 10 steps of training"; in bf16 the loss averages roundings of 2^-8 over dozens of rows.
  const double relative = std::string(GetParam()) == "fp32" ? 1e-4 : 1e-2;
  for (size_t i = 0; i < cpu.size(); ++i) EXPECT_NEAR(cuda[i], cpu[i], relative * cpu[i]) << "step " << i + 1;
}

// Also after a stop: two steps on two ranks, the third on one.
TEST_P(EmulatedTraining, TwoRanksAndARestartGiveTheBitsOfOne) {
  expect_code(0, command("one", "cuda"), emulated());
  expect_code(0, command("two", "cuda", 2), emulated(2));
  expect_code(0, command("two", "cuda"), emulated());
  EXPECT_EQ(digest(folder_ / "two"), digest(folder_ / "one"));
}

// What doctor says of a card, and gpu_check.sh looks for; and the plan of a training on one.
TEST(EmulatedCard, IsDescribedAndPlannedFor) {
  const Launch launch{.program = MPIBERT_EMULATED_PROGRAM};
  EXPECT_THAT(expect_code(0, {"doctor", "--json"}, launch).out, testing::HasSubstr("\"cuda:0\":{\"value\":\"emulated card, compute capability 9.0, 4 multiprocessors, "));
  EXPECT_THAT(expect_code(0, {"doctor"}, launch).out, testing::HasSubstr("ranks of this host: 0 -> cuda:0, 1 -> cuda:0, ..."));
  const std::string config = (sample() / "model" / "config.json").string();
  const std::vector<std::string> common = {"--model", config, "--device", "cuda", "--micro-tokens", "256"};
  std::vector<std::string> plan = {"plan", "--json", "--max-seq-length", "64"};
  plan.insert(plan.end(), common.begin(), common.end());
  EXPECT_GT(number_in(expect_code(0, plan, launch).out, "largest_micro_tokens"), 256);
}

INSTANTIATE_TEST_SUITE_P(Precision, EmulatedTraining, testing::Values("fp32", "bf16"), [](const auto& each) { return std::string(each.param); });

}  // namespace
}  // namespace mpibert::test
