#pragma once

// Numbers of a tensor inside kernels: fp32 or bf16 in memory.

#include "mpibert/tensor/tensor.h"

namespace mpibert {

// Calls f(float{}) or f(bfloat16{}), as the type of the tensor is: for kernels that are templates over it.
template <class F>
void with_element(DType dtype, const F& f) {
  if (dtype == DType::kBFloat16) {
    f(bfloat16{});
  } else {
    f(float{});
  }
}

template <class T>
T* data(const Tensor& t) {
  return static_cast<T*>(t.data());
}

}  // namespace mpibert
