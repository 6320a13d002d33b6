#include "base/python_random.h"

#include <bit>

#include "mpibert/base/error.h"

namespace mpibert {

// init_by_array with the 32-bit digits of the seed, lowest first.
PythonRandom::PythonRandom(uint64_t seed) {
  state_[0] = 19650218u;
  for (uint32_t i = 1; i < kWords; ++i) state_[i] = 1812433253u * (state_[i - 1] ^ (state_[i - 1] >> 30)) + i;
  const std::array<uint32_t, 2> key = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  const uint32_t digits = key[1] != 0 ? 2 : 1;
  size_t i = 1;
  const auto advance = [&] {
    if (++i < kWords) return;
    state_[0] = state_[kWords - 1];
    i = 1;
  };
  uint32_t digit = 0;
  for (size_t n = 0; n < kWords; ++n, digit = (digit + 1) % digits) {
    state_[i] = (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1664525u)) + key[digit] + digit;
    advance();
  }
  for (size_t n = 1; n < kWords; ++n) {
    state_[i] = (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1566083941u)) - static_cast<uint32_t>(i);
    advance();
  }
  state_[0] = 0x80000000u;
}

void PythonRandom::refill() {
  constexpr size_t kMiddle = 397;
  for (size_t i = 0; i < kWords; ++i) {
    const uint32_t y = (state_[i] & 0x80000000u) | (state_[(i + 1) % kWords] & 0x7fffffffu);
    state_[i] = state_[(i + kMiddle) % kWords] ^ (y >> 1) ^ ((y & 1) != 0 ? 0x9908b0dfu : 0u);
  }
  used_ = 0;
}

uint32_t PythonRandom::word() {
  if (used_ == kWords) refill();
  uint32_t y = state_[used_++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680u;
  y ^= (y << 15) & 0xefc60000u;
  return y ^ (y >> 18);
}

double PythonRandom::random() {
  const uint32_t high = word() >> 5, low = word() >> 6;
  return (high * 67108864.0 + low) / 9007199254740992.0;
}

uint64_t PythonRandom::getrandbits(int bits) {
  MPIBERT_CHECK(bits > 0 && bits <= 64, kInvalidArgument, "getrandbits(", bits, "): expected 1 to 64 bits");
  if (bits <= 32) return word() >> (32 - bits);
  const uint64_t low = word();
  return low | static_cast<uint64_t>(word() >> (64 - bits)) << 32;
}

uint64_t PythonRandom::below(uint64_t n) {
  MPIBERT_CHECK(n > 0, kInvalidArgument, "a random number below 0");
  const int bits = static_cast<int>(std::bit_width(n));
  uint64_t value = getrandbits(bits);
  while (value >= n) value = getrandbits(bits);
  return value;
}

int64_t PythonRandom::randint(int64_t low, int64_t high) {
  MPIBERT_CHECK(low <= high, kInvalidArgument, "randint(", low, ", ", high, "): an empty range");
  return low + static_cast<int64_t>(below(static_cast<uint64_t>(high - low) + 1));
}

}  // namespace mpibert
