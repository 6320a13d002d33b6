#pragma once

#include <memory>

#include "mpibert/ops/matmul_tuner.h"
#include "ops/cuda/kernels.h"

namespace mpibert::cuda {

// Matrix products by cuBLASLt. The library does as much of an operation as it can with the meaning of ops.h (matmul_ways.h); the rest, such
// as GELU by erf, follows in passes of our own. A plan (matmul_plan.h) and its algorithm are kept for every kind of product: the algorithm
// is that of the table (matmul_table.h), or the library's first choice where there is none or the library refuses it.
//
// Owned by one backend; calls come from one thread.
class MatmulEngine final : public MatmulTuner {
 public:
  // device: index of the card. tf32: products of fp32 matrices on tensor cores.
  MatmulEngine(const Context& context, int device, bool tf32);
  ~MatmulEngine() override;
  MatmulEngine(const MatmulEngine&) = delete;
  MatmulEngine& operator=(const MatmulEngine&) = delete;

  // Operands are as ops.h demands (checked by Backend). Throws kDevice with the library's words if it refuses.
  void matmul(const Matmul& op);

  std::string platform() const override;
  std::string table() const override;
  void use(const std::string& table) override;
  int64_t measure(std::span<const Matmul> products) override;
  std::string algorithm_of(const Matmul& product) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mpibert::cuda
