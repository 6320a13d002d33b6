// Where the value of an option comes from, as `config show` says it: defaults < --config file < environment < flags.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/files.h"
#include "tests/support/runs.h"

namespace mpibert::test {

namespace {

// The line of `config show pretrain` about an option.
std::string shown(const std::string& option, const std::vector<std::string>& flags, const std::vector<std::string>& environment = {}) {
  std::vector<std::string> command = {"config", "show", "pretrain"};
  command.insert(command.end(), flags.begin(), flags.end());
  std::istringstream lines(expect_code(0, command, {.environment = environment}).out);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(option + " ")) return line;
  return "config show has no line about " + option;
}

}  // namespace

TEST(Options, TheLaterSourceIsTheStronger) {
  const TemporaryFolder folder;
  std::ofstream(folder / "file.toml") << "max-steps = 11\n";
  const std::vector<std::string> with_file = {"--config", (folder / "file.toml").string()};
  EXPECT_THAT(shown("max-steps", {}), testing::HasSubstr("default"));
  EXPECT_THAT(shown("max-steps", with_file), testing::AllOf(testing::HasSubstr("11"), testing::HasSubstr("file.toml:1")));
  EXPECT_THAT(shown("max-steps", with_file, {"MPIBERT_MAX_STEPS=12"}),
              testing::AllOf(testing::HasSubstr("12"), testing::HasSubstr("MPIBERT_MAX_STEPS")));
  EXPECT_THAT(shown("max-steps", {"--config", (folder / "file.toml").string(), "--max-steps", "13"}, {"MPIBERT_MAX_STEPS=12"}),
              testing::AllOf(testing::HasSubstr("13"), testing::HasSubstr("flag")));
}

TEST(Options, AFlagThatIsOnIsTurnedOffByItsNegation) {
  EXPECT_THAT(shown("cuda-graphs", {}), testing::AllOf(testing::HasSubstr("true"), testing::HasSubstr("default")));
  EXPECT_THAT(shown("cuda-graphs", {"--no-cuda-graphs"}), testing::AllOf(testing::HasSubstr("false"), testing::HasSubstr("flag")));
}

// MPIBERT_DATA is the mirror of raw data that datasets/*/prepare.sh read.
TEST(Options, ListsTakeWordsInBracketsAsTheyStand) {
  EXPECT_THAT(expect_code(0, {"config", "show", "predict", "--pipeline", "fill-mask", "--model", "m", "--text", "[MASK]", "[a, b]",
                              "--text", "[c]"})
                  .out,
              testing::HasSubstr(R"(text = ["[MASK]", "[a, b]", "[c]"])"));
}

TEST(Options, NumbersInListsAreChecked) {
  for (const char* length : {"0", "513", "long"})
    EXPECT_THAT(
        expect_code(2, {"bench", "step", "--model", (source_folder() / "launch/configs/models/base.json").string(), "--lengths", length})
            .err,
        testing::AllOf(testing::HasSubstr("--lengths"), testing::HasSubstr("512"), testing::HasSubstr(length)));
}

TEST(Options, TheMirrorOfRawDataIsNoOptionOfTheProgram) {
  EXPECT_THAT(shown("data", {}, {"MPIBERT_DATA=/mirror"}), testing::Not(testing::HasSubstr("/mirror")));
}

}  // namespace mpibert::test
