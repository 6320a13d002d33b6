#pragma once

// The dropout mask of ops.h, 64 columns at a time. For CPU kernels only, like simd.h.

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "mpibert/base/random.h"
#include "mpibert/ops/ops.h"
#include "ops/cpu/simd.h"

namespace mpibert::cpu {
namespace {

class DropoutMask {
 public:
  // Without dropout (rate 0), `active` is false and nothing is read from state or token_keys.
  explicit DropoutMask(const Dropout& dropout) {
    threshold_ = static_cast<uint32_t>(std::lround(static_cast<double>(dropout.rate) * 65536));
    active_ = threshold_ != 0;
    scale_ = threshold_ < 65536 ? 65536.0f / static_cast<float>(65536 - threshold_) : 0.0f;
    if (!active_) return;
    StepState state;
    std::memcpy(&state, dropout.state.data(), sizeof state);
    site_ = 0x80000000u | dropout.site;
    step_ = static_cast<uint32_t>(state.step);
    key_ = philox_key(state.seed);
#if defined(__AVX512BW__)
    PhiloxKey k = key_;
    for (RoundKey& round : round_keys_) {  // not by loops: GCC 12 at -O3, tuned for Ice Lake, fills both with k[0] then
      _mm512_store_si512(round.k0, _mm512_set1_epi64(k[0]));
      _mm512_store_si512(round.k1, _mm512_set1_epi64(k[1]));
      k = {k[0] + 0x9E3779B9u, k[1] + 0xBB67AE85u};
    }
#endif
    token_keys_ = static_cast<const int32_t*>(dropout.token_keys.data());
  }

  bool active() const { return active_; }
  float scale() const { return scale_; }  // what a kept element is multiplied with: 1 / (1 - p)
  uint32_t token_key(int64_t row) const { return static_cast<uint32_t>(token_keys_[row]); }

  // Bit i is set where column + i of the row with this token key is kept; column is a multiple of 8.
  uint64_t keep_bits(uint32_t token_key, int64_t column) const {
    const uint32_t block = static_cast<uint32_t>(column / 8);
#if defined(__AVX512BW__)
    const __m512i order = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);  // so that the two halves below hold columns 0-31 and 32-63
    __m512i c0 = _mm512_add_epi32(order, _mm512_set1_epi64(block)), c1 = _mm512_set1_epi64(token_key);
    __m512i c2 = _mm512_set1_epi64(site_), c3 = _mm512_set1_epi64(step_);
    const __m512i multiplier0 = _mm512_set1_epi64(0xD2511F53u), multiplier1 = _mm512_set1_epi64(0xCD9E8D57u);
    for (const RoundKey& k : round_keys_) {  // each 64-bit lane holds one 32-bit word in its lower half; the upper one is ignored
      const __m512i product0 = _mm512_mul_epu32(c0, multiplier0), product1 = _mm512_mul_epu32(c2, multiplier1);
      c0 = _mm512_xor_si512(_mm512_xor_si512(_mm512_srli_epi64(product1, 32), c1), _mm512_load_si512(k.k0));
      c2 = _mm512_xor_si512(_mm512_xor_si512(_mm512_srli_epi64(product0, 32), c3), _mm512_load_si512(k.k1));
      c1 = product1;
      c3 = product0;
    }
    const __m512i words01 = _mm512_mask_blend_epi32(0xAAAA, c0, _mm512_slli_epi64(c1, 32));
    const __m512i words23 = _mm512_mask_blend_epi32(0xAAAA, c2, _mm512_slli_epi64(c3, 32));
    if (threshold_ > 65535) return 0;
    const __m512i threshold = _mm512_set1_epi16(static_cast<int16_t>(threshold_));
    const uint64_t low = _mm512_cmpge_epu16_mask(_mm512_unpacklo_epi64(words01, words23), threshold);
    const uint64_t high = _mm512_cmpge_epu16_mask(_mm512_unpackhi_epi64(words01, words23), threshold);
    return low | high << 32;
#elif defined(__AVX2__)
    return keep_bits_32(token_key, block) | uint64_t{keep_bits_32(token_key, block + 4)} << 32;
#else
    uint64_t bits = 0;
    for (uint32_t i = 0; i < 8; ++i) {
      const PhiloxCounter words = philox4x32_10({block + i, token_key, site_, step_}, key_);
      for (uint32_t j = 0; j < 8; ++j) bits |= uint64_t{((words[j / 2] >> (j % 2 * 16)) & 0xffffu) >= threshold_} << (8 * i + j);
    }
    return bits;
#endif
  }

 private:
#if defined(__AVX2__) && !defined(__AVX512BW__)
  uint32_t keep_bits_32(uint32_t token_key, uint32_t block) const {
    __m256i c0 = _mm256_add_epi32(_mm256_setr_epi64x(0, 2, 1, 3), _mm256_set1_epi64x(block)), c1 = _mm256_set1_epi64x(token_key);
    __m256i c2 = _mm256_set1_epi64x(site_), c3 = _mm256_set1_epi64x(step_);
    const __m256i multiplier0 = _mm256_set1_epi64x(0xD2511F53u), multiplier1 = _mm256_set1_epi64x(0xCD9E8D57u);
    uint32_t k0 = key_[0], k1 = key_[1];
    for (int round = 0; round < 10; ++round) {
      const __m256i product0 = _mm256_mul_epu32(c0, multiplier0), product1 = _mm256_mul_epu32(c2, multiplier1);
      c0 = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(product1, 32), c1), _mm256_set1_epi64x(k0));
      c2 = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(product0, 32), c3), _mm256_set1_epi64x(k1));
      c1 = product1;
      c3 = product0;
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    if (threshold_ > 65535) return 0;
    const __m256i words01 = _mm256_blend_epi32(c0, _mm256_slli_epi64(c1, 32), 0xAA);
    const __m256i words23 = _mm256_blend_epi32(c2, _mm256_slli_epi64(c3, 32), 0xAA);
    const __m256i low = _mm256_unpacklo_epi64(words01, words23), high = _mm256_unpackhi_epi64(words01, words23);
    const __m256i threshold = _mm256_set1_epi16(static_cast<int16_t>(threshold_));
    const __m256i keep_low = _mm256_cmpeq_epi16(_mm256_max_epu16(low, threshold), low);
    const __m256i keep_high = _mm256_cmpeq_epi16(_mm256_max_epu16(high, threshold), high);
    const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packs_epi16(keep_low, keep_high), 0xD8);
    return static_cast<uint32_t>(_mm256_movemask_epi8(bytes));
  }
#endif

  uint32_t threshold_ = 0, site_ = 0, step_ = 0;
  bool active_ = false;
  float scale_ = 1;
  PhiloxKey key_{};
  const int32_t* token_keys_ = nullptr;
#if defined(__AVX512BW__)
  struct RoundKey {
    alignas(64) uint64_t k0[8], k1[8];
  };
  RoundKey round_keys_[10];  // Philox's key schedule, as the operands of its instructions
#endif
};

// Lane i of x where bit i is set, else 0. Bits beyond kLanes are ignored.
inline Vec keep(Vec x, uint64_t bits) {
#if defined(__AVX512F__)
  return _mm512_maskz_mov_ps(static_cast<__mmask16>(bits), x);
#else
  BitVec lane;
  for (int i = 0; i < kLanes; ++i) lane[i] = uint32_t{1} << i;
  const BitVec selected = (BitVec{} + static_cast<uint32_t>(bits)) & lane;
  return selected != 0 ? x : Vec{};
#endif
}

}  // namespace
}  // namespace mpibert::cpu
