#pragma once

#include <cstdint>
#include <memory>

#include "mpibert/ops/ops.h"

namespace mpibert::cpu {

// Matrix products on the CPU by oneDNN, with the same bits for any number of OpenMP threads: the output is cut into blocks by a function of
// the shape alone, every block is one single-threaded call, and threads only choose who computes which block. (Left to itself the library
// splits K over threads where it likes.)
//
// fp32: dnnl_sgemm. A transposed b is transposed back first where that pays, because the library would do it for every block.
// bf16: primitives cached by shape (matmul_bfloat16.h); their number does not grow with the number of different T, though T differs in
// every batch. Processors that multiply bf16 no faster than fp32 compute in fp32, with weights and inputs widened.
//
// Owned by one backend; calls come from one thread.
class MatmulEngine {
 public:
  MatmulEngine();
  explicit MatmulEngine(bool native_bfloat16);  // for tests: false computes bf16 products in fp32
  ~MatmulEngine();
  MatmulEngine(const MatmulEngine&) = delete;
  MatmulEngine& operator=(const MatmulEngine&) = delete;

  // Operands are as ops.h demands (checked by Backend). Throws kDevice with the library's words if it refuses.
  void matmul(const Matmul& op);

  int64_t primitives_created() const;  // since construction; a run settles at a few dozen

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mpibert::cpu
