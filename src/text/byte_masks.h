#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace mpibert {

// Which of 64 bytes of text are what, as bit masks, the first byte lowest. White space here is ASCII's; the other three make up the rest.
struct ByteMasks {
  uint64_t letters = 0;  // ASCII letters and digits
  uint64_t others = 0;   // control characters and what is not ASCII
  uint64_t spaces = 0;   // neither these three: ASCII punctuation, each a word by itself
};

inline constexpr size_t kMaskBytes = 64;

namespace byte_masks {

inline constexpr size_t kVectorBytes = 16;
using Bytes [[gnu::vector_size(kVectorBytes)]] = uint8_t;

// The lowest bits of bytes that are 0 or FF.
inline uint64_t gather(Bytes flags) {
#ifdef __SSE2__
  return static_cast<uint64_t>(_mm_movemask_epi8(reinterpret_cast<__m128i>(flags)));
#else
  static_assert(std::endian::native == std::endian::little);
  const auto halves = std::bit_cast<std::array<uint64_t, 2> >(flags & 1);
  constexpr uint64_t kShifts = 0x0102040810204080u;  // bit 0 of byte i goes to bit 56 + i, and no two meet
  return halves[0] * kShifts >> 56 | halves[1] * kShifts >> 56 << 8;
#endif
}

// first <= byte < first + count
inline Bytes are_from(Bytes bytes, uint8_t first, uint8_t count) { return reinterpret_cast<Bytes>(bytes - first < count); }

}  // namespace byte_masks

// `vertical_spaces`: VT and FF are white space, not control characters.
inline ByteMasks byte_masks_of(const char* text, bool vertical_spaces) {
  using namespace byte_masks;
  ByteMasks masks;
  for (size_t i = 0; i < kMaskBytes; i += kVectorBytes) {
    Bytes bytes;
    std::memcpy(&bytes, text + i, sizeof(bytes));
    const Bytes letters = are_from(bytes | 0x20, 'a', 26) | are_from(bytes, '0', 10);
    const Bytes spaces =
        are_from(bytes, ' ', 1) | are_from(bytes, '\t', 2) | are_from(bytes, '\r', 1) | are_from(bytes, '\v', vertical_spaces ? 2 : 0);
    const Bytes graphic = are_from(bytes, '!', '~' - '!' + 1);
    masks.letters |= gather(letters) << i;
    masks.spaces |= gather(spaces) << i;
    masks.others |= gather(~(graphic | spaces)) << i;
  }
  return masks;
}

}  // namespace mpibert
