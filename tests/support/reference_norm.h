#pragma once

#include <cmath>

#include "tests/support/backends.h"

namespace mpibert::test {

struct NormRow {
  double mean = 0, rstd = 0;
  Numbers output;
};

// Layer norm of one row, in double.
inline NormRow layer_norm_row(const Numbers& z, const Numbers& weight, const Numbers& bias, double epsilon) {
  NormRow row;
  const double size = static_cast<double>(z.size());
  for (const double x : z) row.mean += x / size;
  double variance = 0;
  for (const double x : z) variance += (x - row.mean) * (x - row.mean) / size;
  row.rstd = 1 / std::sqrt(variance + epsilon);
  for (size_t i = 0; i < z.size(); ++i) row.output.push_back(weight[i] * (z[i] - row.mean) * row.rstd + bias[i]);
  return row;
}

inline Numbers row_of(const Numbers& numbers, int64_t row, int64_t columns) {
  return {numbers.begin() + row * columns, numbers.begin() + (row + 1) * columns};
}

inline double dot(const Numbers& a, const Numbers& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace mpibert::test
