#include "apps/train_flags.h"

#include <cmath>

#include "mpibert/base/error.h"
#include "mpibert/base/parse_number.h"

namespace mpibert::apps {

void TrainFlags::declare(Options& options) {
  options.add(
      {.name = "data", .target = &data, .help = "folder of shards (mpibert prepare), or of raw files of the task", .required = true});
  options.add({.name = "model",
               .target = &model,
               .help = "model folder, run (its newest checkpoint), or CONFIG.json for a new model",
               .required = true});
  options.add(
      {.name = "output-dir", .target = &output_dir, .help = "folder of the run: checkpoints, metrics.jsonl, EXIT.json", .required = true});
  options.add({.name = "resume",
               .target = &resume,
               .help = "auto: go on where the run stands; never: refuse a folder with checkpoints",
               .choices = {"auto", "never"}});

  options.add({.name = "max-steps", .target = &max_steps, .help = "optimizer steps; 0: by --num-epochs", .minimum = 0});
  options.add({.name = "num-epochs",
               .target = &num_epochs,
               .help = "passes over the data, without --max-steps",
               .minimum = 0,
               .aliases = {"num-train-epochs"}});
  options.add({.name = "global-batch-size",
               .target = &global_batch_size,
               .help = "samples of a step, over all ranks: sequences, or rows of choices",
               .minimum = 1,
               .aliases = {"train-batch-size"}});
  options.add({.name = "learning-rate", .target = &learning_rate, .help = "at the end of the warm-up", .minimum = 0});
  options.add({.name = "warmup-steps", .target = &warmup_steps, .help = "steps from 0 to the learning rate", .minimum = 0});
  options.add({.name = "warmup-ratio",
               .target = &warmup_ratio,
               .help = "the same as a share of all steps, without --warmup-steps",
               .minimum = 0,
               .maximum = 1,
               .aliases = {"warmup-proportion"}});
  options.add({.name = "lr-schedule",
               .target = &schedule,
               .help = "course of the learning rate",
               .choices = {"constant", "linear", "polynomial", "cosine"},
               .aliases = {"lr-scheduler-type"}});
  options.add({.name = "end-learning-rate", .target = &end_learning_rate, .help = "polynomial: rate after the last step", .minimum = 0});
  options.add({.name = "power", .target = &power, .help = "polynomial: its power", .minimum = 0});
  options.add(
      {.name = "optimizer", .target = &optimizer, .help = "update rule", .choices = {"adamw", "adamw-hf", "adam", "lamb", "nvlamb"}});
  options.add({.name = "weight-decay", .target = &weight_decay, .help = "of weights; biases and layer norms have none", .minimum = 0});
  options.add({.name = "adam-beta1", .target = &beta1, .help = "decay of the first moment", .minimum = 0, .maximum = 0.999999});
  options.add({.name = "adam-beta2", .target = &beta2, .help = "decay of the second moment", .minimum = 0, .maximum = 0.999999999});
  options.add({.name = "adam-epsilon", .target = &epsilon, .help = "0: 1e-8 of adam and adamw, 1e-6 of the others", .minimum = 0});
  options.add({.name = "correct-bias", .target = &correct_bias, .help = "correct the moments for their start at zero"});
  options.add({.name = "layer-decay",
               .target = &layer_decay,
               .help = "each encoder layer learns at this share of the rate of the layer above it, the embeddings below the first",
               .minimum = 1e-6,
               .maximum = 1,
               .aliases = {"layerwise-lr-decay"}});
  options.add({.name = "freeze",
               .target = &freeze,
               .help = "parameters that stay as they are: names, or all below a name, such as bert.embeddings,bert.encoder.layer.3"});
  options.add({.name = "freeze-layers",
               .target = &freeze_layers,
               .help = "the embeddings and the first so many encoder layers stay as they are",
               .minimum = 0});
  options.add(
      {.name = "max-grad-norm", .target = &max_grad_norm, .help = "gradients are scaled down to this norm; 0: never", .minimum = 0});
  options.add({.name = "dropout",
               .target = &dropout,
               .help = "instead of the model's probabilities of hidden states and attention; -1: keep them",
               .minimum = -1,
               .maximum = 0.99});

  options.add({.name = "precision",
               .target = &precision,
               .help = "of computing; weights, moments and sums are fp32 always; fp16 with --device cuda",
               .choices = {"fp32", "bf16", "fp16"}});
  options.add({.name = "loss-scale",
               .target = &loss_scale,
               .help = "fp16: what losses are multiplied with: dynamic, or a number kept for ever; auto: dynamic with fp16"});
  options.add({.name = "initial-loss-scale",
               .target = &initial_loss_scale,
               .help = "dynamic: the first one; an overflow skips the step and halves it",
               .minimum = 1});
  options.add({.name = "loss-scale-growth-interval",
               .target = &loss_scale_growth_interval,
               .help = "dynamic: it doubles after so many steps without overflow",
               .minimum = 1});
  options.add({.name = "reduction",
               .target = &reduction,
               .help = "exact: same bits for any number of ranks; fast: in the library's order",
               .choices = {"exact", "fast"}});
  options.add({.name = "slots",
               .target = &slots,
               .help = "parts of a global batch with exact sums; the most ranks that can share it; 0: chosen",
               .minimum = 0,
               .maximum = 65536});
  options.add({.name = "micro-tokens",
               .target = &micro_tokens,
               .help = "most tokens computed at a time by a rank; bounds its memory",
               .minimum = 16,
               .maximum = 1048576});
  options.add({.name = "bucket-mib",
               .target = &bucket_mib,
               .help = "size of the gradient ranges that are summed while backward goes on",
               .minimum = 1});
  declare_cuda_graphs(options, cuda_graphs);
  options.add({.name = "seed", .target = &seed, .help = "of new weights, order, masks and dropout", .minimum = 0});

  options.add(
      {.name = "report-steps", .target = &report_steps, .help = "a line every so many steps", .minimum = 1, .aliases = {"logging-steps"}});
  options.add({.name = "save-steps",
               .target = &save_steps,
               .help = "a checkpoint every so many steps; 0: at the end and when stopped",
               .minimum = 0});
  options.add({.name = "save-total-limit",
               .target = &save_total_limit,
               .help = "newest checkpoints to keep, beside the best; 0: all",
               .minimum = 0});
  options.add({.name = "evaluate-steps",
               .target = &evaluate_steps,
               .help = "score the dev split every so many steps; 0: after every epoch",
               .minimum = 0,
               .aliases = {"eval-steps"}});
  options.add({.name = "save-best", .target = &save_best, .help = "also save after each evaluation, and mark the best"});
  options.add({.name = "metric-for-best",
               .target = &metric,
               .help = "score that says which is best; empty: the first of the task",
               .aliases = {"metric-for-best-model"}});
  options.add({.name = "early-stopping-patience",
               .target = &early_stopping_patience,
               .help = "end after so many evaluations in a row without a better --metric-for-best; 0: never",
               .minimum = 0});
  options.add({.name = "early-stopping-threshold",
               .target = &early_stopping_threshold,
               .help = "what a score must be better by to count as better",
               .minimum = 0});
  session.declare(options);
  matmul.declare(options);
}

void TrainFlags::declare_cuda_graphs(Options& options, bool& target) {
  options.add({.name = "cuda-graphs",
               .target = &target,
               .help = "cuda: micro-batches of a shape that has come before are replayed, which saves starting their kernels one by one; "
                       "the bits are the same"});
}

OptimizerOptions TrainFlags::optimizer_options() const {
  const bool small = optimizer == "adam" || optimizer == "adamw";
  return {.kind = optimizer,
          .beta1 = beta1,
          .beta2 = beta2,
          .epsilon = epsilon > 0 ? epsilon
                     : small     ? 1e-8
                                 : 1e-6,
          .weight_decay = weight_decay,
          .correct_bias = correct_bias};
}

ScheduleOptions TrainFlags::schedule_options(int64_t total_steps) const {
  const int64_t warmup = warmup_steps > 0 ? warmup_steps : static_cast<int64_t>(std::ceil(warmup_ratio * static_cast<double>(total_steps)));
  return {.kind = schedule,
          .peak = learning_rate,
          .end = end_learning_rate,
          .power = power,
          .warmup_steps = warmup,
          .total_steps = total_steps};
}

LossScaleOptions TrainFlags::loss_scale_options() const {
  const TrainFlags defaults;
  const bool tuned = initial_loss_scale != defaults.initial_loss_scale || loss_scale_growth_interval != defaults.loss_scale_growth_interval;
  if (precision != "fp16") {
    MPIBERT_CHECK(loss_scale == "auto" && !tuned, kUsage,
                  "--loss-scale, --initial-loss-scale and --loss-scale-growth-interval go with --precision fp16, found ", precision,
                  ", which needs none; leave them out");
    return usual_loss_scale(precision_from_name(precision));
  }
  if (loss_scale == "auto" || loss_scale == "dynamic") {
    LossScaleOptions dynamic = usual_loss_scale(DType::kFloat16);
    dynamic.initial = initial_loss_scale;
    dynamic.growth_interval = loss_scale_growth_interval;
    return dynamic;
  }
  MPIBERT_CHECK(!tuned, kUsage, "--initial-loss-scale and --loss-scale-growth-interval go with --loss-scale dynamic, found ", loss_scale,
                "; leave them out");
  const std::optional<double> fixed = parse_number<double>(loss_scale);
  MPIBERT_CHECK(fixed && *fixed > 0 && std::isfinite(*fixed), kUsage, "--loss-scale is dynamic or a number above 0, not '", loss_scale,
                "'");
  return {.initial = *fixed};
}

}  // namespace mpibert::apps
