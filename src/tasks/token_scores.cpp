#include <algorithm>
#include <cmath>

#include "mpibert/base/error.h"
#include "mpibert/tasks/entities.h"

namespace mpibert {

Scores score_tokens(const Task& task, std::span<const Prediction> predictions, std::span<const Sample> samples) {
  MPIBERT_CHECK(predictions.size() == samples.size(), kInvalidArgument, "task ", task.name, ": ", predictions.size(), " predictions of ",
                samples.size(), " sequences");
  const auto classes = static_cast<size_t>(task.outputs());
  EntityScores scores(task.label_names);
  std::vector<int32_t> predicted, labels;  // of a sentence
  double loss = 0;
  int64_t words = 0;
  for (size_t i = 0; i < samples.size(); ++i) {
    const std::vector<int32_t>& of_tokens = samples[i].label("labels");
    MPIBERT_CHECK(predictions[i].values.size() == of_tokens.size() * classes, kInvalidArgument, "task ", task.name, ": sequence ", i,
                  " has ", predictions[i].values.size(), " logits, expected ", of_tokens.size(), " x ", classes);
    for (size_t t = 0; t < of_tokens.size(); ++t) {
      if (of_tokens[t] < 0) continue;
      const std::span<const float> logits(predictions[i].values.data() + t * classes, classes);
      predicted.push_back(best_label(logits));
      labels.push_back(of_tokens[t]);
      loss += negative_log_likelihood(logits, of_tokens[t]);
      ++words;
    }
    if (i + 1 < samples.size() && samples[i].label("sentences") == samples[i + 1].label("sentences")) continue;  // its next window
    scores.add(predicted, labels);
    predicted.clear();
    labels.clear();
  }
  Scores all = scores.scores(task.metrics);
  all.insert(all.begin(), {"loss", words > 0 ? loss / static_cast<double>(words) : 0});
  return all;
}

}  // namespace mpibert
