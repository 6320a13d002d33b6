#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

namespace mpibert {

// A direct-mapped table from the raw bytes of a word to its ids, of one thread. It only remembers, so it changes no result: a word that is not there
// is computed. Text is Zipfian: a few ten thousand words answer nearly all lookups. Keys are padded with NUL, so words with NUL or longer than the
// key stay out, and so do words of too many ids. `owner` tells the words of different tokenizers apart.
template <size_t key_bytes, size_t max_ids, size_t slots>
class WordCache {
  static_assert(key_bytes % 8 == 0 && std::has_single_bit(slots) && max_ids < 256);

 public:
  struct Key {
    std::array<uint64_t, key_bytes / 8> words{};
    bool operator==(const Key&) const = default;
  };
  struct Entry {
    Key key;
    uint32_t owner = 0;  // 0: empty
    uint32_t count = 0;
    std::array<int32_t, max_ids> ids{};
  };

  WordCache() : entries_(std::make_unique<std::array<Entry, slots>>()) {}

  // `readable` bytes may be read from the word's start on: up to the end of the text.
  static Key key_of(std::string_view word, size_t readable) {
    Key key;
    if (readable < key_bytes) {
      std::memcpy(&key, word.data(), word.size());
      return key;
    }
    std::memcpy(&key, word.data(), key_bytes);  // a fixed size is one or two moves
    for (size_t i = 0; i < key.words.size(); ++i) {
      const size_t kept = word.size() > 8 * i ? word.size() - 8 * i : 0;
      if (kept < 8) key.words[i] &= (uint64_t{1} << 8 * kept) - 1;
    }
    return key;
  }

  Entry& slot(const Key& key, uint32_t owner) {
    uint64_t hash = owner;
    for (const uint64_t word : key.words) hash = (std::rotl(hash, 29) ^ word) * 0x9E3779B97F4A7C15u;
    return (*entries_)[(hash ^ hash >> 32) & (slots - 1)];
  }

  static void fill(Entry& entry, const Key& key, uint32_t owner, std::span<const int32_t> ids) {
    if (ids.size() > max_ids) return;
    entry.key = key;
    entry.owner = owner;
    entry.count = static_cast<uint32_t>(ids.size());
    std::copy(ids.begin(), ids.end(), entry.ids.begin());  // there may be none
  }

 private:
  std::unique_ptr<std::array<Entry, slots>> entries_;
};

}  // namespace mpibert
