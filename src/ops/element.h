#pragma once

// Numbers of a tensor inside kernels.

#include "mpibert/base/error.h"
#include "mpibert/tensor/tensor.h"

namespace mpibert {

// Calls f(T{}) with the T of `Types` that the tensor's type is: for kernels that are templates over it.
template <class... Types, class F>
void with_type(DType dtype, const F& f) {
  const bool found = ((dtype == DTypeOf<Types>::value && (f(Types{}), true)) || ...);
  MPIBERT_ASSERT(found);
}

template <class T>
T* data(const Tensor& t) {
  return static_cast<T*>(t.data());
}

}  // namespace mpibert
