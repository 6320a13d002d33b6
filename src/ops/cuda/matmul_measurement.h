#pragma once

#include <optional>

#include "ops/cuda/matmul_table.h"
#include "ops/cuda/matmul_ways.h"

namespace mpibert::cuda {

// Times the algorithms of kinds of products, on the stream of the backend and on memory of its own.
class MatmulMeasurement {
 public:
  MatmulMeasurement(const Context& context, cublasLtHandle_t library, void* workspace);

  // The fastest of the library's first suggestions that add in a fixed order, where it is 2 % faster than the first one. None: the library
  // cannot do this kind. Waits.
  std::optional<MatmulChoice> choose(const MatmulKind& kind);
  // Of what comes after the library's call. Waits.
  double microseconds_of_finish(const MatmulWay& way);

 private:
  struct Candidate;
  MatmulOperands scratch_for(const MatmulKind& kind);
  Tensor copy_of(Workspace& memory, const Tensor& t);
  void* filled(Workspace& memory, DType dtype, int64_t numbers);

  const Context& context_;
  cublasLtHandle_t library_;
  void* workspace_;
  std::vector<float> normal_;
  Workspace a_, b_, d_, vector_, auxiliary_;
};

}  // namespace mpibert::cuda
