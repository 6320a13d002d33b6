#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

#include "text/placed_token.h"

namespace mpibert {

// A direct-mapped table from the raw bytes of a part of text to its tokens, of one thread. It only remembers, so it changes no result: a
// part that is not there is computed. Text is Zipfian: a few ten thousand words answer nearly all lookups. A key is the bytes, NULs behind
// them, and their number in the last byte. `owner` tells the words of different tokenizers apart. Places lie beside the ids, so that who
// asks for ids alone touches no more.
template <size_t key_bytes, size_t max_tokens, size_t slots>
class WordCache {
  static_assert(key_bytes % 8 == 0 && key_bytes < 256 && std::has_single_bit(slots) && max_tokens < 256 &&
                std::endian::native == std::endian::little);

 public:
  static constexpr size_t kMaxBytes = key_bytes - 1, kMaxTokens = max_tokens, kKeyBytes = key_bytes;

  using Key = std::array<uint64_t, key_bytes / 8>;
  struct Entry {
    Key key{};
    std::array<int32_t, max_tokens> ids{};
    uint32_t owner : 24 = 0;  // 0: empty
    uint32_t count : 8 = 0;
  };
  struct TokenPlace {  // all from the start of the part on
    uint8_t word, first_byte, end_byte, first_character, end_character;
  };
  struct Places {
    std::array<TokenPlace, max_tokens> tokens{};
    uint8_t characters = 0;
  };

  WordCache() : entries_(std::make_unique<Entry[]>(slots)), places_(std::make_unique<Places[]>(slots)) {}

  // At most kMaxBytes bytes; `readable` bytes may be read from `part` on.
  static Key key_of(std::string_view part, size_t readable) {
    Key key{};
    if (readable < key_bytes) {
      std::memcpy(&key, part.data(), part.size());
    } else {
      static constexpr std::array<uint8_t, 2 * key_bytes> kOnesThenZeros = [] {
        std::array<uint8_t, 2 * key_bytes> bytes{};
        std::fill_n(bytes.begin(), key_bytes, uint8_t{0xFF});
        return bytes;
      }();
      Key kept;
      std::memcpy(&key, part.data(), key_bytes);  // fixed sizes are one or two moves
      std::memcpy(&kept, &kOnesThenZeros[key_bytes - part.size()], key_bytes);
      for (size_t i = 0; i < key.size(); ++i) key[i] &= kept[i];
    }
    key.back() |= uint64_t{part.size()} << 56;
    return key;
  }

  static size_t slot_of(const Key& key, uint32_t owner) {
    uint64_t hash = owner;
    for (size_t i = 0; i < key.size(); ++i) hash += key[i] * (0x9E3779B97F4A7C15u + (i << 33));
    return hash >> (64 - std::countr_zero(slots));
  }
  bool holds(size_t slot, const Key& key, uint32_t owner) const {
    const Entry& entry = entries_[slot];
    uint64_t difference = entry.owner ^ owner;  // summed up without branches; == of arrays calls memcmp
    for (size_t i = 0; i < key.size(); ++i) difference |= entry.key[i] ^ key[i];
    return difference == 0;
  }
  const Entry& entry(size_t slot) const { return entries_[slot]; }
  const Places& places(size_t slot) const { return places_[slot]; }

  // At most kMaxTokens tokens.
  void add(const Key& key, uint32_t owner, std::span<const PlacedToken> tokens, int32_t characters) {
    const auto narrow = [](int32_t value) { return static_cast<uint8_t>(value); };
    const size_t slot = slot_of(key, owner);
    Entry& entry = entries_[slot];
    Places& places = places_[slot];
    entry.key = key;
    entry.owner = owner & 0xFFFFFFu;
    entry.count = static_cast<uint8_t>(tokens.size());
    places.characters = narrow(characters);
    for (size_t i = 0; i < tokens.size(); ++i) {
      const PlacedToken& token = tokens[i];
      entry.ids[i] = token.id;
      places.tokens[i] = {narrow(token.word), narrow(token.bytes.begin), narrow(token.bytes.end), narrow(token.characters.begin),
                          narrow(token.characters.end)};
    }
  }

 private:
  std::unique_ptr<Entry[]> entries_;
  std::unique_ptr<Places[]> places_;
};

}  // namespace mpibert
