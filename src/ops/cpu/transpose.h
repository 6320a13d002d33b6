#pragma once

// Transposition of fp32 and bf16 matrices. For CPU kernels only, like simd.h.

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace mpibert::cpu {
namespace {

// Four squares of n x n numbers side by side, n of them 128 bits, by log2(n) perfect shuffles of their rows. (512 bits are one register or
// two or four.)
template <class T>
void transpose_four_squares(const T* from, int64_t from_stride, T* to, int64_t to_stride) {
  using Bits = std::conditional_t<sizeof(T) == 2, uint16_t, uint32_t>;
  constexpr int n = 16 / sizeof(T), width = 4 * n;
  typedef Bits Row __attribute__((vector_size(64)));
  Row low, high;  // shuffle masks: the lower and the upper halves of two rows of a square, interleaved
  for (int i = 0; i < width; ++i) {
    low[i] = static_cast<Bits>(i / n * n + i % n / 2 + i % 2 * width);
    high[i] = static_cast<Bits>(low[i] + n / 2);
  }
  Row row[n], next[n];
  for (int i = 0; i < n; ++i) std::memcpy(&row[i], static_cast<const void*>(from + i * from_stride), sizeof(Row));
#pragma GCC unroll 3
  for (int stage = 1; stage < n; stage *= 2) {
#pragma GCC unroll 4
    for (int i = 0; i < n / 2; ++i) {
      next[2 * i] = __builtin_shuffle(row[i], row[i + n / 2], low);
      next[2 * i + 1] = __builtin_shuffle(row[i], row[i + n / 2], high);
    }
#pragma GCC unroll 8
    for (int i = 0; i < n; ++i) row[i] = next[i];
  }
#pragma GCC unroll 8
  for (int i = 0; i < n; ++i)
#pragma GCC unroll 4
    for (int square = 0; square < 4; ++square)
      std::memcpy(static_cast<void*>(to + (square * n + i) * to_stride), reinterpret_cast<const char*>(&row[i]) + 16 * square, 16);
}

// to[j * to_stride + i] = from[i * from_stride + j] for i < rows, j < columns.
template <class T>
void transpose_squares(const T* from, int64_t from_stride, int64_t rows, int64_t columns, T* to, int64_t to_stride) {
  constexpr int n = 16 / sizeof(T), width = 4 * n;
  const int64_t whole_rows = rows / n * n, whole_columns = columns / width * width;
  for (int64_t j = 0; j < whole_columns; j += width)
    for (int64_t i = 0; i < whole_rows; i += n)
      transpose_four_squares(from + i * from_stride + j, from_stride, to + j * to_stride + i, to_stride);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = i < whole_rows ? whole_columns : 0; j < columns; ++j) to[j * to_stride + i] = from[i * from_stride + j];
}

}  // namespace
}  // namespace mpibert::cpu
