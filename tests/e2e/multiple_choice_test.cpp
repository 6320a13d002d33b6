// Multiple choice, from SWAG's files and from the user's own to an accuracy.

#include <signal.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "mpibert/base/error.h"
#include "tests/support/files.h"
#include "tests/support/runs.h"

namespace mpibert::test {

namespace {

using testing::HasSubstr;
using Words = std::vector<std::string>;

const std::string kData = (sample() / "swag").string();

Words joined(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

Words finetune(const std::string& task, const std::filesystem::path& data, const std::filesystem::path& run, const Words& more = {}) {
  return joined({"finetune", "--task", task, "--data", data.string(), "--model", (sample() / "model" / "config.json").string(),
                 "--output-dir", run.string(), "--global-batch-size", "8", "--learning-rate", "1e-3", "--max-seq-length", "48"},
                more);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::string row(const std::string& choices, const std::string& label) {
  return R"({"context": "the baker sliced the bread .", "choices": )" + choices + R"(, "label": )" + label + "}\n";
}

}  // namespace

TEST(MultipleChoiceRun, FromSwagsFilesToAnAccuracyAndPredictions) {
  const TemporaryFolder folder;
  const std::string run = (folder / "run").string();
  const Finished trained = expect_code(0, finetune("swag", kData, run, {"--num-epochs", "6"}), {.ranks = 2});
  EXPECT_GT(number_in(trained.out, "eval_accuracy"), 0.9) << "the sample is easy; by chance it is 0.25";
  EXPECT_LT(last_metric(run, "loss"), first_metric(run, "loss") / 2);
  EXPECT_THAT(
      read_text(folder / "run" / "checkpoints" / read_text(folder / "run" / "checkpoints" / "LATEST").substr(0, 13) / "config.json"),
      HasSubstr("BertForMultipleChoice"));

  for (const int ranks : {1, 3}) {
    const Finished evaluated = expect_code(0,
                                           {"evaluate", "--task", "swag", "--data", kData, "--model", run, "--max-seq-length", "48",
                                            "--micro-tokens", ranks == 1 ? "8192" : "200"},
                                           {.ranks = ranks});
    EXPECT_EQ(number_in(evaluated.out, "count"), 32);
    EXPECT_EQ(number_in(evaluated.out, "accuracy"), number_in(trained.out, "eval_accuracy")) << ranks;
    EXPECT_NEAR(number_in(evaluated.out, "loss"), number_in(trained.out, "eval_loss"), 1e-5) << ranks;
  }

  // One line an example, on any number of ranks; as many of them right as evaluate counts.
  const Words predict = {"predict", "--task", "swag", "--data", kData, "--split", "dev", "--model", run};
  const std::vector<std::string> predicted = lines_of(expect_code(0, predict).out),
                                 of_three = lines_of(expect_code(0, predict, {.ranks = 3}).out),
                                 rows = lines_of(read_text(sample() / "swag" / "val.csv"));
  ASSERT_EQ(predicted.size(), rows.size() - 1);
  ASSERT_EQ(of_three.size(), predicted.size());
  double right = 0;
  for (size_t i = 0; i < predicted.size(); ++i) {
    EXPECT_THAT(predicted[i], testing::MatchesRegex(R"(\{"label":[0-3],"score":[-.e0-9]+,"probabilities":\[([-.e0-9]+,){3}[-.e0-9]+\]\})"));
    EXPECT_EQ(number_in(predicted[i], "label"), number_in(of_three[i], "label"));
    right += static_cast<int>(number_in(predicted[i], "label")) == rows[i + 1].back() - '0';
  }
  EXPECT_NEAR(right / static_cast<double>(predicted.size()), number_in(trained.out, "eval_accuracy"), 1e-12);
  EXPECT_EQ(lines_of(expect_code(0, {"predict", "--task", "swag", "--data", kData, "--model", run}).out).size(), 10u)
      << "the test file has no labels";

  // The model does not know how many choices there are.
  const Finished lines =
      expect_code(0, {"predict", "--task", "multiple-choice", "--model", run},
                  {.input = "the baker sliced the bread .\tthe baker never sliced the bread .\tthe baker left the kitchen .\n"});
  EXPECT_THAT(lines.out, HasSubstr("{\"label\":1,"));
  EXPECT_THAT(expect_code(65, {"predict", "--task", "swag", "--model", run}, {.input = "a context\tone choice\n"}).err,
              HasSubstr("standard input:1: task swag takes a context and at least two choices"));
  EXPECT_THAT(expect_code(2, {"predict", "--task", "swag", "--data", kData, "--model", run, "--submission", "x"}).err,
              HasSubstr("leave it out"));
}

// Dropout is on, samples are dealt to slots and cut into micro-batches: the bits stay the same.
TEST(MultipleChoiceRun, WeightsAreEqualForAnyRanksAndThreadsAndAfterAKill) {
  const TemporaryFolder folder;
  const Words more = {"--max-steps", "12", "--save-steps", "2", "--slots", "4", "--micro-tokens", "100"};
  std::string expected;
  for (const auto& [ranks, threads] : {std::pair(1, 1), {2, 2}, {3, 1}, {4, 1}}) {
    const std::string run = str_cat("run-", ranks);
    expect_code(0, finetune("swag", kData, folder / run, more), {.ranks = ranks, .threads = threads});
    const std::string found = digest(folder / run);
    if (expected.empty()) expected = found;
    EXPECT_EQ(found, expected) << ranks << " ranks, " << threads << " threads";
  }
  Program program(finetune("swag", kData, folder / "killed", more), {.ranks = 2});
  const pid_t pid = program.pid_of_rank(1);
  if (program.wait_for("step 5/12")) ::kill(pid, SIGKILL);
  program.wait();
  expect_code(0, finetune("swag", kData, folder / "killed", more), {.ranks = 3});
  EXPECT_EQ(digest(folder / "killed"), expected);
}

TEST(MultipleChoiceRun, YourOwnFilesAndWhatIsWrongWithThem) {
  const TemporaryFolder folder;
  const std::string good = row(R"(["it was warm .", "it never was .", "he ran ."])", "0");
  const auto file = [&](const std::string& name, const std::string& text) {
    write_text(folder / name, text);
    return folder / name;
  };
  const std::filesystem::path train = file("train.jsonl", good + good), dev = file("dev.jsonl", good);
  const std::string run = (folder / "run").string();
  const Finished trained =
      expect_code(0, finetune("multiple-choice", train, run, {"--dev-data", dev.string(), "--num-epochs", "1"}), {.ranks = 2});
  EXPECT_GE(number_in(trained.out, "eval_accuracy"), 0);
  EXPECT_GT(number_in(trained.out, "eval_loss"), 0.1) << "about ln 3";
  const auto evaluate = [&](const std::filesystem::path& data, const Words& more = {}) {
    return joined({"evaluate", "--task", "multiple-choice", "--data", data.string(), "--model", run, "--max-seq-length", "48"}, more);
  };
  const Finished table =
      expect_code(0, evaluate(file("dev.csv", "about,a,b,label\nthe baker sliced the bread .,it was warm .,he ran .,1\n"),
                              {"--text-column", "about", "--choice-columns", "a,b"}));
  EXPECT_EQ(number_in(table.out, "count"), 1) << "two choices, where the model was trained on three";

  const auto refused = [&](int code, const Words& words, const std::string& message) {
    EXPECT_THAT(expect_code(code, words).err, HasSubstr(message));
  };
  refused(65, evaluate(file("a.jsonl", good + row(R"(["x", "y", "z"])", "3"))), "a.jsonl:2: label '3' is none of '0', '1', '2'");
  refused(65, evaluate(file("b.jsonl", good + row(R"(["x", "y"])", "0"))), "b.jsonl:2: 2 choices, expected 3 as in all other rows");
  refused(65, finetune("swag", file("c.csv", "sent1,sent2,ending0,ending1,ending2,label\na,b,c,d,e,0\n"), folder / "none"),
          "c.csv:1: the header has no column 'ending3'");
  refused(65, evaluate(file("d.csv", "context,a,b,label\nc,x,y,0\n"), {"--choice-columns", "a,c"}),
          "d.csv:1: the header has no column 'c'");
  refused(65,
          finetune("multiple-choice",
                   file("e.jsonl", R"({"context": "c", "choices": ["x", "y"]})"
                                   "\n"),
                   folder / "none"),
          "e.jsonl:1: the object has no member 'label'");
  refused(2, finetune("swag", kData, folder / "none", {"--choice-columns", "a,b"}), "task swag has its own");
  refused(2, finetune("classification", kData, folder / "none", {"--choice-columns", "a,b"}),
          "--choice-columns goes with --task multiple-choice");
  refused(2, finetune("multiple-choice", kData, folder / "none", {"--labels", "a,b"}), "the numbers of its choices");
}

}  // namespace mpibert::test
