#pragma once

#include <string>
#include <vector>

#include "apps/qa_flags.h"
#include "apps/session.h"

namespace mpibert::apps {

// Options of mpibert predict for question answering.
struct AnswerFlags {
  QaFlags qa;
  QaPipelineOptions pipeline;
  std::string predictions;

  void declare(Options& options);
  static const std::vector<std::string>& names();  // of these options
};

// mpibert predict for question answering. Of lines with a question and a context, and of the questions of --data, one JSON object each: what pipeline_answers() gives;
// with --predictions DIR instead, of --data, the files of run_qa.py and run_squad.py: predictions.json, nbest_predictions.json and, of squad2, null_odds.json.
struct AnswerRequest {
  Task task;
  std::string model, input, data, split, precision;
  int64_t max_seq_length = 384, micro_tokens = 4096;
  AnswerFlags flags;
};
// Of a session of one rank.
int predict_answers(const AnswerRequest& request, Session& session);

}  // namespace mpibert::apps
