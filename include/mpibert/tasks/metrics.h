#pragma once

#include <cstdint>
#include <span>

namespace mpibert {

// Pure functions over all predictions; nothing about a metric is distributed. Throw kInvalidArgument on spans of unequal length or of none.

double accuracy(std::span<const int32_t> predicted, std::span<const int32_t> labels);
// Binary F1 of label 1: 2 TP / (2 TP + FP + FN); 0 when there is no positive at all. As scikit-learn's f1_score.
double f1(std::span<const int32_t> predicted, std::span<const int32_t> labels);
// Matthews correlation for any number of classes K, numbered from 0 (Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006):
//   (n c - sum_k p_k t_k) / sqrt((n^2 - sum_k p_k^2) (n^2 - sum_k t_k^2)),  n samples, c right, p_k predicted as and t_k of class k
// 0 where only one class is predicted or there is only one: as scikit-learn's matthews_corrcoef.
double matthews_correlation(std::span<const int32_t> predicted, std::span<const int32_t> labels);

// Pearson's correlation, with means taken off first: as scipy's pearsonr. NaN where one side is constant, for then it is not defined.
double pearson(std::span<const double> predicted, std::span<const double> labels);
// Spearman's: Pearson's of the ranks, equal values sharing their average rank. NaN as Pearson's. As scipy's spearmanr.
double spearman(std::span<const double> predicted, std::span<const double> labels);

}  // namespace mpibert
