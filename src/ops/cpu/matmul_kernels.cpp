#include "ops/cpu/matmul_kernels.h"

#include "ops/cpu/activation.h"
#include "ops/cpu/simd.h"
#include "ops/cpu/transpose.h"

namespace mpibert::cpu {
namespace {

template <class C, class Compute, Activation kind>
void finish_rows(const Matmul& op, const MatmulBlock& block, const float* products) {
  const int64_t stride = op.c.shape()[-1];
  const Compute* bias = op.bias ? static_cast<const Compute*>(op.bias.data()) + block.column : nullptr;
  for (int64_t row = 0; row < block.rows; ++row) {
    const int64_t offset = (block.row + row) * stride + block.column;
    C* c = static_cast<C*>(op.c.data()) + offset;
    const float* product_row = products ? products + row * block.columns : nullptr;
    for_lanes(block.columns, [&](int64_t i, int n) {
      Vec x = product_row ? op.alpha * load_n(product_row + i, n) : load_n(c + i, n);
      if (bias) x += load_n(bias + i, n);
      if (product_row && op.beta != 0) x += op.beta * load_n(c + i, n);
      if (op.derivative_at) x *= derivative<kind, Compute>(load_n(static_cast<const Compute*>(op.derivative_at.data()) + offset + i, n));
      store_n(c + i, x, n);
      if (op.activated) store_n(static_cast<Compute*>(op.activated.data()) + offset + i, activate<kind, Compute>(load_n(c + i, n)), n);
    });
  }
}

}  // namespace

void finish_block(const Matmul& op, const MatmulBlock& block, const float* products) {
  with_activation(op.activation, [&](auto kind) {
    if (op.a.dtype() == DType::kFloat32) finish_rows<float, float, kind()>(op, block, products);
    else if (op.c.dtype() == DType::kFloat32) finish_rows<float, bfloat16, kind()>(op, block, products);
    else finish_rows<bfloat16, bfloat16, kind()>(op, block, products);
  });
}

void transpose(const float* from, int64_t from_stride, int64_t rows, int64_t columns, float* to, int64_t to_stride) {
  transpose_squares(from, from_stride, rows, columns, to, to_stride);
}

void transpose(const bfloat16* from, int64_t from_stride, int64_t rows, int64_t columns, bfloat16* to, int64_t to_stride) {
  transpose_squares(from, from_stride, rows, columns, to, to_stride);
}

void add_to(const float* from, int64_t size, float* sums) {
  for_lanes(size, [&](int64_t i, int n) { store_n(sums + i, load_n(sums + i, n) + load_n(from + i, n), n); });
}

void widen(const bfloat16* from, int64_t size, float* to) {
  for_lanes(size, [&](int64_t i, int n) { store_n(to + i, load_n(from + i, n), n); });
}

}  // namespace mpibert::cpu
