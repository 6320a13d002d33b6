#pragma once

// Numbers from one precision to another. For CPU kernels only, like simd.h.

#include "ops/cpu/simd.h"

namespace mpibert::cpu {
namespace {

template <class From, class To>
inline void convert(const From* from, To* to, int64_t n) {
  for_lanes(n, [=](int64_t i, int lanes) { store_n(to + i, load_n(from + i, lanes), lanes); });
}

}  // namespace
}  // namespace mpibert::cpu
