#pragma once

#include "mpibert/base/error.h"
#include "mpibert/tensor/tensor.h"

namespace mpibert::cuda {

template <class T>
T* data(const Tensor& t) {
  return static_cast<T*>(t.data());
}

// Calls f with a number of the compute type: f(float{}) or f(bfloat16{}).
template <class F>
void with_compute_type(DType dtype, F f) {
  switch (dtype) {
    case DType::kFloat32: return f(float{});
    case DType::kBFloat16: return f(bfloat16{});
    default: throw Error(ErrorKind::kInvalidArgument, str_cat("no CUDA kernels compute in ", name_of(dtype)));
  }
}

}  // namespace mpibert::cuda
