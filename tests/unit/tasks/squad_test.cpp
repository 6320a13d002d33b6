#include "mpibert/tasks/squad.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include "mpibert/tasks/question_answering.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace mpibert {

using namespace test;

namespace {

// One context with the questions given as JSON.
std::string squad(const std::string& context, const std::string& questions) {
  return R"({"version": "1.1", "data": [{"title": "T", "paragraphs": [{"context": ")" + context + R"(", "qas": [)" + questions + "]}]}]}";
}
std::string question(const std::string& id, const std::string& rest) {
  return R"({"id": ")" + id + R"(", "question": "who?")" + rest + "}";
}
std::string answer(const std::string& text, int64_t start) {
  return R"({"text": ")" + text + R"(", "answer_start": )" + std::to_string(start) + "}";
}

void expect_corrupt(const std::string& text, const std::vector<std::string>& words) {
  expect_error(ErrorKind::kCorrupt, words, [&] { parse_squad(text, "dev.json"); });
}

SquadData of_answers(const std::vector<std::vector<std::string>>& answers) {
  SquadData data{.contexts = {"context"}, .questions = {}};
  for (size_t i = 0; i < answers.size(); ++i) {
    SquadQuestion& asked = data.questions.emplace_back(
        SquadQuestion{.id = std::to_string(i), .text = "?", .has_answers = true, .impossible = answers[i].empty()});
    for (const std::string& text : answers[i]) asked.answers.push_back({.text = text});
  }
  return data;
}

double score_named(const Scores& scores, const std::string& name) {
  for (const auto& [known, value] : scores)
    if (known == name) return value;
  ADD_FAILURE() << "no score " << name;
  return -1;
}

}  // namespace

TEST(Squad, CountsCharactersNotBytes) {
  const SquadData data = parse_squad(squad("\xF0\x9F\x98\x80 Zo\xC3\xAB m\xC3\xBC"
                                           "de",
                                           question("a", R"(, "answers": [)" + answer("Zo\xC3\xAB", 2) + "]")),
                                     "dev.json");
  ASSERT_EQ(data.questions.size(), 1u);
  EXPECT_EQ(data.questions[0].answers[0].start, 2);
  EXPECT_FALSE(data.questions[0].impossible);
}

TEST(Squad, KnowsWhichQuestionsHaveNoAnswer) {
  const SquadData data =
      parse_squad(squad("the cat", question("listed", R"(, "answers": [])") + "," +
                                       question("said", R"(, "answers": [)" + answer("cat", 4) + R"(], "is_impossible": true)") + "," +
                                       question("unasked", "")),
                  "x");
  EXPECT_TRUE(data.questions[0].impossible && data.questions[0].has_answers);
  EXPECT_TRUE(data.questions[1].impossible);
  EXPECT_FALSE(data.questions[2].impossible || data.questions[2].has_answers);
}

TEST(Squad, RefusesWhatIsNotItsFormAndSaysWhere) {
  expect_corrupt("{\"data\": [", {"dev.json: not JSON", "line 1, column 11"});
  expect_corrupt("{\"version\": \"1.1\"}", {"dev.json: \"data\" is missing"});
  expect_corrupt("{\"data\": []}", {"dev.json: no question"});
  expect_corrupt(squad("the cat", R"({"question": "who?"})"), {"dev.json: data[0].paragraphs[0].qas[0]: \"id\" is missing"});
  expect_corrupt(squad("the cat", R"({"id": 7, "question": "who?"})"), {"qas[0]: \"id\" is not a string but number"});
  expect_corrupt(squad("the cat", question("a", R"(, "answers": [{"text": "cat"}])")), {"qas[0].answers[0]: \"answer_start\" is missing"});
  expect_corrupt(squad("the cat", question("a", R"(, "answers": {})")), {"\"answers\" is not a list but object"});
  expect_corrupt(squad("the cat", question("a", "") + "," + question("a", "")), {"qas[1]: the id \"a\" is that of an earlier question"});
  expect_corrupt(squad("the cat", question("a", R"(, "is_impossible": 1)")), {"\"is_impossible\" is not true or false but number"});
}

TEST(Squad, RefusesAnswersThatAreNotInTheContext) {
  const auto with = [](const std::string& text, int64_t start) {
    return squad("the cat sat", question("a", R"(, "answers": [)" + answer("the", 0) + "," + answer(text, start) + "]"));
  };
  expect_corrupt(with("sat", 9), {"qas[0].answers[1]: the answer, characters 9 to 12, lies outside the context, which has 11"});
  expect_corrupt(with("sat", 4),
                 {"answers[1]: the context has \"cat\" at answer_start 4, expected the answer, \"sat\", which stands at 8"});
  expect_corrupt(with("dog", 4), {"expected the answer, \"dog\", which is nowhere in it"});
  expect_corrupt(with("cat", -1), {"\"answer_start\" is not a count"});
}

TEST(Squad, PredictionsAreTextsByIdAndOddsNumbers) {
  const TemporaryFolder folder;
  write_text(folder / "p.json", R"({"a": "x", "b": ""})");
  EXPECT_EQ(read_squad_predictions(folder / "p.json"), (SquadPredictions{{"a", "x"}, {"b", ""}}));
  write_text(folder / "p.json", R"({"a": 1})");
  expect_error(ErrorKind::kCorrupt, {"p.json: \"a\": expected a text, found number"}, [&] { read_squad_predictions(folder / "p.json"); });
  expect_error(ErrorKind::kNotFound, {"none.json"}, [&] { read_null_odds(folder / "none.json"); });
}

TEST(SquadScores, NormalisesAsTheOfficialScripts) {
  EXPECT_EQ(normalize_answer("  The  cat, a \"dog\" and an ox! "), "cat dog and ox");
  EXPECT_EQ(normalize_answer("the-cat"), "thecat") << "punctuation goes first";
  EXPECT_EQ(normalize_answer("a\xC3\xA9 \xC3\xA9"
                             "a a"),
            "a\xC3\xA9 \xC3\xA9"
            "a")
      << "letters beyond ASCII are parts of words";
  EXPECT_EQ(normalize_answer("the\xE2\x80\x94"
                             "cat"),
            "\xE2\x80\x94"
            "cat")
      << "a dash of Unicode is none of string.punctuation, but ends a word";
  EXPECT_EQ(normalize_answer("a\xCC\x81 b"), "\xCC\x81 b") << "\\w of Python has no marks";
  EXPECT_EQ(normalize_answer("\xCE\x9F\xCE\x94\xCE\x9F\xCE\xA3 \xCE\xA3"), "\xCE\xBF\xCE\xB4\xCE\xBF\xCF\x82 \xCF\x83")
      << "a sigma at the end of a word";
  EXPECT_EQ(normalize_answer("x\xC2\xA0y\x1Fz"), "x y z");
  EXPECT_EQ(normalize_answer("The."), "");
}

// Worked by hand from the published formulas.
TEST(SquadScores, Version1TakesTheBestOfAllAnswers) {
  const SquadData data = of_answers({{"the red cat", "cat"}, {"x"}, {"y"}, {"a"}});
  const Scores scores = score_squad1(data, {{"0", "red cats and a cat"}, {"1", "X."}, {"3", ""}});
  // 0: words red cats and cat against red cat: 2 of 4, 2 of 2; f1 2/3. 1: right. 2: no prediction. 3: both empty: equal, but without a word
  // in common.
  EXPECT_DOUBLE_EQ(score_named(scores, "exact_match"), 100.0 * 2 / 4);
  EXPECT_DOUBLE_EQ(score_named(scores, "f1"), 100.0 * (2.0 / 3 + 1) / 4);
  expect_error(ErrorKind::kInvalidArgument, {"question 0 has no answer", "squad2"}, [] { score_squad1(of_answers({{}}), {}); });
}

TEST(SquadScores, Version2KeepsApartWhatHasNoAnswerAndFindsTheBestThreshold) {
  const SquadData data = of_answers({{"cat"}, {}, {}, {"the"}, {"dog"}});
  const SquadPredictions predictions = {{"0", "cat"}, {"1", ""}, {"2", "fish"}, {"3", ""}};
  const Scores plain = score_squad2(data, predictions);
  EXPECT_DOUBLE_EQ(score_named(plain, "exact"), 75);  // 4 is left out; an answer that normalises to nothing is no answer
  EXPECT_EQ(score_named(plain, "total"), 4);
  EXPECT_DOUBLE_EQ(score_named(plain, "HasAns_f1"), 100);
  EXPECT_EQ(score_named(plain, "HasAns_total"), 2);
  EXPECT_DOUBLE_EQ(score_named(plain, "NoAns_exact"), 50);
  EXPECT_EQ(plain.size(), 9u);

  // From nothing answered (1 and 2 right) upwards: 0 gains 1, 3 gains 1, 2 loses 1, 1 loses nothing.
  const NullOdds odds = {{"0", -3}, {"1", 5}, {"2", 2}, {"3", -1}};
  const Scores best = score_squad2(data, predictions, &odds);
  EXPECT_DOUBLE_EQ(score_named(best, "best_exact"), 100);
  EXPECT_DOUBLE_EQ(score_named(best, "best_exact_thresh"), -1);
  EXPECT_DOUBLE_EQ(score_named(score_squad2(data, predictions, &odds, 1.0), "exact"), 100) << "odds of 2 above 1: no answer is taken";
}

TEST(SquadScores, ScoreRealPredictionsAsPublished) {
  const auto data = real_data();
  if (!data || !std::filesystem::exists(*data / "squad" / "dev-v1.1.json.gz")) GTEST_SKIP() << "no real data";
  const SquadData dev = parse_squad(read_squad_text(*data / "squad" / "dev-v1.1.json.gz"), "dev-v1.1.json.gz");
  EXPECT_EQ(dev.questions.size(), 10570u);
  struct Known {
    const char* file;
    double exact_match, f1;
  };
  for (const Known& known :
       {Known{"bert_ensemble", 86.2062, 92.1956}, Known{"logistic_regression", 40.1419, 50.9815}, Known{"match_lstm", 67.6348, 76.7556}}) {
    const Scores scores =
        score_squad1(dev, read_squad_predictions(*data / "squad" / "predictions" / (std::string(known.file) + ".json.gz")));
    EXPECT_NEAR(score_named(scores, "exact_match"), known.exact_match, 5e-5) << known.file;
    EXPECT_NEAR(score_named(scores, "f1"), known.f1, 5e-5) << known.file;
  }
}

}  // namespace mpibert
