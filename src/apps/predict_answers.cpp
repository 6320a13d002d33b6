#include "apps/predict_answers.h"

#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/command.h"
#include "apps/heads.h"
#include "apps/model_inputs.h"
#include "apps/session.h"
#include "apps/train.h"
#include "data/pack.h"
#include "mpibert/base/error.h"
#include "mpibert/base/file.h"

namespace mpibert::apps {

namespace {

using nlohmann::ordered_json;

// A model that gives the logits of features, in order.
class QaModel {
 public:
  QaModel(const AnswerRequest& request, Backend& backend, const ModelSource& source)
      : max_position_embeddings_(source.config.max_position_embeddings),
        micro_tokens_(std::max(request.micro_tokens, request.max_seq_length)),
        backend_(backend),
        model_(source.config, arena_, head_maker(request.task)) {
    arena_.allocate(backend_, precision_on(backend_.device(), request.precision), arena_.size());
    std::vector<float> masters = load_masters(source, arena_, {}, 0);
    arena_.set_values(backend_, host_tensor(std::span(masters), {arena_.size()}));
    model_.plan(backend_, arena_.compute(), limits_of(micro_tokens_, max_position_embeddings_), false);
    model_.allocate(backend_);
  }

  std::vector<Prediction> logits_of(std::span<const QaFeature> features) {
    std::vector<Prediction> logits;
    for (size_t begin = 0; begin < features.size();) {
      int64_t room = micro_tokens_;
      std::vector<PlacedSample> samples;
      for (; begin < features.size() && room >= tokens_of(features[begin]); ++begin) {
        room -= tokens_of(features[begin]);
        samples.push_back({.sample = {.id = 0, .input_ids = features[begin].input_ids, .token_type_ids = features[begin].token_type_ids, .labels = {}}, .place = 0});
      }
      run(samples, logits);
    }
    return logits;
  }

 private:
  static int64_t tokens_of(const QaFeature& feature) { return static_cast<int64_t>(feature.input_ids.size()); }

  void run(std::span<const PlacedSample> samples, std::vector<Prediction>& logits) {
    const Batch batch = make_batch(samples, {}, max_position_embeddings_);
    model_.put(backend_, batch);
    model_.forward(backend_, {.train = false});
    const std::vector<float> values = host_floats(backend_, model_.logits(0));
    auto at = values.begin();
    for (const PlacedSample& placed : samples) {
      const auto count = static_cast<ptrdiff_t>(2 * placed.sample.input_ids.size());
      logits.push_back({.sample = static_cast<int64_t>(logits.size()), .values = {at, at + count}});
      at += count;
    }
  }

  int64_t max_position_embeddings_, micro_tokens_;
  Backend& backend_;
  ParameterArena arena_;
  Model model_;
};

struct Question {
  std::string question, context;
};

// "question<tab>context", or a JSON object with these members.
Question question_of(const std::string& line, int64_t number) {
  Question read;
  if (line.starts_with('{')) {
    const auto object = nlohmann::json::parse(line, nullptr, false);
    const auto text = [&](const char* name) { return object.is_object() && object.contains(name) && object[name].is_string() ? object[name].get<std::string>() : std::string(); };
    read = {text("question"), text("context")};
  } else if (const size_t tab = line.find('\t'); tab != std::string::npos) {
    read = {line.substr(0, tab), line.substr(tab + 1)};
  }
  MPIBERT_CHECK(!read.question.empty() && !read.context.empty(), kCorrupt, "line ", number,
                ": expected a question and a context, neither empty, with a tab between them or as {\"question\": .., \"context\": ..}");
  return read;
}

ordered_json to_json(const QaAnswer& answer) { return {{"score", answer.score}, {"start", answer.start}, {"end", answer.end}, {"answer", answer.answer}}; }

// One answer is an object, several are a list: as transformers' pipeline gives them.
ordered_json to_json(const std::vector<QaAnswer>& answers) {
  if (answers.size() == 1) return to_json(answers.front());
  ordered_json list = ordered_json::array();
  for (const QaAnswer& answer : answers) list.push_back(to_json(answer));
  return list;
}

std::string dumped(const ordered_json& json, int indent = -1) { return json.dump(indent, ' ', false, ordered_json::error_handler_t::replace); }

// Answers lines as they come.
void answer_lines(const AnswerRequest& request, const BertTokenizer& tokenizer, QaModel& model, const QaOptions& options) {
  std::ifstream file;
  const bool from_standard_input = request.input.empty() || request.input == "-";
  if (!from_standard_input) file.open(request.input, std::ios::binary);
  MPIBERT_CHECK(from_standard_input || file.is_open(), kNotFound, "cannot open ", request.input, "; give a file of questions and contexts, or - for standard input");
  std::istream& in = from_standard_input ? std::cin : file;
  int64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    const Question question = question_of(line, ++number);
    const QaContext context = encode_context(tokenizer, question.context, options.convention);
    const std::vector<QaFeature> features = encode_question(tokenizer, question.question, context, options);
    print_line(dumped(to_json(pipeline_answers(tokenizer, context, features, model.logits_of(features), request.flags.pipeline))));
  }
}

void answer_questions(const AnswerRequest& request, const BertTokenizer& tokenizer, QaModel& model, const QaSplit& split) {
  for (size_t i = 0; i < split.data.questions.size(); ++i) {
    const SquadQuestion& question = split.data.questions[i];
    const std::vector<QaAnswer> answers = pipeline_answers(tokenizer, split.contexts[question.context], split.features[i], model.logits_of(split.features[i]), request.flags.pipeline);
    ordered_json object = {{"id", question.id}};
    if (answers.size() == 1) object.update(to_json(answers.front()));
    else object["answers"] = to_json(answers);
    print_line(dumped(object));
  }
}

void write_predictions(const AnswerRequest& request, const BertTokenizer& tokenizer, QaModel& model, const QaSplit& split) {
  std::vector<QaFeature> features;
  for (const auto& of_question : split.features) features.insert(features.end(), of_question.begin(), of_question.end());
  const std::vector<QaPrediction> answers = predict_answers(request.task, tokenizer, split, model.logits_of(features), request.flags.qa.scoring);
  ordered_json texts = ordered_json::object(), n_best = ordered_json::object(), odds = ordered_json::object();
  for (size_t i = 0; i < answers.size(); ++i) {
    const std::string& id = split.data.questions[i].id;
    texts[id] = answers[i].text;
    odds[id] = answers[i].null_odds;
    n_best[id] = ordered_json::array();
    for (const QaCandidate& each : answers[i].candidates)
      n_best[id].push_back({{"text", each.text}, {"probability", each.probability}, {"start_logit", each.start_logit}, {"end_logit", each.end_logit}});
  }
  const std::filesystem::path folder = request.flags.predictions;
  std::error_code code;
  std::filesystem::create_directories(folder, code);
  MPIBERT_CHECK(!code, kBusy, "cannot make the folder ", folder.string(), ": ", code.message());
  write_file_atomically(folder / "predictions.json", dumped(texts, 4) + "\n");
  write_file_atomically(folder / "nbest_predictions.json", dumped(n_best, 4) + "\n");
  if (request.task.may_be_impossible) write_file_atomically(folder / "null_odds.json", dumped(odds, 4) + "\n");
  print_line(dumped({{"task", request.task.name}, {"split", request.split}, {"count", answers.size()}, {"features", features.size()}, {"predictions", (folder / "predictions.json").string()}}));
}

}  // namespace

const std::vector<std::string>& AnswerFlags::names() {
  static const std::vector<std::string> names = {"qa-features", "doc-stride", "max-query-length", "n-best-size", "max-answer-length", "null-score-diff-threshold",
                                                 "max-answer-len", "handle-impossible-answer", "align-to-words", "predictions"};
  return names;
}

void AnswerFlags::declare(Options& options) {
  qa.declare_features(options);
  qa.declare_scoring(options);
  options.add({.name = "max-answer-len", .target = &pipeline.max_answer_len, .help = "question answering: tokens of a printed answer at most", .minimum = 1});
  options.add({.name = "handle-impossible-answer", .target = &pipeline.handle_impossible_answer, .help = "question answering: no answer, \"\", is one of those printed"});
  options.add({.name = "align-to-words", .target = &pipeline.align_to_words, .help = "question answering: printed answers have no parts of words"});
  options.add({.name = "predictions", .target = &predictions, .help = "question answering, with --data: folder for predictions.json, nbest_predictions.json and null_odds.json"});
}

int predict_answers(const AnswerRequest& request, Session& session) {
  MPIBERT_CHECK(request.flags.predictions.empty() || !request.data.empty(), kUsage, "--predictions is made of a file of questions, expected in --data; it is missing");
  const ModelSource source = open_model_source(request.model);
  const BertTokenizer tokenizer = BertTokenizer::from_model(source.folder);
  QaOptions options = request.flags.qa.feature_options();
  options.max_seq_length = std::min(request.max_seq_length, source.config.max_position_embeddings);
  QaModel model(request, *session.backend, source);
  if (request.flags.predictions.empty()) options.doc_stride = std::min(options.doc_stride, options.max_seq_length / 2);  // as the pipeline
  if (request.data.empty()) {
    answer_lines(request, tokenizer, model, options);
    return 0;
  }
  const QaSplit split = make_qa_split(tokenizer, read_squad(request.task, request.data, request.split), options);
  if (request.flags.predictions.empty()) answer_questions(request, tokenizer, model, split);
  else write_predictions(request, tokenizer, model, split);
  return 0;
}

}  // namespace mpibert::apps
