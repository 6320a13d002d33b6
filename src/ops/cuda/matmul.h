#pragma once

#include <memory>

#include "ops/cuda/kernels.h"

namespace mpibert::cuda {

// Matrix products by cuBLASLt. The library does as much of an operation as it can with the meaning of ops.h (matmul_ways.h); the rest, such as GELU
// by erf, follows in passes of our own. A plan (matmul_plan.h) and its algorithm are kept for every kind of product.
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
