// mpibert plan: what it says is what a trainer takes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mpibert/base/error.h"
#include "tests/support/files.h"
#include "tests/support/runs.h"

namespace mpibert::test {
namespace {

std::vector<std::string> words(std::vector<std::string> first, const std::vector<std::string>& more) {
  first.insert(first.end(), more.begin(), more.end());
  return first;
}
std::string config() { return (sample() / "model" / "config.json").string(); }
double planned(const std::string& number, const std::vector<std::string>& more) {
  return number_in(expect_code(0, words({"plan", "--json", "--model", config()}, more)).out, number);
}

}  // namespace

// A real trainer on real ranks allocates these bytes, in every precision, with every kind of optimizer state and with folded slots.
TEST(Plan, BytesAreThoseOfATrainingOnTheCpu) {
  struct Case {
    int ranks;
    std::vector<std::string> both;
  };
  for (const Case& c : {Case{1, {"--slots", "1"}}, Case{2, {"--slots", "5", "--precision", "bf16"}},
                        Case{3, {"--slots", "3", "--optimizer", "lamb"}}, Case{2, {"--slots", "4", "--reduction", "fast"}},
                        Case{1, {"--slots", "8", "--head", "classification", "--optimizer", "nvlamb", "--precision", "bf16"}}}) {
    const std::vector<std::string> common = words({"--micro-tokens", "1000"}, c.both);
    const double plan =
        planned("total_bytes", words({"--ranks", std::to_string(c.ranks), "--global-batch-size", "64", "--max-seq-length", "64"}, common));
    const std::vector<std::string> step = {"bench", "step",      "--model", config(),  "--head", "pretraining", "--batch-size",
                                           "64",    "--lengths", "5",       "--steps", "1",      "--warmup",    "0"};
    const Finished run = expect_code(0, words(step, common), {.ranks = c.ranks});
    EXPECT_EQ(plan, number_in(run.out, "device_bytes")) << c.ranks << " ranks, " << testing::PrintToString(c.both) << "\n" << run.out;
  }
}

// The number it advises fits, and one more token would not.
TEST(Plan, TheLargestMicroTokensFillTheMemory) {
  const double memory_gib = 0.25;
  const double largest = planned("largest_micro_tokens", {"--memory-gib", "0.25"});
  ASSERT_GT(largest, 1000);
  const auto bytes = [](double tokens) {
    return planned("total_bytes", {"--global-batch-size", "100000", "--micro-tokens", std::to_string(static_cast<int64_t>(tokens))});
  };
  EXPECT_LE(bytes(largest), memory_gib * (1 << 30));
  EXPECT_GT(bytes(largest + 1), memory_gib * (1 << 30));
  EXPECT_THAT(expect_code(0, {"plan", "--model", config(), "--memory-gib", "0.0001"}).out, testing::HasSubstr("not even one sequence"));
}

// Without memory of that size: BERT-large on 1,024 ranks takes seconds to plan. Parameters and work as published: 24 layers of 1024.
TEST(Plan, TakesNoMemoryItself) {
  const std::string large = (source_folder() / "launch/configs/models/large.json").string();
  const Finished run = expect_code(0,
                                   {"plan", "--json", "--model", large, "--ranks", "1024", "--slots", "1024", "--micro-tokens", "1048576",
                                    "--global-batch-size", "65536", "--max-seq-length", "128"},
                                   {.wrapper = "ulimit -Sd 1000000;"});
  EXPECT_NEAR(number_in(run.out, "parameters"), 336.2e6, 0.1e6);
  EXPECT_NEAR(number_in(run.out, "flops_per_step") / 65536, 240.6e9, 1e9);
  EXPECT_GT(number_in(run.out, "total_bytes"), 1e11);
}

// Of cards that are not there, in any build: what is known of an H200 is its memory and its peak.
TEST(Plan, KnownCardsArePlannedForAnywhere) {
  const std::string large = (source_folder() / "launch/configs/models/large.json").string();
  const std::vector<std::string> command = {
      "plan", "--model", large, "--device", "h200", "--precision", "bf16", "--ranks", "8", "--global-batch-size", "4096"};
  const Finished found = expect_code(0, words(command, {"--json"}));
  EXPECT_GT(number_in(found.out, "largest_micro_tokens"), 100'000);
  EXPECT_NEAR(number_in(found.out, "expected_step_s"), number_in(found.out, "flops_per_step") / (8 * 0.4 * 989e12), 1e-9);
  EXPECT_EQ(number_in(expect_code(0, words(command, {"--json", "--peak-tflops", "1978", "--utilization", "0.2"})).out, "expected_step_s"),
            number_in(found.out, "expected_step_s"));
  EXPECT_THAT(expect_code(0, command).out,
              testing::AllOf(testing::HasSubstr("if each rank does 40 % of 989 TFLOP/s"), testing::HasSubstr("CUDA's own"),
                             testing::HasSubstr("largest --micro-tokens that fits")));
  EXPECT_GT(planned("total_bytes", {"--device", "h200", "--precision", "fp16"}), 0);
  EXPECT_THAT(expect_code(2, {"plan", "--model", config(), "--precision", "fp16"}).err, testing::HasSubstr("fp16 is for cards"));
}

}  // namespace mpibert::test
