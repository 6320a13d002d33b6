#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/model_inputs.h"
#include "apps/qa_flags.h"
#include "apps/session.h"
#include "apps/task_flags.h"
#include "data/line_reader.h"
#include "mpibert/tasks/pipeline.h"

namespace mpibert::apps {

struct PredictFlags {
  SessionFlags session;
  TaskFlags task;
  QaFlags qa;
  PipelineOptions pipeline_options;
  int64_t top_k = -1;
  std::string pipeline, model, input, input_format = "auto", data, split = "test", submission, predictions, precision = "fp32";
  std::vector<std::string> text;
  int64_t max_seq_length = 0, micro_tokens = 4096;
};

// What a pipeline or a task runs: its model, with the folder's weights, on the session's device.
class LoadedModel {
 public:
  // Throws kInvalidArgument naming `head_name` where the folder has no such head.
  LoadedModel(const PredictFlags& flags, Session& session, const ModelSource& source, const Model::MakeHead& head,
              const std::string& head_name);
  std::vector<std::string> run(std::span<const PipelineCall> calls) { return PipelineRunner(backend_, model_).run(calls); }

 private:
  Backend& backend_;
  ParameterArena arena_;
  Model model_;
};

// The texts of --text, --input or standard input, one at a time; of rank 0.
class InputTexts {
 public:
  // Throws kUsage on --text with --input; kNotFound, kPermission, kIo.
  explicit InputTexts(const PredictFlags& flags);
  std::optional<std::string> next();  // throws kIo, kCorrupt
  // After the first next(): whether a line is JSON, because --input-format says so, or the file is named .jsonl, or it begins with {.
  bool is_json() const { return json_; }
  static std::string where(const PredictFlags& flags, int64_t number);  // "reviews.txt:3"

 private:
  const PredictFlags& flags_;
  std::unique_ptr<LineReader> lines_;
  size_t given_ = 0;  // of --text
  bool json_ = false;
};

// Collective: --task, of it questions in --data, and --pipeline.
int predict_task(const PredictFlags& flags);
int predict_answers(const PredictFlags& flags);
int predict_pipeline(const PredictFlags& flags);

}  // namespace mpibert::apps
