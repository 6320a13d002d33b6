// Questions and answers, from SQuAD's raw files to exact match and F1.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <regex>

#include "tests/support/files.h"
#include "tests/support/runs.h"

namespace mpibert::test {

namespace {

using testing::AllOf;
using testing::HasSubstr;
using Words = std::vector<std::string>;

Words joined(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

const Words kWindows = {"--max-seq-length", "24", "--doc-stride", "6"};  // most of the sample's contexts need two windows

Words finetune(const std::string& task, const std::filesystem::path& data, const std::filesystem::path& run, const Words& more = {}) {
  return joined(joined({"finetune", "--task", task, "--data", data.string(), "--model", (sample() / "model" / "config.json").string(),
                        "--output-dir", run.string(), "--global-batch-size", "16", "--learning-rate", "2e-3", "--num-epochs", "5"},
                       kWindows),
                more);
}

// Names and bytes of what a preparation has made.
std::map<std::string, std::string> files_in(const std::filesystem::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) files[entry.path().filename().string()] = read_text(entry.path());
  return files;
}

// What was answered, without its scores, whose last digits depend on what is computed beside a question.
std::string without_scores(const std::string& lines) { return std::regex_replace(lines, std::regex(R"("score":[^,]*,)"), ""); }

// A raw file of one question, and what prepare says to it.
std::string refusal(const std::string& questions, const std::string& task = "squad", int code = 65) {
  const TemporaryFolder folder;
  write_text(folder / "train.json", R"({"data": [{"paragraphs": [{"context": "the cat sat", "qas": [)" + questions + "]}]}]}");
  return expect_code(code, {"prepare", "--task", task, "--input", (folder / "train.json").string(), "--model",
                            (sample() / "model").string(), "--output", (folder / "shards").string()})
      .err;
}

}  // namespace

TEST(SquadRun, LearnsScoresAndWritesItsAnswers) {
  const TemporaryFolder folder;
  const std::string data = (sample() / "squad").string(), run = (folder / "run").string();
  const Finished trained = expect_code(0, finetune("squad", data, run), {.ranks = 2});
  EXPECT_GT(number_in(trained.out, "eval_f1"), 80) << "the sample is easy";
  EXPECT_GT(last_metric(folder / "run", "loss"), 0);
  EXPECT_LT(last_metric(folder / "run", "loss"), first_metric(folder / "run", "loss") / 2);
  EXPECT_THAT(
      read_text(folder / "run" / "checkpoints" / read_text(folder / "run" / "checkpoints" / "LATEST").substr(0, 13) / "config.json"),
      HasSubstr("BertForQuestionAnswering"));

  // The same scores from raw files, from what the run prepared, on any number of ranks, and from the answers as files.
  const Words evaluate = joined({"evaluate", "--task", "squad", "--model", run}, kWindows);
  for (const int ranks : {1, 3}) {
    const Finished evaluated = expect_code(0, joined(evaluate, {"--data", data}), {.ranks = ranks});
    EXPECT_EQ(number_in(evaluated.out, "f1"), number_in(trained.out, "eval_f1")) << ranks;
    EXPECT_EQ(number_in(evaluated.out, "exact_match"), number_in(trained.out, "eval_exact_match")) << ranks;
    EXPECT_NEAR(number_in(evaluated.out, "loss"), number_in(trained.out, "eval_loss"), 1e-5) << ranks;
  }
  EXPECT_EQ(number_in(expect_code(0, joined(evaluate, {"--data", run + "/data"})).out, "f1"), number_in(trained.out, "eval_f1"));
  const std::string answers = (folder / "answers").string();
  expect_code(0,
              joined({"predict", "--task", "squad", "--model", run, "--data", data, "--split", "dev", "--predictions", answers}, kWindows));
  EXPECT_EQ(
      number_in(expect_code(0, {"evaluate", "--task", "squad", "--data", data, "--predictions", answers + "/predictions.json"}).out, "f1"),
      number_in(trained.out, "eval_f1"));
  EXPECT_FALSE(std::filesystem::exists(answers + "/null_odds.json"));
  EXPECT_THAT(read_text(answers + "/nbest_predictions.json"), AllOf(HasSubstr("\"probability\":"), HasSubstr("\"start_logit\":")));

  // One JSON object a line: of texts, of JSON, and of a file's questions; the same from any number of ranks.
  const Words ask = {"predict", "--pipeline", "question-answering", "--model", run};
  const Finished asked =
      expect_code(0, ask, {.input = "Who sliced the bread?\tAt noon the baker sliced the bread at the bakery.\nWhen?\tat noon\n"});
  EXPECT_THAT(asked.out, AllOf(HasSubstr("{\"score\":"), HasSubstr("\"start\":"), HasSubstr("\"answer\":")));
  EXPECT_EQ(std::count(asked.out.begin(), asked.out.end(), '\n'), 2);
  EXPECT_EQ(without_scores(expect_code(0, ask,
                                       {.ranks = 2,
                                        .input = "{\"question\": \"Who sliced the bread?\", \"context\": \"At noon the baker sliced the "
                                                 "bread at the bakery.\"}\n{\"question\": \"When?\", \"context\": \"at noon\"}\n"})
                               .out),
            without_scores(asked.out));
  const Words file = joined({"predict", "--task", "squad", "--model", run, "--data", data, "--split", "dev"}, kWindows);
  const std::string lines = expect_code(0, file).out;
  EXPECT_THAT(lines, AllOf(HasSubstr("{\"id\":"), HasSubstr("\"answer\":")));
  EXPECT_EQ(without_scores(expect_code(0, file, {.ranks = 3}).out), without_scores(lines));
  expect_code(0, joined(file, {"--predictions", answers + "-3"}), {.ranks = 3});
  EXPECT_EQ(read_text(answers + "-3/predictions.json"), read_text(answers + "/predictions.json"));
  const Finished several = expect_code(0, {"predict", "--task", "squad", "--model", run, "--top-k", "3", "--handle-impossible-answer"},
                                       {.input = "Who?\tthe baker sliced the bread\n"});
  EXPECT_TRUE(several.out.starts_with("[{\"score\":")) << several.out;
  EXPECT_THAT(expect_code(65, {"predict", "--task", "squad", "--model", run}, {.input = "a question alone\n"}).err,
              HasSubstr(":1: expected a question and a context"));
  EXPECT_THAT(expect_code(65, joined(ask, {"--max-seq-length", "12"}),
                          {.input = "who\tcame\nWho sliced the bread at the bakery at noon?\tthe baker\n"})
                  .err,
              HasSubstr("input:2: "));
  EXPECT_THAT(expect_code(2, {"predict", "--task", "squad", "--model", run, "--predictions", "x"}, {.input = "who\tcame\n"}).err,
              HasSubstr("expected in --data"));
  EXPECT_THAT(expect_code(2, joined(file, {"--n-best-size", "3"})).err,
              HasSubstr("--n-best-size means nothing to --task squad without --predictions"));
}

TEST(SquadRun, OfVersion2SomeQuestionsHaveNoAnswer) {
  const TemporaryFolder folder;
  const std::string data = (sample() / "squad").string(), run = (folder / "run").string(), answers = (folder / "answers").string();
  const Words words = {"--qa-features", "run_squad"};
  const Finished trained = expect_code(0, finetune("squad2", data, run, words), {.ranks = 2});
  for (const char* name : {"eval_exact", "eval_HasAns_f1", "eval_NoAns_exact", "eval_best_f1", "eval_best_f1_thresh"})
    EXPECT_THAT(trained.out, HasSubstr("\"" + std::string(name) + "\":"));
  EXPECT_GT(number_in(trained.out, "eval_f1"), 70);
  expect_code(0, joined(joined({"predict", "--task", "squad2", "--model", run, "--data", data, "--split", "dev", "--predictions", answers},
                               kWindows),
                        words));
  const Finished scored = expect_code(0, {"evaluate", "--task", "squad2", "--data", data, "--predictions", answers + "/predictions.json",
                                          "--null-odds", answers + "/null_odds.json", "--na-prob-thresh", "1e9"});
  for (const char* name : {"exact", "f1", "NoAns_f1", "best_exact"})
    EXPECT_EQ(number_in(scored.out, name), number_in(trained.out, "eval_" + std::string(name))) << name;
  // Never, and always.
  const Words evaluate = joined(joined({"evaluate", "--task", "squad2", "--data", data, "--model", run}, kWindows), words);
  EXPECT_EQ(number_in(expect_code(0, joined(evaluate, {"--null-score-diff-threshold", "1000"})).out, "NoAns_exact"), 0);
  EXPECT_EQ(number_in(expect_code(0, joined(evaluate, {"--null-score-diff-threshold", "-1000"})).out, "NoAns_exact"), 100);
}

TEST(SquadRun, ShardsAreTheSameForAnyNumberOfRanks) {
  const TemporaryFolder folder;
  for (const std::string convention : {"run_qa", "run_squad"}) {
    std::map<std::string, std::string> first;
    for (const int ranks : {1, 2, 3}) {
      const std::filesystem::path shards = folder / (convention + std::to_string(ranks));
      expect_code(0,
                  joined({"prepare", "--task", "squad", "--input", (sample() / "squad").string(), "--model", (sample() / "model").string(),
                          "--output", shards.string(), "--qa-features", convention},
                         kWindows),
                  {.ranks = ranks});
      if (ranks == 1) first = files_in(shards);
      EXPECT_EQ(files_in(shards), first) << convention << " " << ranks;
    }
    EXPECT_TRUE(first.contains("squad-dev.json") && first.contains("squad-train.json"));
  }
  // A raw file that is not the one prepared is not scored against.
  write_text(folder / "run_qa1" / "squad-dev.json", "{}");
  EXPECT_THAT(expect_code(0, finetune("squad", folder / "run_qa2", folder / "run", {"--max-steps", "1"})).out, HasSubstr("eval_f1"));
  EXPECT_THAT(
      expect_code(65, {"evaluate", "--task", "squad", "--data", (folder / "run_qa1").string(), "--model", (folder / "run").string()}).err,
      HasSubstr("squad-dev.json is not the file that was prepared"));
}

TEST(SquadRun, BadDataAreRefusedWithTheirPlace) {
  const std::string start = R"({"id": "a", "question": "who?")";
  EXPECT_THAT(refusal(start), AllOf(HasSubstr("train.json: not JSON"), HasSubstr("line 1, column")));
  EXPECT_THAT(refusal(R"({"question": "who?", "answers": []})"), HasSubstr("train.json: data[0].paragraphs[0].qas[0]: \"id\" is missing"));
  EXPECT_THAT(refusal(start + R"(, "answers": [{"text": "cat", "answer_start": 90}]})"),
              HasSubstr("lies outside the context, which has 11"));
  EXPECT_THAT(refusal(start + R"(, "answers": [{"text": "cat", "answer_start": 3}]})"),
              AllOf(HasSubstr("has \" ca\" at answer_start 3"), HasSubstr("which stands at 4")));
  EXPECT_THAT(refusal(start + "}"), HasSubstr("question a has no \"answers\" to learn from"));
  EXPECT_THAT(refusal(start + R"(, "answers": []})"), AllOf(HasSubstr("question a has no answer"), HasSubstr("use --task squad2")));
  EXPECT_THAT(expect_code(66, {"prepare", "--task", "squad", "--input", (sample() / "sst2").string(), "--model",
                               (sample() / "model").string(), "--output", "none"})
                  .err,
              HasSubstr("train-v1.1.json"));
  EXPECT_THAT(expect_code(2, {"evaluate", "--task", "squad", "--data", (sample() / "squad").string()}).err,
              HasSubstr("--model is missing"));
  EXPECT_THAT(expect_code(2, {"evaluate", "--task", "mrpc", "--data", (sample() / "mrpc").string(), "--predictions", "p.json"}).err,
              HasSubstr("expected with --task squad, squad2 or question-answering"));
}

}  // namespace mpibert::test
