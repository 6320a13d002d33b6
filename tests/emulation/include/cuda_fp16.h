#pragma once

// binary16 as the backend uses it, by the compiler's own type: a second opinion on base/dtype.h.

#include <bit>

struct __half {
  _Float16 number;
};

inline __half __float2half_rn(float x) { return {static_cast<_Float16>(x)}; }
inline float __half2float(__half x) { return static_cast<float>(x.number); }
inline unsigned short __half_as_ushort(__half x) { return std::bit_cast<unsigned short>(x); }
inline __half __ushort_as_half(unsigned short bits) { return std::bit_cast<__half>(bits); }
