#include <memory>
#include <nlohmann/json.hpp>

#include "apps/declarations.h"
#include "apps/heads.h"
#include "apps/model_inputs.h"
#include "apps/task_data.h"
#include "apps/task_flags.h"
#include "apps/train.h"
#include "mpibert/base/error.h"

namespace mpibert::apps {

namespace {

struct Settings {
  SessionFlags session;
  TaskFlags task;
  std::string data, model, split = "dev", precision = "fp32";
  int64_t max_seq_length = 128, micro_tokens = 8192;
  MaskingOptions masking;
};

bool is_masked(const Dataset& dataset) {
  for (const Field& field : dataset.labels())
    if (field.name == "masked_lm_positions") return true;
  return false;
}

int run(const Settings& settings) {
  Session session = settings.session.open();
  const DType compute = precision_on(session.backend->device(), settings.precision);
  Task task = settings.task.open();
  const ModelSource source = open_model_source(settings.model);
  take_labels(task, source.config);
  const BertTokenizer tokenizer = BertTokenizer::from_model(source.folder);
  const WorkFolder work(*session.comm);
  const std::filesystem::path data =
      task.kind == TaskKind::kPretraining
          ? std::filesystem::path(settings.data)
          : open_task_data({.task = task, .data = settings.data, .split = settings.split, .max_seq_length = settings.max_seq_length, .work = work.path() / "data"}, tokenizer, *session.comm);
  const Dataset dataset(data, settings.split);

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
  Evaluator evaluator(*session.backend, *session.comm, model, {.micro_tokens = tokens, .masking = masking});
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
  options.add({.name = "data", .target = &s->data, .help = "folder of shards, or of raw files of the task, or one raw file", .required = true});
  options.add({.name = "model", .target = &s->model, .help = "model folder or run (its newest checkpoint)", .required = true});
  options.add({.name = "split", .target = &s->split, .help = "which part of the data", .choices = {"train", "dev", "dev_mismatched", "test"}});
  options.add({.name = "precision", .target = &s->precision, .help = "of computing; fp16 with --device cuda", .choices = {"fp32", "bf16", "fp16"}});
  options.add({.name = "max-seq-length", .target = &s->max_seq_length, .help = "raw data: tokens of a sequence at most", .minimum = 5});
  options.add({.name = "micro-tokens", .target = &s->micro_tokens, .help = "most tokens computed at a time by a rank", .minimum = 16, .maximum = 1048576});
  s->session.declare(options);
  return [s] { return run(*s); };
}

}  // namespace mpibert::apps
