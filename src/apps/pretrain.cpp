#include <memory>

#include "apps/declarations.h"
#include "apps/model_inputs.h"
#include "apps/train.h"
#include "mpibert/base/error.h"
#include "mpibert/base/log.h"

namespace mpibert::apps {

namespace {

struct Settings {
  TrainFlags train;
  MaskingOptions masking;
  SampleRecipe samples;
};

bool is_masked(const Manifest& manifest) {
  for (const Field& field : manifest.split("train").labels)
    if (field.name == "masked_lm_positions") return true;
  return false;
}

int run(Settings& settings, Options& options) {
  Session session = settings.train.session.open();
  ModelSource source = open_model_source(settings.train.model);
  if (!source.has_weights) log_info("a new model, from seed ", settings.train.seed);
  const Manifest manifest = read_manifest(settings.train.data);
  const Task task = make_task(manifest.task);
  MPIBERT_CHECK(task.kind == TaskKind::kPretraining, kInvalidArgument, settings.train.data, " was prepared for task ", task.name,
                "; pretrain trains pretraining and masked-lm, finetune the others");
  const int64_t wanted = settings.samples.max_seq_length;
  MPIBERT_CHECK(manifest.storage == Storage::kTokens || wanted == 0 || wanted == manifest.max_seq_length, kInvalidArgument,
                settings.train.data, " holds samples of --max-seq-length ", manifest.max_seq_length, ", now it is ", wanted,
                "; a store of tokens (prepare --storage tokens) gives samples of any length");
  MPIBERT_CHECK(manifest.storage == Storage::kTokens || options.find("short-seq-prob")->origin == "default", kUsage, settings.train.data,
                " holds samples whose lengths prepare chose; --short-seq-prob goes with a store of tokens (prepare --storage tokens)");
  const TrainJob job{.task = task,
                     .data = settings.train.data,
                     .cross_epochs = true,
                     .fresh_heads = {"cls.", "bert.pooler."},
                     .samples = {.max_seq_length = settings.samples.max_seq_length,
                                 .short_seq_prob = settings.samples.short_seq_prob,
                                 .seed = static_cast<uint64_t>(settings.train.seed)},
                     .masking = is_masked(manifest) ? std::nullopt : std::optional<MaskingOptions>(settings.masking),
                     .options = &options};
  return run_training(settings.train, job, std::move(source), session);
}

}  // namespace

std::function<int()> declare_pretrain(Options& options) {
  auto s = std::make_shared<Settings>();
  s->train.learning_rate = 1e-4;
  s->train.weight_decay = 0.01;
  s->train.seed = 0;
  s->train.global_batch_size = 64;
  s->train.num_epochs = 1;
  s->train.declare(options);
  options.add({.name = "max-seq-length",
               .target = &s->samples.max_seq_length,
               .help = "store of tokens: tokens of a sequence at most; 0: as prepared",
               .minimum = 0});
  options.add({.name = "short-seq-prob",
               .target = &s->samples.short_seq_prob,
               .help = "store of tokens: share of documents that aim at shorter sequences",
               .minimum = 0,
               .maximum = 1});
  options.add({.name = "masked-lm-prob",
               .target = &s->masking.masked_lm_prob,
               .help = "dynamic masking: share of tokens",
               .minimum = 0,
               .maximum = 1});
  options.add({.name = "max-predictions-per-seq",
               .target = &s->masking.max_predictions_per_seq,
               .help = "dynamic masking: most masks of a sequence",
               .minimum = 1});
  options.add(
      {.name = "whole-word-mask", .target = &s->masking.do_whole_word_mask, .help = "dynamic masking: mask all pieces of a word together"});
  return [s, &options] { return run(*s, options); };
}

}  // namespace mpibert::apps
