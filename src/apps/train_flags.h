#pragma once

#include <string>
#include <vector>

#include "apps/matmul_tuning.h"
#include "apps/session.h"
#include "mpibert/data/masking.h"
#include "mpibert/train/training_run.h"

namespace mpibert::apps {

// The options that pretrain and finetune share.
struct TrainFlags {
  SessionFlags session;
  MatmulTuningFlags matmul;
  std::string data, model, output_dir, resume = "auto", optimizer = "adamw", schedule = "linear", precision = "fp32", loss_scale = "auto",
                                       reduction = "exact", metric;
  int64_t max_steps = 0, global_batch_size = 32, warmup_steps = 0, slots = 0, micro_tokens = 8192, bucket_mib = 25, seed = 42;
  int64_t report_steps = 1, save_steps = 0, evaluate_steps = 0, save_total_limit = 0;
  double num_epochs = 3, learning_rate = 5e-5, end_learning_rate = 0, power = 1, warmup_ratio = 0;
  double weight_decay = 0, beta1 = 0.9, beta2 = 0.999, epsilon = 0, max_grad_norm = 1, dropout = -1;
  double initial_loss_scale = usual_loss_scale(DType::kFloat16).initial;
  int64_t loss_scale_growth_interval = LossScaleOptions{}.growth_interval;
  std::vector<std::string> freeze;
  int64_t freeze_layers = 0, early_stopping_patience = 0;
  double layer_decay = 1, label_smoothing = 0, early_stopping_threshold = 0;
  bool correct_bias = true, save_best = false, cuda_graphs = true;

  void declare(Options& options);
  static void declare_cuda_graphs(Options& options, bool& target);
  OptimizerOptions optimizer_options() const;
  ScheduleOptions schedule_options(int64_t total_steps) const;
  LossScaleOptions loss_scale_options() const;  // throws kUsage where the options do not fit the precision or each other
};

}  // namespace mpibert::apps
