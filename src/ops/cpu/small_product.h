#pragma once

// Products of matrices that fit in a core's cache, fp32: those of attention. For CPU kernels only, like simd.h.
// Every element of c is one chain of multiply-adds over k in ascending order, so its bits do not depend on where in a tile it lies.

#include <algorithm>
#include <cstdint>

#include "ops/cpu/simd.h"

namespace mpibert::cpu {
namespace {

// With the tile heights below: as many sums as there are vector registers, less a few.
inline constexpr int kPanelVectors = kLanes == 16 ? 4 : 2;
inline constexpr int64_t kPanelColumns = kPanelVectors * kLanes;

constexpr int64_t padded_columns(int64_t columns) { return (columns + kLanes - 1) / kLanes * kLanes; }

// A matrix [rows, columns] whose columns are a multiple of kLanes, cut into panels of kPanelColumns columns (the last may be narrower), one
// panel after another, each row-major: a product then reads it in order.
struct Panels {
  float* data = nullptr;
  int64_t rows = 0, columns = 0;
  int64_t first = 0, height = rows;  // of some rows of a higher matrix: the first of them, and how many it has

  int64_t count() const { return (columns + kPanelColumns - 1) / kPanelColumns; }
  float* panel(int64_t p) const { return data + p * kPanelColumns * height + first * width(p); }
  int64_t width(int64_t p) const { return std::min(kPanelColumns, columns - p * kPanelColumns); }

  Panels rows_from(int64_t begin, int64_t size) const { return {data, size, columns, first + begin, height}; }
  // The panels that hold columns begin .. end - 1; column `begin` is column begin % kPanelColumns of the first.
  Panels panels_of(int64_t begin, int64_t end) const {
    const int64_t left = begin / kPanelColumns * kPanelColumns, right = (end + kPanelColumns - 1) / kPanelColumns * kPanelColumns;
    return {data + left * height, rows, std::min(right, columns) - left, first, height};
  }
};

// Element (i, k) of an operand, at data[i * row_stride + k * column_stride].
struct Strided {
  const float* data = nullptr;
  int64_t row_stride = 0, column_stride = 1;
};

template <int rows, int vectors>
inline void multiply_tile(const Strided& a, const float* b, int64_t k, float* c, int64_t c_stride, bool accumulate) {
  Vec sum[rows][vectors];
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) sum[i][v] = accumulate ? load(c + i * c_stride + v * kLanes) : Vec{};
  for (int64_t l = 0; l < k; ++l) {
    Vec b_row[vectors];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) b_row[v] = load(b + (l * vectors + v) * kLanes);
    const float* a_column = a.data + l * a.column_stride;
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
      const Vec x = broadcast(a_column[i * a.row_stride]);
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) sum[i][v] += x * b_row[v];
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) store(c + i * c_stride + v * kLanes, sum[i][v]);
}

template <int rows, int vectors>
void multiply_panel(int64_t m, Strided a, const float* b, int64_t k, float* c, int64_t c_stride, bool accumulate) {
  for (; m >= rows; m -= rows) {
    multiply_tile<rows, vectors>(a, b, k, c, c_stride, accumulate);
    a.data += rows * a.row_stride;
    c += rows * c_stride;
  }
  if constexpr (rows > 1) {
    if (m > 0) multiply_panel<rows / 2, vectors>(m, a, b, k, c, c_stride, accumulate);
  }
}

// c [m, b.columns] = a [m, b.rows] b, or c += with `accumulate`.
inline void multiply(int64_t m, const Strided& a, const Panels& b, float* c, int64_t c_stride, bool accumulate) {
  for (int64_t p = 0; p < b.count(); ++p) {
    float* c_panel = c + p * kPanelColumns;
    switch (b.width(p) / kLanes) {
      case 1:
        multiply_panel<kLanes == 16 ? 12 : 8, 1>(m, a, b.panel(p), b.rows, c_panel, c_stride, accumulate);
        break;
      case 2:
        multiply_panel<kLanes == 16 ? 12 : 6, 2>(m, a, b.panel(p), b.rows, c_panel, c_stride, accumulate);
        break;
#if defined(__AVX512F__)
      case 3:
        multiply_panel<8, 3>(m, a, b.panel(p), b.rows, c_panel, c_stride, accumulate);
        break;
      case 4:
        multiply_panel<6, 4>(m, a, b.panel(p), b.rows, c_panel, c_stride, accumulate);
        break;
#endif
    }
  }
}

}  // namespace
}  // namespace mpibert::cpu
