#pragma once

#include <string>

#include "apps/qa_flags.h"

namespace mpibert::apps {

// Options of mpibert predict for question answering.
struct AnswerFlags {
  QaFlags qa;
  QaPipelineOptions pipeline;
  std::string predictions;

  void declare(Options& options);
};

// mpibert predict for question answering. Of lines with a question and a context, and of the questions of --data, one JSON object each: what pipeline_answers() gives;
// with --predictions DIR instead, of --data, the files of run_qa.py and run_squad.py: predictions.json, nbest_predictions.json and, of squad2, null_odds.json.
struct AnswerRequest {
  Task task;
  std::string model, input, data, split, precision, device;
  int64_t max_seq_length = 384, micro_tokens = 4096;
  AnswerFlags flags;
};
int predict_answers(const AnswerRequest& request);

}  // namespace mpibert::apps
