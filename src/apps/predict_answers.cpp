#include <nlohmann/json.hpp>

#include "apps/command.h"
#include "apps/dealt_lines.h"
#include "apps/heads.h"
#include "apps/predict.h"
#include "mpibert/base/error.h"
#include "mpibert/base/file.h"
#include "tasks/pipelines/pipelines.h"

namespace mpibert::apps {

namespace {

using nlohmann::ordered_json;

QaOptions windows_of(const PredictFlags& flags, const BertConfig& config) {
  QaOptions options = flags.qa.feature_options();
  if (flags.max_seq_length > 0) options.max_seq_length = flags.max_seq_length;
  options.max_seq_length = std::min(options.max_seq_length, config.max_position_embeddings);
  if (flags.predictions.empty()) options.doc_stride = std::min(options.doc_stride, options.max_seq_length / 2);  // as the pipeline
  return options;
}

// {"id", ...} of a question: what the pipeline answers.
ordered_json answer_of(const std::string& id, const std::vector<QaAnswer>& answers) {
  ordered_json object = {{"id", id}};
  if (answers.size() == 1) object.update(to_json(answers));
  else object["answers"] = to_json(answers);
  return object;
}

// The same for the files of answers, from which rank 0 takes it apart.
ordered_json entry_of(const std::string& id, const QaPrediction& prediction, size_t features) {
  ordered_json n_best = ordered_json::array();
  for (const QaCandidate& each : prediction.candidates)
    n_best.push_back(
        {{"text", each.text}, {"probability", each.probability}, {"start_logit", each.start_logit}, {"end_logit", each.end_logit}});
  return {{"id", id}, {"text", prediction.text}, {"null_odds", prediction.null_odds}, {"n_best", n_best}, {"features", features}};
}

// Names and form of run_qa.py and run_squad.py.
class AnswerFiles {
 public:
  void add(const std::string& entry) {
    ordered_json object = ordered_json::parse(entry);
    const auto id = object["id"].get<std::string>();
    texts_[id] = std::move(object["text"]);
    odds_[id] = object["null_odds"];
    n_best_[id] = std::move(object["n_best"]);
    features_ += object["features"].get<int64_t>();
  }
  void write(const PredictFlags& flags, const Task& task) const {
    const std::filesystem::path folder = flags.predictions;
    std::error_code code;
    std::filesystem::create_directories(folder, code);
    MPIBERT_CHECK(!code, kBusy, "cannot make the folder ", folder.string(), ": ", code.message());
    write_file_atomically(folder / "predictions.json", texts_.dump(4) + "\n");
    write_file_atomically(folder / "nbest_predictions.json", n_best_.dump(4) + "\n");
    if (task.may_be_impossible) write_file_atomically(folder / "null_odds.json", odds_.dump(4) + "\n");
    print_line(json_line({{"task", task.name},
                          {"split", flags.split},
                          {"count", texts_.size()},
                          {"features", features_},
                          {"predictions", (folder / "predictions.json").string()}}));
  }

 private:
  ordered_json texts_ = ordered_json::object(), n_best_ = ordered_json::object(), odds_ = ordered_json::object();
  int64_t features_ = 0;
};

// One question after the other, as framed id, question and context.
DealtLines::Next questions_of(const PredictFlags& flags, const Task& task) {
  return [data = read_squad(task, flags.data, flags.split), at = size_t{0}]() mutable -> std::optional<std::string> {
    if (at == data.questions.size()) return std::nullopt;
    const SquadQuestion& question = data.questions[at++];
    return framed({question.id, question.text, data.contexts[question.context]});
  };
}

}  // namespace

int predict_answers(const PredictFlags& flags) {
  const Task task = flags.task.open();
  Session session = flags.session.open();
  const ModelSource source = open_model_source(flags.model);
  const BertTokenizer tokenizer = BertTokenizer::from_model(source.folder);
  const QaOptions windows = windows_of(flags, source.config);
  LoadedModel model(flags, session, source, head_maker(task), "a head for questions (BertForQuestionAnswering)");

  const PipelineOptions& p = flags.pipeline_options;
  const QaPipelineOptions printed{.top_k = p.top_k.value_or(1),
                                  .max_answer_len = p.max_answer_len,
                                  .handle_impossible_answer = p.handle_impossible_answer,
                                  .align_to_words = p.align_to_words};
  const bool writes = !flags.predictions.empty();
  const auto compute = [&](const std::vector<std::string>& questions, int64_t /*first*/) {
    std::vector<PipelineCall> calls;
    for (const std::string& each : questions) {
      const std::vector<std::string> texts = unframed(each);
      const auto result = [&, id = texts[0]](const QaContext& context, std::span<const QaFeature> features,
                                             std::span<const Prediction> logits) {
        if (!writes) return json_line(answer_of(id, pipeline_answers(tokenizer, context, features, logits, printed)));
        return json_line(
            entry_of(id, predict_answer(tokenizer, context, features, logits, windows.convention, flags.qa.scoring, task.may_be_impossible),
                     features.size()));
      };
      calls.push_back(question_call(tokenizer, texts[1], texts[2], windows, str_cat(flags.data, ": question ", texts[0]), result));
    }
    return model.run(calls);
  };
  AnswerFiles files;
  const auto use = [&](const std::string& line) {
    if (writes) files.add(line);
    else print_line(line);
  };
  deal_lines(*session.comm,
             {.open = [&] { return questions_of(flags, task); }, .compute = compute, .use = use, .window_bytes = 16 * flags.micro_tokens});
  if (writes && session.comm->rank() == 0) files.write(flags, task);
  return 0;
}

}  // namespace mpibert::apps
