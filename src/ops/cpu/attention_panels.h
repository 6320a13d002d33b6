#pragma once

// Rows of tensors in the panels of small_product.h, and back. For attention only, like that.

#include <algorithm>

#include "ops/cpu/element.h"
#include "ops/cpu/simd.h"
#include "ops/cpu/small_product.h"
#include "ops/cpu/transpose.h"

namespace mpibert::cpu {
namespace {

// Hands out pieces of one thread's memory.
class Pieces {
 public:
  explicit Pieces(float* memory) : next_(memory) {}
  float* take(int64_t size) {
    float* piece = next_;
    next_ += padded_columns(size);
    return piece;
  }
  Panels take(int64_t rows, int64_t columns) { return {take(rows * columns), rows, columns}; }

 private:
  float* next_;
};

// rows of `columns` numbers, times `scale`, into panels (zeros behind the last column).
template <class T>
void load_rows(const T* from, int64_t stride, int64_t columns, float scale, const Panels& to) {
  for (int64_t p = 0; p < to.count(); ++p) {
    const int64_t width = to.width(p), used = std::min(width, columns - p * kPanelColumns);
    for (int64_t row = 0; row < to.rows; ++row)
      for_lanes(used, [&](int64_t i, int n) {
        store(to.panel(p) + row * width + i, scale * load_n(from + row * stride + p * kPanelColumns + i, n));
      });
  }
}

// to [from.columns, rows padded] = transpose of from.
inline void transpose_panels(const Panels& from, const Panels& to) {
  for (int64_t t = 0; t < to.count(); ++t) {
    const int64_t begin = t * kPanelColumns, width = to.width(t), used = std::min(width, from.rows - begin);
    for (int64_t f = 0; f < from.count(); ++f) {
      float* corner = to.panel(t) + f * kPanelColumns * width;
      transpose_squares(from.panel(f) + begin * from.width(f), from.width(f), used, from.width(f), corner, width);
      for (int64_t row = 0; used < width && row < from.width(f); ++row)
        std::fill(corner + row * width + used, corner + (row + 1) * width, 0.0f);
    }
  }
}

// What a panel matrix is as a left operand: row-major with all columns in one row. More than one panel needs a second copy.
template <class T>
Strided load_left(const T* from, int64_t stride, int64_t columns, float scale, const Panels& same, float* memory) {
  if (same.count() == 1) return {same.data, same.columns, 1};
  for (int64_t row = 0; row < same.rows; ++row)
    for_lanes(columns, [&](int64_t i, int n) { store(memory + row * same.columns + i, scale * load_n(from + row * stride + i, n)); });
  return {memory, same.columns, 1};
}

template <class T>
void store_rows(const float* from, int64_t from_stride, int64_t rows, int64_t columns, float scale, T* to, int64_t stride) {
  for (int64_t row = 0; row < rows; ++row)
    for_lanes(columns, [&](int64_t i, int n) { store_n(to + row * stride + i, scale * load(from + row * from_stride + i), n); });
}

}  // namespace
}  // namespace mpibert::cpu
