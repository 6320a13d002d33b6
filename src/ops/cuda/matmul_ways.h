#pragma once

#include <vector>

#include "ops/cuda/kernels.h"
#include "ops/cuda/matmul_plan.h"

namespace mpibert::cuda {

// One way to do an operation: one call of the library, and what is left to passes of our own.
struct MatmulWay {
  MatmulKind kind{};
  MatmulOperands operands{};  // d, or the sums of rows, null: in the workspace
  float beta = 0;
  int64_t workspace_floats = 0;
  Tensor row_sums{};  // where sums that the call leaves in the workspace are added
  Matmul rest{};      // the operation without what the call does beside c
};

// The addresses of a way, in the workspace those that it needs there.
struct PlacedWay {
  MatmulOperands operands;
  float *products = nullptr, *sums = nullptr;  // in the workspace
};
PlacedWay placed(const MatmulWay& way, Workspace& workspace);

// What is left when the library's call is queued.
void finish(const MatmulWay& way, const PlacedWay& place, const Context& context);

// The ways to do `op`, the fastest first; the library can do the last one always. op has numbers to add up: no dimension is 0.
//   kGeluTanh of 16-bit numbers and its derivative: GELU_AUX, DGELU. Its rules: beta 0, addresses and rows of 16 bytes; DGELU adds no bias.
//   The sums of rows, where c is fp32 as they are: BGRADB.
//   A bias of c's type: BIAS.
std::vector<MatmulWay> ways_of(const Matmul& op, bool tf32);

}  // namespace mpibert::cuda
