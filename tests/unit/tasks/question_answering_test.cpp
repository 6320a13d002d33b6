#include "mpibert/tasks/question_answering.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace mpibert {

using namespace test;

namespace {

using testing::ElementsAre;

// Every word is a token of its own, w0 is 5, w1 is 6 ..; "un" and "##it" make a word of two.
BertTokenizer tokenizer() {
  std::vector<std::string> tokens = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
  for (int i = 0; i < 30; ++i) tokens.push_back("w" + std::to_string(i));
  for (const char* token : {"un", "##it", "(", ")", "-", "."}) tokens.emplace_back(token);
  return BertTokenizer(Vocabulary::from_tokens(tokens));
}

std::string words(int from, int to) {
  std::string text;
  for (int i = from; i < to; ++i) text += (text.empty() ? "w" : " w") + std::to_string(i);
  return text;
}

struct Asked {
  QaContext context;
  std::vector<QaFeature> features;
};
Asked ask(const std::string& question, const std::string& context, const QaOptions& options) {
  const QaContext encoded = encode_context(tokenizer(), context, options.convention);
  return {encoded, encode_question(tokenizer(), question, encoded, options)};
}

// Logits of one feature: small, but for what is named.
struct Peak {
  size_t place;
  float start, end;
};
Prediction logits(const QaFeature& feature, const std::vector<Peak>& peaks) {
  Prediction made{.sample = 0, .values = {}};
  for (size_t i = 0; i < feature.input_ids.size(); ++i)
    made.values.insert(made.values.end(), {-5.0f - 0.01f * static_cast<float>(i), -5.0f - 0.01f * static_cast<float>(i)});
  for (const Peak& peak : peaks) {
    made.values[2 * peak.place] = peak.start;
    made.values[2 * peak.place + 1] = peak.end;
  }
  return made;
}

std::vector<Span> windows(const std::vector<QaFeature>& features) {
  std::vector<Span> spans;
  for (const QaFeature& feature : features) spans.push_back({feature.begin, feature.end});
  return spans;
}

}  // namespace

TEST(QaFeatures, WindowsOverlapByTheStrideOrBeginEveryStride) {
  QaOptions options{.max_seq_length = 12, .doc_stride = 3, .max_query_length = 2};
  const Asked run_qa = ask("w0 w1", words(2, 20), options);  // 12 - 2 - 3 = 7 tokens of 18
  EXPECT_EQ(windows(run_qa.features), (std::vector<Span>{{0, 7}, {4, 11}, {8, 15}, {12, 18}}));
  EXPECT_THAT(run_qa.features[1].input_ids, ElementsAre(2, 5, 6, 3, 11, 12, 13, 14, 15, 16, 17, 3));
  EXPECT_THAT(run_qa.features[1].token_type_ids, ElementsAre(0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1));
  options.convention = QaConvention::kRunSquad;
  EXPECT_EQ(windows(ask("w0 w1", words(2, 20), options).features), (std::vector<Span>{{0, 7}, {3, 10}, {6, 13}, {9, 16}, {12, 18}}));
  EXPECT_EQ(ask("w0 w1 w2 w3", words(2, 20), options).features[0].input_ids, ask("w0 w1", words(2, 20), options).features[0].input_ids)
      << "the question is cut";
}

TEST(QaFeatures, ContextsThatFitHaveOneWindowEvenWithoutAToken) {
  const QaOptions options{.max_seq_length = 12, .doc_stride = 3};
  EXPECT_EQ(windows(ask("w0 w1", words(2, 9), options).features), (std::vector<Span>{{0, 7}}));
  EXPECT_THAT(ask("w0", " ", options).features.at(0).input_ids, ElementsAre(2, 5, 3, 3));
  EXPECT_TRUE(ask("w0", " ", {.convention = QaConvention::kRunSquad}).features.empty());
}

TEST(QaFeatures, AQuestionThatLeavesNoRoomIsRefused) {
  for (const std::string& question : {words(0, 6), words(0, 12)})  // a window no longer than the overlap; none at all
    expect_error(ErrorKind::kInvalidArgument, {"the question \"w0 w1", "max_seq_length 12", "doc_stride of 3", "take a larger"},
                 [&] { ask(question, words(0, 20), {.max_seq_length = 12, .doc_stride = 3}); });
}

TEST(QaFeatures, AnswersArePiecesAndThePositionsOfTheWindowsThatHoldThem) {
  const QaOptions options{.max_seq_length = 12, .doc_stride = 3};
  const Asked asked = ask("w0 w1", words(2, 20), options);
  const auto pieces = answer_pieces(tokenizer(), asked.context, {.text = "w8 w9", .start = 18}, options.convention);
  EXPECT_EQ(pieces, (Span{6, 7}));
  EXPECT_EQ(positions_of(asked.features[0], pieces), (Span{0, 0})) << "half of it is in the window";
  EXPECT_EQ(positions_of(asked.features[1], pieces), (Span{6, 7}));
  EXPECT_EQ(positions_of(asked.features[1], std::nullopt), (Span{0, 0}));
  const auto last = answer_pieces(tokenizer(), asked.context, {.text = "w8", .start = 18}, options.convention);
  EXPECT_EQ(positions_of(asked.features[0], last), (Span{10, 10})) << "the last token of a window, where run_qa.py leaves it";
}

// Google's example: the words of the answer "1895" are "(1895-1943)."
TEST(QaFeatures, OfRunSquadPiecesAreThoseOfTheWordsOrOfTheAnswerInThem) {
  const QaConvention convention = QaConvention::kRunSquad;
  const QaContext context = encode_context(tokenizer(), "w1 (w2-w3). unit", convention);
  EXPECT_EQ(context.ids.size(), 9u);
  EXPECT_EQ(answer_pieces(tokenizer(), context, {.text = "w2", .start = 4}, convention), (Span{2, 2}));
  EXPECT_EQ(answer_pieces(tokenizer(), context, {.text = "it", .start = 14}, convention), (Span{7, 8})) << "no piece of its own";
  EXPECT_EQ(answer_pieces(tokenizer(), context, {.text = " (w2", .start = 2}, convention), (Span{1, 2}))
      << "white space belongs to the word before";
  SquadData data{.contexts = {"w1\xC2\xA0w2 w3"},
                 .questions = {{.id = "a", .text = "?", .answers = {{.text = "w1\xC2\xA0w2", .start = 0}}, .has_answers = true},
                               {.id = "b", .text = "?", .answers = {{.text = "w3", .start = 6}}, .has_answers = true}}};
  EXPECT_EQ(drop_lost_answers(data), 1) << "a no-break space is a space of the answer, and none of the words";
  EXPECT_EQ(data.questions.at(0).id, "b");
}

TEST(QaPredictions, PairsTheBestStartsAndEnds) {
  const Asked asked = ask("w0", words(1, 9), {});  // places 3 .. 10 are w1 .. w8
  const auto predicted = [&](const std::vector<Peak>& peaks, const QaScoring& scoring = {}, bool may_be_impossible = false) {
    const std::vector<Prediction> of_features = {logits(asked.features[0], peaks)};
    return predict_answer(tokenizer(), asked.context, asked.features, of_features, QaConvention::kRunQa, scoring, may_be_impossible);
  };
  EXPECT_EQ(predicted({{4, 5, 0}, {6, 0, 5}}).text, "w2 w3 w4");
  EXPECT_EQ(predicted({{4, 5, 0}, {6, 0, 5}}, {.max_answer_length = 2}).text, "w2") << "5 + 0: a start with an end that is near enough";
  EXPECT_EQ(predicted({{6, 5, 0}, {4, 0, 4}, {7, 0, 3}}).text, "w4 w5") << "an end before its start is none";
  EXPECT_EQ(predicted({{1, 9, 9}, {4, 5, 5}}).text, "w2") << "nor is one in the question";
  const QaPrediction all = predicted({{4, 5, 5}});
  ASSERT_EQ(all.candidates.size(), 20u) << "of 36 pairs";
  double total = 0;
  for (const QaCandidate& each : all.candidates) total += each.probability;
  EXPECT_NEAR(total, 1, 1e-12);
  EXPECT_NEAR(std::log(all.candidates[0].probability / all.candidates[1].probability),
              10 - all.candidates[1].start_logit - all.candidates[1].end_logit, 1e-9);

  const QaPrediction none = predicted({{0, 3, 3}, {4, 2, 2}}, {}, true);
  EXPECT_EQ(none.text, "");
  EXPECT_DOUBLE_EQ(none.null_odds, 2);
  EXPECT_EQ(predicted({{0, 3, 3}, {4, 2, 2}}, {.null_score_diff_threshold = 2.0}, true).text, "w2")
      << "only what is more than the threshold";
  EXPECT_EQ(predicted({{0, 3, 3}, {4, 2, 2}}).text, "w2") << "where every question has an answer";
}

// Two windows see w4; the one in which it has more text on both sides counts.
TEST(QaPredictions, OfRunSquadAStartCountsWhereItHasMostContext) {
  const QaOptions options{.convention = QaConvention::kRunSquad, .max_seq_length = 10, .doc_stride = 3, .max_query_length = 2};
  const Asked asked = ask("w0", words(1, 10), options);  // windows of 6: w1 .. w6, w4 .. w9
  ASSERT_EQ(asked.features.size(), 2u);
  const std::vector<Prediction> of_features = {logits(asked.features[0], {{6, 3, 3}}), logits(asked.features[1], {{3, 9, 9}})};
  const QaPrediction found = predict_answer(tokenizer(), asked.context, asked.features, of_features, options.convention, {}, false);
  EXPECT_EQ(found.text, "w4");
  EXPECT_EQ(found.candidates[0].start_logit, 3) << "not the 9 of the window where it stands first";
}

TEST(QaPredictions, OfRunSquadTextIsBroughtBackFromThePieces) {
  const QaOptions options{.convention = QaConvention::kRunSquad};
  const Asked asked = ask("w0", "W1 (W2-W3). Unit", options);  // places 3: w1, 4: (, 5: w2, 6: -, ...
  const std::vector<Prediction> of_features = {logits(asked.features[0], {{5, 9, 9}})};
  EXPECT_EQ(predict_answer(tokenizer(), asked.context, asked.features, of_features, options.convention, {}, false).text, "W2");
}

TEST(QaPipeline, AddsUpWhatGivesTheSameWords) {
  const Asked asked = ask("w0", "unit w1 Unit", {});  // places 3 un, 4 ##it, 5 w1, 6 un, 7 ##it
  std::vector<Prediction> of_features = {logits(asked.features[0], {{3, 4, 1}, {4, 1, 4}, {6, 3, 0}, {7, 0, 3}})};
  const std::vector<QaAnswer> aligned = pipeline_answers(tokenizer(), asked.context, asked.features, of_features, {.top_k = 3});
  EXPECT_EQ(aligned[0].answer, "unit");
  EXPECT_EQ(aligned[0].start, 0);
  EXPECT_EQ(aligned[0].end, 4);
  const std::vector<QaAnswer> pieces =
      pipeline_answers(tokenizer(), asked.context, asked.features, of_features, {.top_k = 3, .align_to_words = false});
  EXPECT_GT(aligned[0].score, pieces[0].score) << "its parts, and the same word in other letters";
  EXPECT_EQ(pieces[0].answer, "unit");

  const std::vector<QaAnswer> none =
      pipeline_answers(tokenizer(), asked.context, asked.features, std::vector<Prediction>{logits(asked.features[0], {{0, 9, 9}})},
                       {.handle_impossible_answer = true});
  EXPECT_EQ(none[0].answer, "");
  EXPECT_NEAR(none[0].score, 1, 1e-3);
}

TEST(QaPipeline, OfAContextWithoutTokensIsNothing) {
  const Asked asked = ask("w0", " ", {});
  const std::vector<QaAnswer> answers =
      pipeline_answers(tokenizer(), asked.context, asked.features, std::vector<Prediction>{logits(asked.features[0], {})}, {});
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].answer, "");
  EXPECT_EQ(answers[0].score, 0);
}

}  // namespace mpibert
