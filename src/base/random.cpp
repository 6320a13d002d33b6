#include "mpibert/base/random.h"

#include <bit>
#include <cmath>
#include <numbers>

#include "mpibert/base/error.h"

namespace mpibert {

double RandomStream::normal() {
  const double u = 1.0 - uniform();  // (0, 1], so the logarithm is finite
  const double v = uniform();
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

Permutation::Permutation(uint64_t n, uint64_t seed, RandomPurpose purpose, uint64_t place)
    : size_(n), key_(philox_key(seed)), purpose_(static_cast<uint32_t>(purpose)), place_(place) {
  MPIBERT_CHECK(n <= (uint64_t{1} << 62), kInvalidArgument, "a permutation has at most 2^62 elements, not ", n);
  const uint32_t bits = n > 1 ? static_cast<uint32_t>(std::bit_width(n - 1)) : 1;
  half_bits_ = (bits + 1) / 2;
}

uint64_t Permutation::at(uint64_t i) const {
  MPIBERT_CHECK(i < size_, kInvalidArgument, "element ", i, " of a permutation of ", size_);
  const uint32_t mask = static_cast<uint32_t>((uint64_t{1} << half_bits_) - 1);
  do {
    uint32_t left = static_cast<uint32_t>(i >> half_bits_), right = static_cast<uint32_t>(i) & mask;
    for (uint32_t round = 0; round < 4; ++round) {
      const uint32_t mixed =
          philox4x32_10({right, static_cast<uint32_t>(place_), static_cast<uint32_t>(place_ >> 32), purpose_ | (round + 1) << 16}, key_)[0];
      const uint32_t next = left ^ (mixed & mask);
      left = right;
      right = next;
    }
    i = (uint64_t{left} << half_bits_) | right;
  } while (i >= size_);
  return i;
}

}  // namespace mpibert
