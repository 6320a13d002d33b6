#include <memory>
#include <nlohmann/json.hpp>

#include "apps/declarations.h"
#include "apps/heads.h"
#include "apps/model_inputs.h"
#include "apps/qa_flags.h"
#include "apps/task_data.h"
#include "apps/task_flags.h"
#include "apps/train.h"
#include "mpibert/base/error.h"

namespace mpibert::apps {

namespace {

struct Settings {
  SessionFlags session;
  TaskFlags task;
  QaFlags qa;
  std::string data, model, split = "dev", precision = "fp32", predictions, null_odds;
  int64_t max_seq_length = 128, micro_tokens = 8192;
  double na_prob_thresh = 1;
  MaskingOptions masking;
};

bool is_masked(const Dataset& dataset) {
  for (const Field& field : dataset.labels())
    if (field.name == "masked_lm_positions") return true;
  return false;
}

// Scores a file of answers, whoever made it, as the official scripts do. Needs no model.
int score_predictions(const Settings& settings) {
  const Task task = settings.task.open();
  MPIBERT_CHECK(task.kind == TaskKind::kQuestionAnswering, kUsage,
                "--predictions are answers to questions, expected with --task squad, squad2 or question-answering, found ", task.name);
  MPIBERT_CHECK(settings.model.empty(), kUsage, "--predictions are scored without a model; leave --model out");
  MPIBERT_CHECK(settings.null_odds.empty() || task.may_be_impossible, kUsage, "--null-odds go with --task squad2; questions of task ",
                task.name, " all have an answer");
  const SquadData data = read_squad(task, settings.data, settings.split);
  const SquadPredictions predictions = read_squad_predictions(settings.predictions);
  const std::optional<NullOdds> odds = settings.null_odds.empty() ? std::nullopt : std::optional(read_null_odds(settings.null_odds));
  const Scores scores = task.may_be_impossible ? score_squad2(data, predictions, odds ? &*odds : nullptr, settings.na_prob_thresh)
                                               : score_squad1(data, predictions);
  nlohmann::ordered_json object = {{"task", task.name}, {"predictions", settings.predictions}, {"count", data.questions.size()}};
  for (const auto& [name, value] : scores) object[name] = value;
  print_line(object.dump());
  return 0;
}

int run(Settings& settings, const Options& options) {
  if (!settings.predictions.empty()) return score_predictions(settings);
  MPIBERT_CHECK(!settings.model.empty(), kUsage, "--model is missing: model folder or run (its newest checkpoint)");
  Session session = settings.session.open();
  const DType compute = precision_on(session.backend->device(), settings.precision);
  Task task = settings.task.open();
  choose_max_seq_length(options, task, settings.max_seq_length);
  const ModelSource source = open_model_source(settings.model);
  take_labels(task, source.config);
  const BertTokenizer tokenizer = BertTokenizer::from_model(source.folder);
  const WorkFolder work(*session.comm);
  const std::filesystem::path data = task.kind == TaskKind::kPretraining ? std::filesystem::path(settings.data)
                                                                         : open_task_data({.task = task,
                                                                                           .data = settings.data,
                                                                                           .split = settings.split,
                                                                                           .max_seq_length = settings.max_seq_length,
                                                                                           .qa = settings.qa.feature_options(),
                                                                                           .work = work.path() / "data"},
                                                                                          tokenizer, *session.comm);
  const Dataset dataset(data, settings.split);
  if (task.kind == TaskKind::kMultipleChoice)
    task.label_names = dataset.manifest().label_names;  // how many choices there are is no matter of the model

  ParameterArena arena;
  Model model(source.config, arena, head_maker(task));
  arena.allocate(*session.backend, compute, arena.size());
  std::vector<float> masters = load_masters(source, arena, {}, 0);
  arena.set_values(*session.backend, host_tensor(std::span(masters), {arena.size()}));
  const int64_t tokens = std::max(std::min(settings.micro_tokens, dataset.tokens()), dataset.longest());
  model.plan(*session.backend, arena.compute(), limits_of(tokens, source.config.max_position_embeddings), false);
  model.allocate(*session.backend);
  std::optional<Masker> masking;
  if (task.kind == TaskKind::kPretraining && !is_masked(dataset)) masking.emplace(tokenizer.vocabulary(), settings.masking);
  Evaluator evaluator(*session.backend, *session.comm, model, {.micro_tokens = tokens, .masking = masking, .answers = settings.qa.scoring});
  const Scores scores = evaluator.evaluate(task, {data, settings.split});
  if (session.comm->rank() != 0) return 0;
  nlohmann::ordered_json object = {{"task", task.name}, {"split", settings.split}, {"count", dataset.size()}};
  for (const auto& [name, value] : scores) object[name] = value;
  print_line(object.dump());
  return 0;
}

}  // namespace

std::function<int()> declare_evaluate(Options& options) {
  auto s = std::make_shared<Settings>();
  s->task.declare(options, "what to score");
  s->task.declare_label_column(options);
  options.add(
      {.name = "data", .target = &s->data, .help = "folder of shards, or of raw files of the task, or one raw file", .required = true});
  options.add({.name = "model", .target = &s->model, .help = "model folder or run (its newest checkpoint)"});
  options.add(
      {.name = "split", .target = &s->split, .help = "which part of the data", .choices = {"train", "dev", "dev_mismatched", "test"}});
  options.add(
      {.name = "precision", .target = &s->precision, .help = "of computing; fp16 with --device cuda", .choices = {"fp32", "bf16", "fp16"}});
  options.add({.name = "max-seq-length",
               .target = &s->max_seq_length,
               .help = "raw data: tokens of a sequence at most; of question answering 384 if not given",
               .minimum = 5});
  s->qa.declare_features(options);
  s->qa.declare_scoring(options);
  options.add({.name = "predictions",
               .target = &s->predictions,
               .help = "squad, squad2: instead of a model, the answers to score: a JSON object, question's id -> text"});
  options.add({.name = "null-odds",
               .target = &s->null_odds,
               .help = "squad2: with --predictions, a JSON object, question's id -> how likely there is no answer"});
  options.add({.name = "na-prob-thresh",
               .target = &s->na_prob_thresh,
               .help = "squad2: with --null-odds, above which no answer is taken for the prediction"});
  options.add({.name = "micro-tokens",
               .target = &s->micro_tokens,
               .help = "most tokens computed at a time by a rank",
               .minimum = 16,
               .maximum = 1048576});
  s->session.declare(options);
  return [s, &options] { return run(*s, options); };
}

}  // namespace mpibert::apps
