#pragma once

#include <memory>

#include "ops/cuda/kernels.h"

namespace mpibert::cuda {

// Matrix products by cuBLASLt: row-major c [M, N] is its column-major [N, M], so it is asked for op(b)^T op(a)^T. The bias is added by the library
// before c is rounded; what it cannot fuse with the meaning of ops.h (GELU by erf, derivatives) follows in one pass of our own.
// A plan, that is descriptors and the library's choice of algorithm, is kept for every kind of product.
//
// Owned by one backend; calls come from one thread.
class MatmulEngine {
 public:
  // tf32: products of fp32 matrices on tensor cores.
  MatmulEngine(const Context& context, bool tf32);
  ~MatmulEngine();
  MatmulEngine(const MatmulEngine&) = delete;
  MatmulEngine& operator=(const MatmulEngine&) = delete;

  // Operands are as ops.h demands (checked by Backend). Throws kDevice with the library's words if it refuses.
  void matmul(const Matmul& op);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mpibert::cuda
