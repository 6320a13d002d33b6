// What is wrong with a call of a pipeline is said in one message, with the file and the line, and by the exit code.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/files.h"
#include "tests/support/runs.h"

namespace mpibert::test {

using testing::AllOf;
using testing::HasSubstr;

namespace {

// The error of predicting with one of the golden tests' tiny models.
std::string error_of(int code, const std::string& model, const std::string& pipeline, const std::vector<std::string>& more,
                     const Launch& launch = {}) {
  std::vector<std::string> words = {"predict", "--pipeline", pipeline, "--model",
                                    (source_folder() / "tests" / "golden" / "fixtures" / "pipelines" / model).string()};
  words.insert(words.end(), more.begin(), more.end());
  const Finished done = expect_code(code, words, launch);
  EXPECT_EQ(done.err.find("error: "), done.err.rfind("error: ")) << done.err;
  return done.err;
}

}  // namespace

TEST(PredictErrors, ALineWithoutAMask) {
  const TemporaryFolder folder;
  write_text(folder / "texts.txt", "the [MASK]\nthe cat\n");
  EXPECT_THAT(error_of(65, "masked_lm", "fill-mask", {"--input", (folder / "texts.txt").string()}),
              AllOf(HasSubstr("texts.txt:2"), HasSubstr("no [MASK]")));
  std::string cut;
  for (int i = 0; i < 40; ++i) cut += "the cat ";
  EXPECT_THAT(error_of(65, "masked_lm", "fill-mask", {"--text", cut + "[MASK]"}),
              AllOf(HasSubstr("--text number 1"), HasSubstr("no [MASK]")));
}

TEST(PredictErrors, AModelWithoutTheHead) {
  EXPECT_THAT(error_of(78, "classifier", "fill-mask", {"--text", "[MASK]"}),
              AllOf(HasSubstr("cls.predictions"), HasSubstr("BertForMaskedLM")));
  EXPECT_THAT(error_of(78, "masked_lm", "text-classification", {"--text", "a"}),
              AllOf(HasSubstr("classifier.weight"), HasSubstr("BertForSequenceClassification")));
  EXPECT_THAT(error_of(78, "classifier", "zero-shot-classification", {"--candidate-labels", "a,b", "--text", "a"}),
              AllOf(HasSubstr("id2label"), HasSubstr("'entail'")));
}

TEST(PredictErrors, ZeroShotWithoutLabelsOrAPlaceForThem) {
  EXPECT_THAT(error_of(2, "nli", "zero-shot-classification", {"--text", "a"}), HasSubstr("--candidate-labels"));
  EXPECT_THAT(error_of(2, "nli", "zero-shot-classification", {"--text", "a", "--candidate-labels", " , "}),
              HasSubstr("--candidate-labels"));
  EXPECT_THAT(
      error_of(2, "nli", "zero-shot-classification", {"--text", "a", "--candidate-labels", "b", "--hypothesis-template", "It is so."}),
      AllOf(HasSubstr("It is so."), HasSubstr("{}")));
}

TEST(PredictErrors, ALineThatIsNoCall) {
  const TemporaryFolder folder;
  const std::string path = (folder / "calls.jsonl").string();
  const std::vector<std::pair<std::string, std::string>> lines = {{"{\"text\":\"a\"", "not JSON"},
                                                                  {"[1]", "expected an object"},
                                                                  {"{\"txt\":\"a\"}", "'txt' is no argument"},
                                                                  {"{\"text\":7}", "expected a string"},
                                                                  {"{\"text_pair\":\"a\"}", "has no text"},
                                                                  {"{\"text\":\"a\",\"inputs\":\"b\"}", "twice"}};
  for (const auto& [line, word] : lines) {
    write_text(path, "{\"text\":\"good\"}\n" + line + "\n");
    EXPECT_THAT(error_of(65, "classifier", "text-classification", {"--input", path}), AllOf(HasSubstr("calls.jsonl:2: "), HasSubstr(word)));
  }
  // The second of three ranks has the line; one message is printed all the same.
  write_text(path, "{\"text\":\"good\"}\n{\n{\"text\":\"good\"}\n");
  EXPECT_THAT(error_of(65, "classifier", "text-classification", {"--input", path}, {.ranks = 3}), HasSubstr("calls.jsonl:2: not JSON"));
}

TEST(PredictErrors, OptionsThatMeanNothingOrTooMuch) {
  const std::vector<std::string> text = {"--text", "a"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(), text.begin(), text.end());
    return more;
  };
  EXPECT_THAT(error_of(2, "classifier", "text-classification", with({"--targets", "a"})),
              AllOf(HasSubstr("--targets"), HasSubstr("text-classification")));
  EXPECT_THAT(error_of(2, "classifier", "text-classification", with({"--data", "a"})), HasSubstr("--data"));
  EXPECT_THAT(error_of(2, "classifier", "text-classification", with({"--task", "mrpc"})),
              AllOf(HasSubstr("--task"), HasSubstr("--pipeline")));
  EXPECT_THAT(error_of(2, "classifier", "text-classification", with({"--input", "a"})), AllOf(HasSubstr("--text"), HasSubstr("--input")));
  EXPECT_THAT(error_of(2, "classifier", "text-clasification", text), HasSubstr("did you mean text-classification?"));
  EXPECT_THAT(error_of(2, "classifier", "text-classification", with({"--max-seq-length", "33"})), HasSubstr("32 positions"));
  EXPECT_THAT(error_of(2, "masked_lm", "fill-mask", {"--text", "[MASK]", "--top-k", "0"}), HasSubstr("--top-k"));
  EXPECT_THAT(error_of(66, "classifier", "text-classification", {"--input", "absent.txt"}), HasSubstr("absent.txt"));
}

TEST(PredictErrors, TextsThatAreTooLongAreRefusedIfTheyMayNotBeCut) {
  std::string text = "a";
  for (int i = 0; i < 29; ++i) text += " a";
  error_of(0, "classifier", "text-classification", {"--text", text, "--no-truncation"});  // 30 words, [CLS], [SEP]: 32 positions
  EXPECT_THAT(error_of(65, "classifier", "text-classification", {"--text", text + " a", "--no-truncation"}),
              AllOf(HasSubstr("33 tokens"), HasSubstr("--no-truncation")));
}

}  // namespace mpibert::test
