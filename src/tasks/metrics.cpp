#include "mpibert/tasks/metrics.h"

#include "mpibert/base/error.h"

namespace mpibert {

namespace {

void check_sizes(std::span<const int32_t> predicted, std::span<const int32_t> labels) {
  MPIBERT_CHECK(!labels.empty() && predicted.size() == labels.size(), kInvalidArgument, "a metric of ", predicted.size(), " predictions and ", labels.size(),
                " labels; it needs equally many, and at least one");
}

}  // namespace

double accuracy(std::span<const int32_t> predicted, std::span<const int32_t> labels) {
  check_sizes(predicted, labels);
  int64_t right = 0;
  for (size_t i = 0; i < labels.size(); ++i) right += predicted[i] == labels[i] ? 1 : 0;
  return static_cast<double>(right) / static_cast<double>(labels.size());
}

double f1(std::span<const int32_t> predicted, std::span<const int32_t> labels) {
  check_sizes(predicted, labels);
  int64_t true_positives = 0, wrong = 0;  // wrong: false positives and false negatives
  for (size_t i = 0; i < labels.size(); ++i) {
    const bool is_predicted = predicted[i] == 1, is_positive = labels[i] == 1;
    true_positives += is_predicted && is_positive ? 1 : 0;
    wrong += is_predicted != is_positive ? 1 : 0;
  }
  const int64_t denominator = 2 * true_positives + wrong;
  return denominator == 0 ? 0.0 : 2.0 * static_cast<double>(true_positives) / static_cast<double>(denominator);
}

}  // namespace mpibert
