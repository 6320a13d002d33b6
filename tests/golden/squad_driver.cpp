// Features and answers for squad_oracle.py.
// usage: squad_driver MODEL FILE.json run_qa|run_squad MAX_SEQ_LENGTH DOC_STRIDE MAX_QUERY_LENGTH [LOGITS 1|2]
// Without LOGITS, one line for each question of the file: [[input_ids, token_type_ids, start_position, end_position, [[begin, end], ..]],
// ..] as in fixtures/squad_features.jsonl; null where training leaves the question out. LOGITS has a line [[start, end], ..] for each
// feature; then a line for each question of a version 1 or 2:
// {"text": .., "null_odds": .., "nbest": [[text, probability], ..]}.
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "mpibert/base/error.h"
#include "mpibert/tasks/question_answering.h"

using namespace mpibert;
using Json = nlohmann::json;

namespace {

Json features_of(const BertTokenizer& tokenizer, const QaSplit& split, size_t number) {
  const SquadQuestion& question = split.data.questions[number];
  const QaContext& context = split.contexts[question.context];
  const bool by_words = split.options.convention == QaConvention::kRunSquad;
  std::optional<Span> pieces;
  if (!question.impossible && !question.answers.empty()) {
    SquadData alone{.contexts = {context.text}, .questions = {question}};
    alone.questions[0].context = 0;
    if (by_words && drop_lost_answers(alone) > 0) return nullptr;
    pieces = answer_pieces(tokenizer, context, question.answers.front(), split.options.convention);
  }
  Json features = Json::array();
  for (const QaFeature& feature : split.features[number]) {
    const Span positions = positions_of(feature, pieces);
    Json spans = Json::array();
    for (int32_t piece = feature.begin; piece < feature.end; ++piece) {
      const Span& span = (by_words ? context.words : context.places)[static_cast<size_t>(piece)];
      spans.push_back({span.begin, span.end});
    }
    features.push_back({feature.input_ids, feature.token_type_ids, positions.begin, positions.end, spans});
  }
  return features;
}

void print_answers(const BertTokenizer& tokenizer, const QaSplit& split, const char* logits_file, const std::string& version) {
  std::ifstream file(logits_file);
  std::vector<Prediction> logits;
  for (std::string line; std::getline(file, line);) {
    Prediction& prediction = logits.emplace_back();
    for (const Json& pair : Json::parse(line))
      prediction.values.insert(prediction.values.end(), {pair[0].get<float>(), pair[1].get<float>()});
  }
  for (const QaPrediction& answer : predict_answers(make_task(version == "2" ? "squad2" : "squad"), tokenizer, split, logits, {})) {
    Json n_best = Json::array();
    for (const QaCandidate& each : answer.candidates) n_best.push_back({each.text, each.probability});
    std::cout << Json{{"text", answer.text}, {"null_odds", answer.null_odds}, {"nbest", n_best}}.dump() << '\n';
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7 && argc != 9) return 2;
  try {
    const BertTokenizer tokenizer = BertTokenizer::from_model(argv[1]);
    const QaOptions options{.convention = argv[3] == std::string("run_qa") ? QaConvention::kRunQa : QaConvention::kRunSquad,
                            .max_seq_length = std::stoll(argv[4]),
                            .doc_stride = std::stoll(argv[5]),
                            .max_query_length = std::stoll(argv[6])};
    const QaSplit split = make_qa_split(tokenizer, parse_squad(read_squad_text(argv[2]), argv[2]), options);
    if (argc == 9) print_answers(tokenizer, split, argv[7], argv[8]);
    else
      for (size_t i = 0; i < split.features.size(); ++i) std::cout << features_of(tokenizer, split, i).dump() << '\n';
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}
