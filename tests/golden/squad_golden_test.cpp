// SQuAD's features and scores equal those of generate/squad.py.

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "mpibert/tasks/question_answering.h"
#include "tests/support/files.h"

namespace mpibert::test {

namespace {

using nlohmann::json;

// Sums of 1,000 terms up to 1.
constexpr double kTolerance = 1e-12 * 100;

std::vector<json> lines_of(const std::string& fixture) {
  std::ifstream file(source_folder() / "tests/golden/fixtures" / (fixture + ".jsonl"));
  std::vector<json> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(json::parse(line));
  return lines;
}

// [input_ids, token_type_ids, start_position, end_position, [[begin, end], ..]] of each feature; null where the question is left out of
// training.
json features_of(const BertTokenizer& tokenizer, const json& asked, const QaOptions& options) {
  const bool by_words = options.convention == QaConvention::kRunSquad;
  SquadData data{.contexts = {asked["context"]}, .questions = {{.id = "q", .text = asked["question"], .has_answers = true}}};
  if (!asked["answer"].is_null()) data.questions[0].answers.push_back({.text = asked["answer"][0], .start = asked["answer"][1]});
  if (by_words && drop_lost_answers(data) > 0) return nullptr;
  const QaContext context = encode_context(tokenizer, data.contexts[0], options.convention);
  std::optional<Span> pieces;
  if (!data.questions[0].answers.empty()) pieces = answer_pieces(tokenizer, context, data.questions[0].answers[0], options.convention);
  json features = json::array();
  for (const QaFeature& feature : encode_question(tokenizer, data.questions[0].text, context, options)) {
    const Span positions = positions_of(feature, pieces);
    json spans = json::array();
    for (int32_t piece = feature.begin; piece < feature.end; ++piece) {
      const Span& span = (by_words ? context.words : context.places)[static_cast<size_t>(piece)];
      spans.push_back({span.begin, span.end});
    }
    features.push_back({feature.input_ids, feature.token_type_ids, positions.begin, positions.end, spans});
  }
  return features;
}

}  // namespace

TEST(SquadGolden, FeaturesOfBothConventions) {
  const BertTokenizer tokenizer = BertTokenizer::from_model(source_folder() / "datasets/sample/model");
  const std::vector<json> lines = lines_of("squad_features");
  ASSERT_GT(lines.size(), 10u);
  QaOptions options{
      .max_seq_length = lines[0]["max_seq_length"], .doc_stride = lines[0]["doc_stride"], .max_query_length = lines[0]["max_query_length"]};
  for (size_t i = 1; i < lines.size(); ++i) {
    options.convention = QaConvention::kRunQa;
    EXPECT_EQ(features_of(tokenizer, lines[i], options), lines[i]["run_qa"]) << "line " << i;
    options.convention = QaConvention::kRunSquad;
    if (lines[i].contains("run_squad")) {
      EXPECT_EQ(features_of(tokenizer, lines[i], options), lines[i]["run_squad"]) << "line " << i;
    }
  }
}

TEST(SquadGolden, ScoresOfAThousandPredictions) {
  const std::vector<json> lines = lines_of("squad_scores");
  ASSERT_EQ(lines.size(), 1001u);
  SquadData all{.contexts = {""}, .questions = {}}, answered = all;
  SquadPredictions predictions;
  NullOdds odds;
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::string id = std::to_string(10000 + i);
    SquadQuestion question{.id = id, .text = "", .has_answers = true};
    for (const json& text : lines[i][0]) question.answers.push_back({.text = text});
    predictions[id] = lines[i][1];
    odds[id] = lines[i][2];
    all.questions.push_back(question);
    if (!question.answers.empty()) answered.questions.push_back(question);
  }
  for (const auto& [name, value] : score_squad2(all, predictions, &odds))
    if (lines[0].contains(name)) {
      EXPECT_NEAR(value, lines[0][name].get<double>(), kTolerance) << name;
    }
  for (const auto& [name, value] : score_squad1(answered, predictions))
    EXPECT_NEAR(value, lines[0][name + "_1"].get<double>(), kTolerance) << name;
}

}  // namespace mpibert::test
