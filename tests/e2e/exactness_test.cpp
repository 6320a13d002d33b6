// One digest: the bits of a training depend on neither the ranks nor the threads, nor on having been stopped.

#include <signal.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mpibert/base/error.h"
#include "mpibert/base/random.h"
#include "tests/support/files.h"
#include "tests/support/runs.h"

namespace mpibert::test {

namespace {

class Exactness : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { expect_code(0, prepare_sample(folder_ / "shards")); }
  std::vector<std::string> command(const std::string& run, int steps, const std::vector<std::string>& more = {}) {
    std::vector<std::string> words = {"--precision", GetParam()};
    words.insert(words.end(), more.begin(), more.end());
    return pretrain_sample(folder_ / "shards", folder_ / run, steps, words);
  }
  TemporaryFolder folder_;
};

}  // namespace

TEST_P(Exactness, ShardsAndWeightsAreEqualForAnyRanksAndThreads) {
  expect_code(0, prepare_sample(folder_ / "shards3"), {.ranks = 3, .threads = 2});
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "shards"))
    EXPECT_EQ(read_text(entry.path()), read_text(folder_ / "shards3" / entry.path().filename())) << entry.path();

  std::string expected;
  for (const int ranks : {1, 2, 3, 4, 8}) {
    for (const int threads : {1, 2}) {
      const std::string run = str_cat("run-", ranks, "-", threads);
      expect_code(0, command(run, 6), {.ranks = ranks, .threads = threads});
      const std::string found = digest(folder_ / run);
      if (expected.empty()) expected = found;
      EXPECT_EQ(found, expected) << ranks << " ranks, " << threads << " threads";
    }
  }
}

TEST_P(Exactness, LambAlsoIsEqualForAnyRanks) {
  std::string expected;
  for (const int ranks : {1, 3}) {
    const std::string run = str_cat("lamb-", ranks);
    expect_code(0, command(run, 4, {"--optimizer", "lamb"}), {.ranks = ranks});
    if (expected.empty()) expected = digest(folder_ / run);
    EXPECT_EQ(digest(folder_ / run), expected);
  }
}

TEST_P(Exactness, AKilledRunEndsWithTheWeightsOfAnUninterruptedOne) {
  expect_code(0, command("whole", 30, {"--save-steps", "3"}));
  const std::string expected = digest(folder_ / "whole");
  RandomStream random(20, RandomPurpose::kSentencePairs, 0);
  for (int trial = 0; trial < 4; ++trial) {
    const std::string run = str_cat("killed-", trial);
    const int kills = trial == 3 ? 3 : 1;
    for (int kill_number = 0; kill_number < kills; ++kill_number) {
      const int ranks = 1 + static_cast<int>(random.below(4)), victim = static_cast<int>(random.below(static_cast<uint64_t>(ranks)));
      Program program(command(run, 30, {"--save-steps", "3"}), {.ranks = std::max(2, ranks)});
      const pid_t pid = program.pid_of_rank(victim);
      if (program.wait_for(str_cat("step ", 1 + random.below(26), "/30"))) ::kill(pid, SIGKILL);
      program.wait();
    }
    const int ranks = 1 + static_cast<int>(random.below(4));
    expect_code(0, command(run, 30, {"--save-steps", "3"}), {.ranks = ranks});
    EXPECT_EQ(digest(folder_ / run), expected) << "trial " << trial << ", resumed on " << ranks << " ranks";
  }
}

TEST_P(Exactness, ASignalToOneRankSavesStopsAllWith75AndTheNextRunGoesOn) {
  expect_code(0, command("whole", 40));
  for (const int signal : {SIGTERM, SIGUSR1}) {
    const std::string run = str_cat("stopped-", signal);
    Program program(command(run, 40), {.ranks = 2});
    ASSERT_TRUE(program.wait_for("step 3/40"));
    ::kill(program.pid_of_rank(1), signal);
    const Finished finished = program.wait();
    EXPECT_EQ(finished.code, 75) << finished.err;
    EXPECT_THAT(read_text(folder_ / run / "EXIT.json"), testing::HasSubstr("\"code\":75"));
    const auto stopped_at = static_cast<int>(number_in(read_text(folder_ / run / "EXIT.json"), "step"));
    EXPECT_LT(stopped_at, 40);
    expect_code(0, command(run, 40), {.ranks = 3});
    EXPECT_EQ(digest(folder_ / run), digest(folder_ / "whole"));
  }
}

INSTANTIATE_TEST_SUITE_P(Precision, Exactness, testing::Values("fp32", "bf16"), [](const auto& each) { return std::string(each.param); });

}  // namespace mpibert::test
