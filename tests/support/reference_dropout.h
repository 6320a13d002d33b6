#pragma once

// The dropout mask, word for word as ops.h defines it.

#include <cmath>
#include <cstdint>

#include "mpibert/base/random.h"
#include "mpibert/ops/ops.h"

namespace mpibert::test {

// 0, or 1 / (1 - p): what element (token with this key, column) is multiplied with.
inline double dropout_factor(float rate, uint32_t site, uint64_t seed, int64_t step, int32_t token_key, int64_t column) {
  if (rate == 0) return 1;
  const int64_t threshold = std::lround(static_cast<double>(rate) * 65536);
  const double p = static_cast<double>(threshold) / 65536;
  const PhiloxCounter words =
      philox4x32_10({static_cast<uint32_t>(column / 8), static_cast<uint32_t>(token_key), 0x80000000u | site, static_cast<uint32_t>(step)},
                    philox_key(seed));
  const uint32_t word = words[static_cast<size_t>(column % 8 / 2)];
  const uint32_t bits = column % 2 == 0 ? word & 0xffffu : word >> 16;
  return bits >= threshold ? 1 / (1 - p) : 0;
}

// Of OpTest::dropout().
inline double test_dropout_factor(float rate, int64_t row, int64_t column) {
  return dropout_factor(rate, 5, 0x123456789abcdefu, 42, static_cast<int32_t>(1000 + 7 * row), column);
}

}  // namespace mpibert::test
