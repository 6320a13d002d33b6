#pragma once

#include <array>
#include <cstdint>

namespace mpibert {

// Random numbers without state: a value is a function of (seed, what for, where), so nothing has to be saved, and it does not matter
// which rank or thread asks, or in which order.
//
// Philox4x32-10. Source: Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3", SC'11.
using PhiloxCounter = std::array<uint32_t, 4>;
using PhiloxKey = std::array<uint32_t, 2>;

constexpr PhiloxCounter philox4x32_10(PhiloxCounter counter, PhiloxKey key) {
  constexpr uint32_t kMultiplier0 = 0xD2511F53u, kMultiplier1 = 0xCD9E8D57u;
  constexpr uint32_t kWeyl0 = 0x9E3779B9u, kWeyl1 = 0xBB67AE85u;
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{kMultiplier0} * counter[0];
    const uint64_t product1 = uint64_t{kMultiplier1} * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(product0)};
    key = {key[0] + kWeyl0, key[1] + kWeyl1};
  }
  return counter;
}

constexpr PhiloxKey philox_key(uint64_t seed) { return {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)}; }

// What a stream of random numbers is for. Two purposes never share a number.
enum class RandomPurpose : uint32_t {
  kParameters = 1,
  kShuffleChunks,
  kShuffleSamples,
  kSentencePairs,
  kStaticMasking,
  kDynamicMasking,
  kSentencePairDetails,
};

// The numbers of one place: draw n is a function of (seed, purpose, place, n). Dropout has its own layout, see ops/ops.h; it uses
// purposes from 0x80000000 on (the fourth word of the counter), so the two never meet.
class RandomStream {
 public:
  RandomStream(uint64_t seed, RandomPurpose purpose, uint64_t place)
      : key_(philox_key(seed)), purpose_(static_cast<uint32_t>(purpose)), place_(place) {}

  constexpr uint32_t bits() {
    if (used_ == 4) {
      block_ = philox4x32_10({next_block_++, static_cast<uint32_t>(place_), static_cast<uint32_t>(place_ >> 32), purpose_}, key_);
      used_ = 0;
    }
    return block_[used_++];
  }
  constexpr uint64_t bits64() {
    const uint64_t high = bits();
    return (high << 32) | bits();
  }
  // Uniform on [0, 1), 53 bits.
  constexpr double uniform() { return static_cast<double>(bits64() >> 11) * 0x1.0p-53; }
  // Uniform on 0 .. n-1 without bias; n > 0. Source: Lemire 2019, arXiv:1805.10941.
  constexpr uint64_t below(uint64_t n) {
    unsigned __int128 product = static_cast<unsigned __int128>(bits64()) * n;
    if (static_cast<uint64_t>(product) < n) {
      const uint64_t threshold = (0 - n) % n;
      while (static_cast<uint64_t>(product) < threshold) product = static_cast<unsigned __int128>(bits64()) * n;
    }
    return static_cast<uint64_t>(product >> 64);
  }
  // Standard normal by the Box-Muller transform, one value a call.
  double normal();

 private:
  PhiloxKey key_;
  uint32_t purpose_;
  uint64_t place_;
  uint32_t next_block_ = 0;
  PhiloxCounter block_{};
  int used_ = 4;
};

// A permutation of 0 .. n-1 as a function: at(i) is the image of i, no table is stored. A four-round Feistel network on the next
// even number of bits, walked until the image falls below n.
// Source: Black, Rogaway 2002, "Ciphers with arbitrary finite domains", CT-RSA.
class Permutation {
 public:
  Permutation(uint64_t n, uint64_t seed, RandomPurpose purpose, uint64_t place);
  uint64_t size() const { return size_; }
  uint64_t at(uint64_t i) const;  // throws kInvalidArgument unless i < n

 private:
  uint64_t size_;
  PhiloxKey key_;
  uint32_t purpose_;
  uint64_t place_;
  uint32_t half_bits_;
};

}  // namespace mpibert
