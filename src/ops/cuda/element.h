#pragma once

#include "ops/element.h"

namespace mpibert::cuda {

// f(float{}), f(bfloat16{}) or f(float16{}).
template <class F>
void with_element(DType dtype, const F& f) {
  with_type<float, bfloat16, float16>(dtype, f);
}

}  // namespace mpibert::cuda
