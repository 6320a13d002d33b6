#include "apps/qa_flags.h"

namespace mpibert::apps {

void QaFlags::declare_features(Options& options) {
  options.add({.name = "qa-features",
               .target = &convention,
               .help = "question answering: windows and labels as transformers' run_qa.py makes them, or as Google's run_squad.py",
               .choices = {"run_qa", "run_squad"}});
  options.add({.name = "doc-stride",
               .target = &features.doc_stride,
               .help = "question answering: by how many tokens windows overlap (run_qa), or from one to the next (run_squad)",
               .minimum = 1});
  options.add({.name = "max-query-length",
               .target = &features.max_query_length,
               .help = "question answering, run_squad: longer questions are cut to so many tokens",
               .minimum = 1});
}

void QaFlags::declare_scoring(Options& options) {
  options.add({.name = "n-best-size",
               .target = &scoring.n_best_size,
               .help = "question answering: starts and ends of a window that are paired, and answers kept of a question",
               .minimum = 1});
  options.add({.name = "max-answer-length",
               .target = &scoring.max_answer_length,
               .help = "question answering: tokens of an answer at most",
               .minimum = 1});
  options.add({.name = "null-score-diff-threshold",
               .target = &scoring.null_score_diff_threshold,
               .help = "squad2: no answer where its score is more than this above that of the best answer"});
}

QaOptions QaFlags::feature_options() const {
  QaOptions options = features;
  options.convention = convention == "run_qa" ? QaConvention::kRunQa : QaConvention::kRunSquad;
  return options;
}

void choose_max_seq_length(const Options& options, const Task& task, int64_t& max_seq_length) {
  if (task.kind == TaskKind::kQuestionAnswering && options.find("max-seq-length")->origin == "default")
    max_seq_length = QaOptions{}.max_seq_length;
}

}  // namespace mpibert::apps
