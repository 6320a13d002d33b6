#include "text/byte_masks.h"

#include <gtest/gtest.h>

#include <array>

#include "text/unicode.h"

namespace mpibert {

TEST(ByteMasks, AgreeWithThePropertiesOfEveryByteInEveryPlace) {
  const auto& properties = unicode::PropertyTable::instance();
  for (const bool vertical_spaces : {false, true}) {
    for (uint32_t first = 0; first < 256; ++first) {
      std::array<char, kMaskBytes> text;
      for (uint32_t i = 0; i < kMaskBytes; ++i) text[i] = static_cast<char>(first + i);
      const ByteMasks masks = byte_masks_of(text.data(), vertical_spaces);
      for (uint32_t i = 0; i < kMaskBytes; ++i) {
        const auto byte = static_cast<uint8_t>(text[i]);
        const auto is = [&](unicode::Flag flag) { return byte < 0x80 && properties[byte].is(flag); };
        const bool is_control = properties[byte].is(unicode::kIsRemoved) && !(vertical_spaces && properties[byte].is(unicode::kIsSpace));
        const bool is_space = is(unicode::kIsSpace) && !is_control, is_letter = is(unicode::kIsWord) && !is(unicode::kIsPunctuation);
        EXPECT_EQ(masks.spaces >> i & 1, is_space) << int{byte};
        EXPECT_EQ(masks.letters >> i & 1, is_letter) << int{byte};
        EXPECT_EQ(masks.others >> i & 1, !is_space && !is_letter && !is(unicode::kIsPunctuation)) << int{byte};
      }
    }
  }
}

}  // namespace mpibert
