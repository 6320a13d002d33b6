#pragma once

// Vectors of the widest kind the compiler may use (GCC vector extensions), numbers in and out of them, and exp, erf's Phi and tanh on them.
// Only for files compiled as CPU kernels (see CMakeLists.txt). The unnamed namespace is deliberate: files compiled for different
// instruction sets must not share one definition.

#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"  // GCC bug 105593: its own header
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif

#include "mpibert/base/dtype.h"

namespace mpibert::cpu {
namespace {

#if defined(__AVX512F__)
inline constexpr int kLanes = 16;
#elif defined(__AVX__)
inline constexpr int kLanes = 8;
#else
inline constexpr int kLanes = 4;
#endif

typedef float Vec __attribute__((vector_size(kLanes * 4)));
typedef int32_t IntVec __attribute__((vector_size(kLanes * 4)));
typedef uint32_t BitVec __attribute__((vector_size(kLanes * 4)));
typedef uint16_t HalfVec __attribute__((vector_size(kLanes * 2)));

inline Vec broadcast(float x) { return x - Vec{}; }  // not +: that would change -0, and so cost an instruction
inline BitVec bits_of(Vec x) { return reinterpret_cast<BitVec>(x); }
inline Vec from_bits(BitVec x) { return reinterpret_cast<Vec>(x); }

inline Vec load(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline Vec load(const bfloat16* p) {
  HalfVec half;
  std::memcpy(static_cast<void*>(&half), p, sizeof half);
#if defined(__AVX512F__)  // the compiler's own conversion takes five instructions instead of one
  return from_bits(reinterpret_cast<BitVec>(_mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(half))) << 16);
#else
  return from_bits(__builtin_convertvector(half, BitVec) << 16);
#endif
}
inline void store(float* p, Vec v) { std::memcpy(p, &v, sizeof v); }

// Rounds to nearest, ties to even, a NaN stays a NaN: the bits of bfloat16(float), subnormal numbers too (the instruction flushes them).
inline HalfVec round_to_bfloat16(Vec v) {
  const BitVec u = bits_of(v);
  const BitVec rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  const BitVec bits = v == v ? rounded : ((u >> 16) | 0x40u);
#if defined(__AVX512F__)
  return reinterpret_cast<HalfVec>(_mm512_cvtepi32_epi16(reinterpret_cast<__m512i>(bits)));
#else
  return __builtin_convertvector(bits, HalfVec);
#endif
}
inline void store(bfloat16* p, Vec v) {
  const HalfVec half = round_to_bfloat16(v);
  std::memcpy(static_cast<void*>(p), &half, sizeof half);
}

// The first n < kLanes numbers; the other lanes are zero, or not written.
template <class T>
Vec load_part(const T* p, int64_t n) {
  T padded[kLanes] = {};
  std::memcpy(static_cast<void*>(padded), p, static_cast<size_t>(n) * sizeof(T));
  return load(padded);
}
template <class T>
void store_part(T* p, Vec v, int64_t n) {
  T padded[kLanes];
  store(padded, v);
  std::memcpy(static_cast<void*>(p), padded, static_cast<size_t>(n) * sizeof(T));
}

// Runs f(i, n) for i over 0 .. size in steps of kLanes; n is kLanes, or less in the last step.
template <class F>
inline void for_lanes(int64_t size, F f) {
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) f(i, kLanes);
  if (i < size) f(i, static_cast<int>(size - i));
}
template <class T>
inline Vec load_n(const T* p, int n) {
  return n == kLanes ? load(p) : load_part(p, n);
}
template <class T>
inline void store_n(T* p, Vec v, int n) {
  n == kLanes ? store(p, v) : store_part(p, v, n);
}

// Sums and maxima over lanes, by halves: an order that does not depend on where the numbers came from.
inline float sum(Vec v) {
  float lane[kLanes];
  store(lane, v);
  for (int n = kLanes / 2; n > 0; n /= 2)
    for (int i = 0; i < n; ++i) lane[i] += lane[i + n];
  return lane[0];
}
// b where either is a NaN, as the instructions do.
#if defined(__AVX512F__)
inline Vec max(Vec a, Vec b) { return _mm512_max_ps(a, b); }
inline Vec min(Vec a, Vec b) { return _mm512_min_ps(a, b); }
#else
inline Vec max(Vec a, Vec b) { return a > b ? a : b; }
inline Vec min(Vec a, Vec b) { return a < b ? a : b; }
#endif
inline float max(Vec v) {
  float lane[kLanes];
  store(lane, v);
  for (int n = kLanes / 2; n > 0; n /= 2)
    for (int i = 0; i < n; ++i) lane[i] = lane[i] > lane[i + n] ? lane[i] : lane[i + n];
  return lane[0];
}
inline Vec abs(Vec v) { return from_bits(bits_of(v) & 0x7fffffffu); }
inline Vec copy_sign(Vec magnitude, Vec sign) { return from_bits((bits_of(magnitude) & 0x7fffffffu) | (bits_of(sign) & 0x80000000u)); }

// x = n ln 2 + r, |r| <= ln(2) / 2 (Cody, Waite 1980: ln 2 in two parts, the first of 9 bits), and e^r - 1 by fit_polynomials.py.
struct ReducedExp {
  IntVec n;
  Vec expm1_r;
};
inline ReducedExp reduce_exp(Vec x) {
  constexpr float kLog2E = 1.44269504f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  const Vec shifted = x * kLog2E + kRound;
  const Vec n = shifted - kRound;
  const Vec r = (x - n * kLn2High) - n * kLn2Low;
  const Vec q = (((0.00139012944f * r + 0.00836316217f) * r + 0.0416668542f) * r + 0.166665778f) * r + 0.5f;
  return {reinterpret_cast<IntVec>(bits_of(shifted) - 0x4b400000u), r * r * q + r};
}
inline Vec power_of_two(IntVec n) { return reinterpret_cast<Vec>((n + 127) << 23); }

// e^x to 2 units in the last place, over all of fp32: 0 below -104, infinity above 88.8, NaN of NaN.
inline Vec exp(Vec x) {
  const ReducedExp e = reduce_exp(min(broadcast(89.0f), max(broadcast(-104.0f), x)));
#if defined(__AVX512F__)
  return _mm512_scalef_ps(e.expm1_r + 1.0f, _mm512_cvtepi32_ps(reinterpret_cast<__m512i>(e.n)));
#else
  const IntVec half = e.n >> 1;  // 2^n itself may lie outside fp32
  return (e.expm1_r + 1.0f) * power_of_two(half) * power_of_two(e.n - half);
#endif
}

inline Vec rough_reciprocal(Vec x) {  // to 2^-14
#if defined(__AVX512F__)
  return reinterpret_cast<Vec>(_mm512_rcp14_ps(reinterpret_cast<__m512>(x)));
#else
  return 1.0f / x;
#endif
}
inline Vec reciprocal(Vec x) {  // of a finite x, to 1 unit in the last place
#if defined(__AVX512F__)
  const Vec rough = rough_reciprocal(x);
  return rough * (2.0f - x * rough);
#else
  return 1.0f / x;
#endif
}

// The normal distribution: density (1 / sqrt(2 pi)) e^(-x^2/2) and Phi(x) = (1 + erf(x / sqrt 2)) / 2 = e^(-x^2/2) t g(t) for x < 0, with
// t = 1 / (1 + 0.3 |x|) and g by fit_polynomials.py.
struct Normal {
  Vec density, phi;
};
inline constexpr float kNormalSquare = 174;  // of x beyond which both are 0, smaller than 1e-38 as they are

// Both to about 1e-6 of their value: the small Phi of negative x too, because the rounding error of x^2 is kept.
inline Normal normal(Vec x) {
  const Vec u = abs(x);
  const Vec square = u * u;
  const Vec high = from_bits(bits_of(u) & 0xfffff000u), low = u - high;  // 12 bits each, so that their products are exact
  const Vec square_error = ((high * high - square) + 2.0f * high * low) + low * low;
  const ReducedExp reduced = reduce_exp(-0.5f * square);
  const Vec e = (reduced.expm1_r + 1.0f) * power_of_two(reduced.n) * (1.0f - 0.5f * square_error);
  const Vec t = reciprocal(1.0f + 0.3f * u);
  Vec g = -0.0206234641f * t + 0.112435587f;
  g = g * t - 0.228213549f;
  g = g * t + 0.191784456f;
  g = g * t - 0.0794234276f;
  g = g * t + 0.0961567983f;
  g = g * t + 0.0783896595f;
  g = g * t + 0.110235423f;
  g = g * t + 0.119571812f;
  g = g * t + 0.119686693f;
  const Vec lower = square > kNormalSquare ? Vec{} : e * (t * g);
  return {square > kNormalSquare ? Vec{} : e * 0.398942280f, x < 0.0f ? lower : 1.0f - lower};
}

// The same to 2e-4 of their value, a tenth of bf16's last place, in half the time.
inline Normal rough_normal(Vec x) {
  const Vec u = abs(x);
  const Vec square = u * u;
  const Vec shifted = square * -0.721347520f + 12582912.0f;  // n of e^(-x^2/2) = 2^n e^r, as in reduce_exp
  const Vec r = -0.5f * square - (shifted - 12582912.0f) * 0.693147181f;
  const Vec exp_r = (((0.041458454f * r + 0.167909965f) * r + 0.500043631f) * r + 0.999963343f) * r + 0.999999285f;
  const Vec e = exp_r * power_of_two(reinterpret_cast<IntVec>(bits_of(shifted) - 0x4b400000u));
  const Vec t = rough_reciprocal(1.0f + 0.3f * u);
  const Vec g = ((((-0.0777591839f * t + 0.218029141f) * t - 0.0192283113f) * t + 0.145428151f) * t + 0.113430105f) * t + 0.120103657f;
  const Vec lower = square > kNormalSquare ? Vec{} : e * (t * g);
  return {square > kNormalSquare ? Vec{} : e * 0.398942280f, x < 0.0f ? lower : 1.0f - lower};
}

// (e^2|x| - 1) / (e^2|x| + 1) with the sign of x; exact near 0 because e^r - 1 is.
inline Vec tanh(Vec x) {
  const Vec u = abs(x);
  const ReducedExp e = reduce_exp(2.0f * (u > 10.0f ? broadcast(10.0f) : u));
  const Vec scale = power_of_two(e.n);
  const Vec expm1 = scale * e.expm1_r + (scale - 1.0f);
  return copy_sign(expm1 / (expm1 + 2.0f), x);
}

}  // namespace
}  // namespace mpibert::cpu
