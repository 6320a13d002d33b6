#pragma once

// The passes around a product: transposing operands before it, and what happens to a block of c while it is still in cache.

#include <cstdint>

#include "mpibert/ops/ops.h"

namespace mpibert::cpu {

// A block of rows and columns of c.
struct MatmulBlock {
  int64_t row = 0, rows = 0, column = 0, columns = 0;
};

// With `products` null: c += bias, then the epilogue, in place. Otherwise first c = alpha * products + bias + beta * c, where `products`
// [block.rows, block.columns] is fp32 and dense.
void finish_block(const Matmul& op, const MatmulBlock& block, const float* products);

// to[j * to_stride + i] = from[i * from_stride + j] for i < rows, j < columns. One thread.
void transpose(const float* from, int64_t from_stride, int64_t rows, int64_t columns, float* to, int64_t to_stride);
void transpose(const bfloat16* from, int64_t from_stride, int64_t rows, int64_t columns, bfloat16* to, int64_t to_stride);

// One thread.
void add_to(const float* from, int64_t size, float* sums);
void widen(const bfloat16* from, int64_t size, float* to);

}  // namespace mpibert::cpu
