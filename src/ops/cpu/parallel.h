#pragma once

// How the kernels use threads. What is added up is cut into blocks that depend on the shape alone, and block sums are combined in the order
// of the blocks: so no result depends on the number of threads.

#include <algorithm>
#include <cstdint>

namespace mpibert::cpu {

// Below this many elements a call is done by the calling thread alone: to wake the others costs more (some microseconds).
inline constexpr int64_t kSerialElements = 1 << 14;

// body(row) for every row, each row on one thread.
template <class Body>
void parallel_rows(int64_t rows, int64_t columns, const Body& body) {
#pragma omp parallel for schedule(static) if (rows * columns > kSerialElements)
  for (int64_t row = 0; row < rows; ++row) body(row);
}

// body(begin, end) for pieces of 0 .. n-1: for work element by element.
template <class Body>
void parallel_elements(int64_t n, const Body& body) {
  constexpr int64_t kPiece = 4096;
#pragma omp parallel for schedule(static) if (n > kSerialElements)
  for (int64_t begin = 0; begin < n; begin += kPiece) body(begin, std::min(begin + kPiece, n));
}

// The fixed blocks of rows over which sums of columns are cut: at least 32 rows, at most 64 blocks.
struct RowBlocks {
  explicit RowBlocks(int64_t rows_) : rows(rows_), block(std::max<int64_t>(32, (rows_ + 63) / 64)), count((rows_ + block - 1) / block) {}
  int64_t begin(int64_t i) const { return i * block; }
  int64_t end(int64_t i) const { return std::min(rows, (i + 1) * block); }
  int64_t rows, block, count;
};

// output[n] += partials[0][n] + partials[1][n] + ..., in this order; partials [count, columns].
inline void add_partials(const float* partials, int64_t count, int64_t columns, int64_t stride, float* output) {
  constexpr int64_t kPiece = 256;
#pragma omp parallel for schedule(static) if (count * columns > kSerialElements)
  for (int64_t begin = 0; begin < columns; begin += kPiece) {
    const int64_t end = std::min(begin + kPiece, columns);
    for (int64_t i = 0; i < count; ++i) {
      const float* partial = partials + i * stride;
#pragma omp simd
      for (int64_t n = begin; n < end; ++n) output[n] += partial[n];
    }
  }
}

}  // namespace mpibert::cpu
