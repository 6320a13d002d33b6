#include "mpibert/tasks/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <utility>
#include <vector>

#include "mpibert/base/error.h"

namespace mpibert {

namespace {

template <class T>
void check_sizes(std::span<const T> predicted, std::span<const T> labels) {
  MPIBERT_CHECK(!labels.empty() && predicted.size() == labels.size(), kInvalidArgument, "a metric of ", predicted.size(),
                " predictions and ", labels.size(), " labels; it needs equally many, and at least one");
}

double mean(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// Ranks from 1.
std::vector<double> average_ranks(std::span<const double> values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    for (size_t i = begin; i < end; ++i) ranks[order[i]] = static_cast<double>(begin + 1 + end) / 2;
  }
  return ranks;
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

double matthews_correlation(std::span<const int32_t> predicted, std::span<const int32_t> labels) {
  check_sizes(predicted, labels);
  std::map<int32_t, std::pair<double, double>> counts;  // of each class: predicted, true. Whole numbers: exact
  double right = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    ++counts[predicted[i]].first;
    ++counts[labels[i]].second;
    right += predicted[i] == labels[i] ? 1 : 0;
  }
  const double squared = static_cast<double>(labels.size()) * static_cast<double>(labels.size());
  double both = static_cast<double>(labels.size()) * right, of_predicted = squared, of_labels = squared;
  for (const auto& [label, count] : counts) {
    both -= count.first * count.second;
    of_predicted -= count.first * count.first;
    of_labels -= count.second * count.second;
  }
  return of_predicted == 0 || of_labels == 0 ? 0.0 : both / std::sqrt(of_predicted * of_labels);
}

double pearson(std::span<const double> predicted, std::span<const double> labels) {
  check_sizes(predicted, labels);
  const auto is_constant = [](std::span<const double> values) {
    return std::all_of(values.begin(), values.end(), [&](double value) { return value == values[0]; });
  };
  if (is_constant(predicted) || is_constant(labels)) return std::numeric_limits<double>::quiet_NaN();
  const double mean_predicted = mean(predicted), mean_label = mean(labels);
  double products = 0, of_predicted = 0, of_labels = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    const double x = predicted[i] - mean_predicted, y = labels[i] - mean_label;
    products += x * y;
    of_predicted += x * x;
    of_labels += y * y;
  }
  return std::clamp(products / (std::sqrt(of_predicted) * std::sqrt(of_labels)), -1.0, 1.0);
}

double spearman(std::span<const double> predicted, std::span<const double> labels) {
  check_sizes(predicted, labels);
  return pearson(average_ranks(predicted), average_ranks(labels));
}

}  // namespace mpibert
