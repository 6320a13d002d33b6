#pragma once

// Rows with dropout: the lanes of a row together with the bits of its mask. For CPU kernels only, like simd.h.

#include <algorithm>

#include "ops/cpu/dropout_mask.h"
#include "ops/cpu/simd.h"

namespace mpibert::cpu {
namespace {

// Runs f(i, n, bits) over the columns of a row as for_lanes does; bit j of `bits` is set where column i + j is kept: all, without dropout.
template <class F>
inline void for_masked_lanes(const DropoutMask& mask, int64_t row, int64_t columns, F f) {
  if (!mask.active()) return for_lanes(columns, [&](int64_t i, int n) { f(i, n, ~uint64_t{0}); });
  const uint32_t key = mask.token_key(row);
  for (int64_t begin = 0; begin < columns; begin += 64) {
    const uint64_t bits = mask.keep_bits(key, begin);
    for_lanes(std::min<int64_t>(64, columns - begin), [&](int64_t i, int n) { f(begin + i, n, bits >> i); });
  }
}

}  // namespace
}  // namespace mpibert::cpu
