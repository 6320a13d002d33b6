#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mpibert {

enum class DType : uint8_t { kFloat32, kBFloat16, kFloat16, kFloat64, kInt32, kInt64, kUInt8 };  // fp64: sums of squares only

size_t bytes_of(DType dtype);
std::string_view name_of(DType dtype);             // "fp32", "bf16", "fp16", "fp64", "int32", "int64", "uint8"
bool is_float(DType dtype);                        // fp32, bf16 or fp16: what a model is computed in
DType precision_from_name(std::string_view name);  // "fp32", "bf16" or "fp16"; throws kUsage on another

// A bfloat16 number: the upper half of an fp32 one. Arithmetic is done in fp32.
struct bfloat16 {
  uint16_t bits = 0;

  constexpr bfloat16() = default;
  // Rounds to nearest, ties to even; a NaN stays a (quiet) NaN.
  explicit constexpr bfloat16(float value) {
    const uint32_t u = std::bit_cast<uint32_t>(value);
    const bool is_nan = (u & 0x7fffffffu) > 0x7f800000u;
    bits = static_cast<uint16_t>(is_nan ? (u >> 16) | 0x40u : (u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
  }
  explicit constexpr operator float() const { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }
};

// A number of IEEE 754 binary16: sign, 5 bits of exponent (bias 15), 10 of fraction. Finite up to 65504, normal from 2^-14, subnormal from
// 2^-24. Arithmetic is done in fp32.
struct float16 {
  uint16_t bits = 0;

  constexpr float16() = default;
  // Rounds to nearest, ties to even; from 65520 on to infinity; a NaN stays a (quiet) NaN.
  explicit constexpr float16(float value) {
    const uint32_t u = std::bit_cast<uint32_t>(value), magnitude = u & 0x7fffffffu, sign = (u >> 16) & 0x8000u;
    const auto rounded = [&]() -> uint32_t {
      if (magnitude > 0x7f800000u) return 0x7e00u | ((magnitude >> 13) & 0x3ffu);
      if (magnitude >= 0x47800000u) return 0x7c00u;  // 2^16
      // Below 2^-14 numbers are 2^-24 apart, as those of fp32 are between 1/2 and 1: its addition does the rounding.
      if (magnitude < 0x38800000u) return std::bit_cast<uint32_t>(0.5f + std::bit_cast<float>(magnitude)) - std::bit_cast<uint32_t>(0.5f);
      return (magnitude + 0xfffu + ((magnitude >> 13) & 1u) - (112u << 23)) >> 13;  // the exponents' biases are 127 - 15 = 112 apart
    };
    bits = static_cast<uint16_t>(sign | rounded());
  }
  explicit constexpr operator float() const {
    const uint32_t magnitude = bits & 0x7fffu, sign = (bits & 0x8000u) << 16;
    const auto widened = [&]() -> uint32_t {
      if (magnitude >= 0x7c00u) return (magnitude << 13) + (224u << 23);  // infinity, NaN: the largest exponent of both
      if (magnitude < 0x400u) return std::bit_cast<uint32_t>(static_cast<float>(magnitude) * 0x1p-24f);
      return (magnitude << 13) + (112u << 23);
    };
    return std::bit_cast<float>(sign | widened());
  }
};

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::kFloat32;
};
template <>
struct DTypeOf<bfloat16> {
  static constexpr DType value = DType::kBFloat16;
};
template <>
struct DTypeOf<float16> {
  static constexpr DType value = DType::kFloat16;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::kFloat64;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::kInt32;
};
template <>
struct DTypeOf<int64_t> {
  static constexpr DType value = DType::kInt64;
};
template <>
struct DTypeOf<uint8_t> {
  static constexpr DType value = DType::kUInt8;
};

}  // namespace mpibert
