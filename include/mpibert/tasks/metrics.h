#pragma once

#include <cstdint>
#include <span>

namespace mpibert {

// Pure functions over all predictions; nothing about a metric is distributed. Throw kInvalidArgument on spans of unequal length or of none.

double accuracy(std::span<const int32_t> predicted, std::span<const int32_t> labels);
// Binary F1 of label 1: 2 TP / (2 TP + FP + FN); 0 when there is no positive at all. As scikit-learn's f1_score.
double f1(std::span<const int32_t> predicted, std::span<const int32_t> labels);

}  // namespace mpibert
