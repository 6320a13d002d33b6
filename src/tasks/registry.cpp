#include <algorithm>

#include "mpibert/base/error.h"
#include "mpibert/data/corpus.h"
#include "mpibert/tasks/metrics.h"
#include "mpibert/tasks/task.h"
#include "tasks/sentence.h"

namespace mpibert {

namespace {

Task pretraining_task() {
  return {.name = "pretraining", .kind = TaskKind::kPretraining, .pair = true, .summary = "masked language model and next-sentence prediction on raw text"};
}

}  // namespace

std::vector<std::string> task_names() {
  std::vector<std::string> names = {pretraining_task().name};
  for (const SentenceTask& row : sentence_tasks()) names.push_back(row.task.name);
  return names;
}

Task make_task(std::string_view name) {
  if (name == pretraining_task().name) return pretraining_task();
  for (const SentenceTask& row : sentence_tasks())
    if (row.task.name == name) return row.task;
  std::string names;
  for (const std::string& known : task_names()) names += (names.empty() ? "" : ", ") + known;
  throw Error(ErrorKind::kUsage, str_cat("unknown task '", name, "'; there are ", names));
}

Schema labels_of(const Task& task, bool labelled) {
  if (!labelled) return {};
  if (task.kind == TaskKind::kPretraining) return sentence_pair_labels();
  return {{.name = "labels", .dtype = DType::kInt32, .per = Per::kSequence}};
}

Scores score(const Task& task, std::span<const Prediction> predictions, std::span<const int32_t> labels) {
  MPIBERT_CHECK(predictions.size() == labels.size(), kInvalidArgument, "task ", task.name, ": ", predictions.size(), " predictions of ", labels.size(), " samples");
  std::vector<int32_t> predicted(labels.size(), -1);
  for (const Prediction& p : predictions) {
    MPIBERT_CHECK(p.sample >= 0 && p.sample < static_cast<int64_t>(labels.size()), kInvalidArgument, "task ", task.name, ": a prediction of sample ", p.sample, " of ", labels.size());
    MPIBERT_CHECK(p.values.size() == task.label_names.size(), kInvalidArgument, "task ", task.name, ": sample ", p.sample, " has ", p.values.size(), " logits, expected ", task.label_names.size());
    int32_t& place = predicted[static_cast<size_t>(p.sample)];
    MPIBERT_CHECK(place < 0, kInvalidArgument, "task ", task.name, ": sample ", p.sample, " is predicted twice");
    place = static_cast<int32_t>(std::max_element(p.values.begin(), p.values.end()) - p.values.begin());
  }
  Scores scores;
  for (const std::string& metric : task.metrics) scores.emplace_back(metric, metric == "f1" ? f1(predicted, labels) : accuracy(predicted, labels));
  return scores;
}

}  // namespace mpibert
