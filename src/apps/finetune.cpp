#include <memory>

#include "apps/declarations.h"
#include "apps/model_inputs.h"
#include "apps/qa_flags.h"
#include "apps/task_data.h"
#include "apps/task_flags.h"
#include "apps/train.h"
#include "mpibert/base/error.h"
#include "mpibert/base/log.h"

namespace mpibert::apps {

namespace {

struct Settings {
  TrainFlags train;
  TaskFlags task;
  QaFlags qa;
  std::string dev_data;
  int64_t max_seq_length = 128;
};

int run(Settings& settings, Options& options) {
  Session session = settings.train.session.open();
  Task task = settings.task.open();
  MPIBERT_CHECK(task.kind != TaskKind::kPretraining, kUsage, "--task pretraining is what mpibert pretrain trains");
  MPIBERT_CHECK(settings.train.label_smoothing == 0 || task.kind != TaskKind::kRegression, kUsage,
                "--label-smoothing is for labels, and task ", task.name, " learns a number; leave it out");
  choose_max_seq_length(options, task, settings.max_seq_length);
  ModelSource source = open_model_source(settings.train.model);
  MPIBERT_CHECK(source.has_weights || std::filesystem::is_regular_file(settings.train.model), kNotFound, settings.train.model,
                " has no weights to fine-tune; give a pretrained model, or its config.json itself to train from nothing");
  if (!source.has_weights) log_info("no pretrained weights: the model starts from seed ", settings.train.seed);
  MPIBERT_CHECK(settings.max_seq_length <= source.config.max_position_embeddings, kInvalidArgument, "--max-seq-length is ",
                settings.max_seq_length, ", but the model has positions for ", source.config.max_position_embeddings, " tokens");
  const BertTokenizer tokenizer = BertTokenizer::from_model(source.folder);
  const std::filesystem::path data = open_task_data({.task = task,
                                                     .data = settings.train.data,
                                                     .dev_data = settings.dev_data,
                                                     .split = "",
                                                     .max_seq_length = settings.max_seq_length,
                                                     .qa = settings.qa.feature_options(),
                                                     .work = std::filesystem::path(settings.train.output_dir) / "data"},
                                                    tokenizer, *session.comm);
  if (task.label_names.empty()) task.label_names = read_manifest(data).label_names;
  const TrainJob job{.task = task,
                     .data = data,
                     .cross_epochs = false,
                     .fresh_heads = task.kind == TaskKind::kQuestionAnswering ? std::vector<std::string>{"qa_outputs."}
                                                                              : std::vector<std::string>{"classifier.", "bert.pooler."},
                     .masking = std::nullopt,
                     .answers = settings.qa.scoring,
                     .options = &options};
  return run_training(settings.train, job, std::move(source), session);
}

}  // namespace

std::function<int()> declare_finetune(Options& options) {
  auto s = std::make_shared<Settings>();
  s->task.declare(options, "what to learn");
  s->task.declare_label_column(options);
  s->task.declare_labels(options);
  s->train.declare(options);
  options.add({.name = "label-smoothing",
               .target = &s->train.label_smoothing,
               .help = "classification: share of each label that is spread evenly over all labels",
               .minimum = 0,
               .maximum = 0.999,
               .aliases = {"label-smoothing-factor"}});
  options.add({.name = "dev-data", .target = &s->dev_data, .help = "file of raw data to score on, where --data is one file to train on"});
  options.add({.name = "max-seq-length",
               .target = &s->max_seq_length,
               .help = "raw data: tokens of a sequence at most, [CLS] and [SEP] among them; of question answering 384 if not given",
               .minimum = 5});
  s->qa.declare_features(options);
  s->qa.declare_scoring(options);
  return [s, &options] { return run(*s, options); };
}

}  // namespace mpibert::apps
