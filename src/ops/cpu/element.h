#pragma once

#include "ops/element.h"

namespace mpibert::cpu {

// f(float{}) or f(bfloat16{}): fp16 is computed on cards only (check.cpp refuses it here).
template <class F>
void with_element(DType dtype, const F& f) {
  with_type<float, bfloat16>(dtype, f);
}

inline float to_float(float x) { return x; }
inline float to_float(bfloat16 x) { return static_cast<float>(x); }

}  // namespace mpibert::cpu
