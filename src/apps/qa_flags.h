#pragma once

#include <string>

#include "mpibert/base/options.h"
#include "mpibert/tasks/question_answering.h"

namespace mpibert::apps {

// Options of question answering alone.
struct QaFlags {
  QaOptions features;
  QaScoring scoring;
  std::string convention = "run_qa";

  void declare_features(Options& options);  // where raw files are read
  void declare_scoring(Options& options);
  QaOptions feature_options() const;
};

// What --max-seq-length is where nobody says: 384 for question answering, as that task's scripts have it; else what the option says.
void choose_max_seq_length(const Options& options, const Task& task, int64_t& max_seq_length);

}  // namespace mpibert::apps
