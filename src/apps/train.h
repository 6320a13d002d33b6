#pragma once

#include "apps/model_inputs.h"
#include "apps/train_flags.h"
#include "mpibert/train/evaluator.h"

namespace mpibert::apps {

// Batches for which a model is planned that sees at most `tokens` of them at a time.
BatchLimits limits_of(int64_t tokens, int64_t max_seq_length);

// Tokens that a rank computes at a time: --micro-tokens, but no more than a global batch has and no less than its longest sample.
int64_t micro_tokens_of(int64_t flag, int64_t batch_tokens, int64_t longest);

// What training needs beside the flags: the task, its data as shards, and the head.
struct TrainJob {
  Task task;
  std::filesystem::path data;             // prepared
  bool cross_epochs = false;              // pre-training: a stream; else epochs end with a smaller batch
  std::vector<std::string> fresh_heads;   // parts of the model that a folder may lack
  SampleRecipe samples{};                 // of a token store
  std::optional<MaskingOptions> masking;  // of samples that carry no masks
  QaScoring answers{};                    // of question answering
  Options* options = nullptr;             // as resolved, for the record
};

// Collective. Trains by the flags and prints one JSON object about the end. Returns the exit code.
int run_training(const TrainFlags& flags, const TrainJob& job, ModelSource source, Session& session);

}  // namespace mpibert::apps
