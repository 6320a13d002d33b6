#pragma once

#include "ops/element.h"

namespace mpibert::cpu {

inline float to_float(float x) { return x; }
inline float to_float(bfloat16 x) { return static_cast<float>(x); }

}  // namespace mpibert::cpu
