#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdio>

#include "mpibert/base/error.h"
#include "mpibert/tasks/metrics.h"
#include "mpibert/tasks/task.h"

namespace mpibert {

namespace {

// The values of sample i at place i.
std::vector<std::span<const float>> in_order(const Task& task, std::span<const Prediction> predictions) {
  const auto samples = static_cast<int64_t>(predictions.size());
  std::vector<std::span<const float>> values(predictions.size());
  for (const Prediction& p : predictions) {
    MPIBERT_CHECK(p.sample >= 0 && p.sample < samples, kInvalidArgument, "task ", task.name, ": a prediction of sample ", p.sample, " of ",
                  samples);
    MPIBERT_CHECK(static_cast<int64_t>(p.values.size()) == task.outputs(), kInvalidArgument, "task ", task.name, ": sample ", p.sample,
                  " has ", p.values.size(), " logits, expected ", task.outputs());
    std::span<const float>& place = values[static_cast<size_t>(p.sample)];
    MPIBERT_CHECK(place.empty(), kInvalidArgument, "task ", task.name, ": sample ", p.sample, " is predicted twice");
    place = p.values;
  }
  return values;
}

double metric_of_classes(const std::string& name, std::span<const int32_t> predicted, std::span<const int32_t> labels) {
  if (name == "f1") return f1(predicted, labels);
  if (name == "matthews_correlation") return matthews_correlation(predicted, labels);
  MPIBERT_ASSERT(name == "accuracy");
  return accuracy(predicted, labels);
}

double metric_of_numbers(const std::string& name, std::span<const double> predicted, std::span<const double> labels) {
  if (name == "pearson") return pearson(predicted, labels);
  if (name == "spearmanr") return spearman(predicted, labels);
  MPIBERT_ASSERT(name == "combined_score");
  return (pearson(predicted, labels) + spearman(predicted, labels)) / 2;
}

}  // namespace

int32_t best_label(std::span<const float> values) {
  return static_cast<int32_t>(std::max_element(values.begin(), values.end()) - values.begin());
}
std::vector<double> softmax(std::span<const float> values) {
  const double largest = *std::max_element(values.begin(), values.end());
  std::vector<double> out;
  double total = 0;
  for (const float value : values) total += out.emplace_back(std::exp(static_cast<double>(value) - largest));
  for (double& each : out) each /= total;
  return out;
}

double negative_log_likelihood(std::span<const float> values, int32_t label) {
  const double largest = *std::max_element(values.begin(), values.end());
  double total = 0;
  for (const float value : values) total += std::exp(static_cast<double>(value) - largest);
  return std::log(total) + largest - static_cast<double>(values[static_cast<size_t>(label)]);
}

Scores score(const Task& task, std::span<const Prediction> predictions, std::span<const int32_t> labels) {
  MPIBERT_CHECK(predictions.size() == labels.size(), kInvalidArgument, "task ", task.name, ": ", predictions.size(), " predictions of ",
                labels.size(), " samples");
  Scores scores;
  if (task.kind == TaskKind::kRegression) {
    std::vector<double> predicted, expected;
    for (const std::span<const float> values : in_order(task, predictions)) predicted.push_back(static_cast<double>(values[0]));
    for (const int32_t label : labels) expected.push_back(static_cast<double>(std::bit_cast<float>(label)));
    for (const std::string& metric : task.metrics) scores.emplace_back(metric, metric_of_numbers(metric, predicted, expected));
    return scores;
  }
  std::vector<int32_t> predicted;
  for (const std::span<const float> values : in_order(task, predictions)) predicted.push_back(best_label(values));
  for (const std::string& metric : task.metrics) scores.emplace_back(metric, metric_of_classes(metric, predicted, labels));
  return scores;
}

std::string submission_text(const Task& task, std::span<const Prediction> predictions) {
  const std::vector<std::string>& names = task.files.raw_labels.empty() ? task.label_names : task.files.raw_labels;
  std::string text = "index\tprediction\n";
  int64_t index = 0;
  for (const std::span<const float> values : in_order(task, predictions)) {
    text += std::to_string(index++) + "\t";
    if (task.kind == TaskKind::kRegression) {
      std::array<char, 64> number{};
      std::snprintf(number.data(), number.size(), "%.3f", std::clamp(static_cast<double>(values[0]), task.minimum, task.maximum));
      text += number.data();
    } else {
      text += names[static_cast<size_t>(best_label(values))];
    }
    text += "\n";
  }
  return text;
}

}  // namespace mpibert
