#include "mpibert/text/word_counts.h"

#include <bit>
#include <cstring>
#include <limits>

#include "mpibert/base/error.h"

namespace mpibert {

namespace {

constexpr size_t kFirstEntries = 1024;

template <class Word>
uint64_t load(const char* at) {
  Word word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

// Any bytes of a word are in the hash; the last chunk overlaps the one before it, so that no byte is read one by one.
uint32_t hash_of(std::string_view word) {
  constexpr uint64_t kMultiplier = 0x9E3779B97F4A7C15u;
  const char* const at = word.data();
  const size_t n = word.size();
  uint64_t hash = n * kMultiplier;
  const auto mix = [&](uint64_t chunk) { hash = (std::rotl(hash, 29) ^ chunk) * kMultiplier; };
  if (n >= 8) {
    for (size_t i = 0; i + 8 < n; i += 8) mix(load<uint64_t>(at + i));
    mix(load<uint64_t>(at + n - 8));
  } else if (n >= 4) {
    mix(load<uint32_t>(at) << 32 | load<uint32_t>(at + n - 4));
  } else if (n > 0) {
    mix(load<uint8_t>(at) << 16 | load<uint8_t>(at + n / 2) << 8 | load<uint8_t>(at + n - 1));
  }
  return static_cast<uint32_t>((hash ^ hash >> 29) * kMultiplier >> 32);
}

}  // namespace

WordCounts::WordCounts() : entries_(kFirstEntries) {}

void WordCounts::clear() { *this = WordCounts(); }

size_t WordCounts::place_of(std::string_view word, uint32_t hash) const {
  const size_t mask = entries_.size() - 1;
  for (size_t place = hash & mask;; place = (place + 1) & mask) {
    const Entry& entry = entries_[place];
    if (entry.count == 0) return place;
    if (entry.hash == hash && entry.length == word.size() && std::memcmp(bytes_.data() + entry.begin, word.data(), word.size()) == 0)
      return place;
  }
}

void WordCounts::add(std::string_view word, int64_t count) {
  if (count == 0) return;
  const uint32_t hash = hash_of(word);
  Entry& entry = entries_[place_of(word, hash)];
  if (entry.count != 0) {
    entry.count += count;
    return;
  }
  MPIBERT_CHECK(word.size() <= std::numeric_limits<uint32_t>::max(), kInvalidArgument, "a word of ", word.size(), " bytes; is this text?");
  entry = {.begin = bytes_.size(), .length = static_cast<uint32_t>(word.size()), .hash = hash, .count = count};
  bytes_.insert(bytes_.end(), word.begin(), word.end());
  if (4 * static_cast<size_t>(++size_) > 3 * entries_.size()) grow();
}

int64_t WordCounts::count(std::string_view word) const { return entries_[place_of(word, hash_of(word))].count; }

void WordCounts::grow() {
  std::vector<Entry> old(2 * entries_.size());
  old.swap(entries_);
  const size_t mask = entries_.size() - 1;
  for (const Entry& entry : old) {
    if (entry.count == 0) continue;
    size_t place = entry.hash & mask;
    while (entries_[place].count != 0) place = (place + 1) & mask;
    entries_[place] = entry;
  }
}

// The high bits, since the low ones say where a word stands in the table.
size_t WordCounts::part_of(std::string_view word, size_t parts) { return (hash_of(word) >> 24) & (parts - 1); }

}  // namespace mpibert
