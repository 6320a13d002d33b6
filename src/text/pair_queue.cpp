#include "text/pair_queue.h"

#include <utility>

namespace mpibert {

namespace {

constexpr size_t kFirstPlaces = 1 << 16;

size_t hash_of(uint64_t key) {
  const uint64_t hash = key * 0x9E3779B97F4A7C15u;
  return static_cast<size_t>(hash ^ hash >> 32);
}

}  // namespace

PairQueue::PairQueue(SpelledWords words) : words_(std::move(words)), table_(kFirstPlaces, kNone) {
  for (uint32_t word = 0; word < words_.lengths.size(); ++word) {
    const uint32_t* const symbols = words_.symbols.data() + words_.begins[word];
    for (uint32_t i = 0; i + 1 < words_.lengths[word]; ++i) add_in(symbols[i], symbols[i + 1], word);
  }
  queue_coming();
}

uint32_t PairQueue::place_of(uint64_t key) {
  const size_t mask = table_.size() - 1;
  size_t at = hash_of(key) & mask;
  for (; table_[at] != kNone; at = (at + 1) & mask)
    if (pairs_[table_[at]].key == key) return table_[at];
  const auto place = static_cast<uint32_t>(pairs_.size());
  table_[at] = place;
  pairs_.push_back({.key = key});
  if (2 * pairs_.size() > table_.size()) grow();
  return place;
}

void PairQueue::grow() {
  table_.assign(2 * table_.size(), kNone);
  const size_t mask = table_.size() - 1;
  for (uint32_t place = 0; place < pairs_.size(); ++place) {
    size_t at = hash_of(pairs_[place].key) & mask;
    while (table_[at] != kNone) at = (at + 1) & mask;
    table_[at] = place;
  }
}

void PairQueue::add_in(uint32_t first, uint32_t second, uint32_t word) {
  const uint32_t place = place_of(key_of(first, second));
  Pair& pair = pairs_[place];
  pair.count += words_.counts[word];
  if (pair.coming == kNone) {
    pair.coming = static_cast<uint32_t>(occurrences_.size());
    occurrences_.push_back({.pair = place});
    coming_.push_back(place);
  }
  std::vector<uint32_t>& words = occurrences_[pair.coming].words;
  if (words.empty() || words.back() != word) words.push_back(word);
}

void PairQueue::queue_coming() {
  for (const uint32_t place : coming_) {
    Pair& pair = pairs_[place];
    if (pair.count > 0) queue_.push({.count = pair.count, .key = pair.key, .occurrences = pair.coming});
    pair.coming = kNone;
  }
  coming_.clear();
}

std::optional<SymbolPair> PairQueue::pop(int64_t min_count) {
  while (!queue_.empty()) {
    taken_ = queue_.top();
    queue_.pop();
    const int64_t count = pairs_[occurrences_[taken_.occurrences].pair].count;
    if (count == 0) continue;
    if (count == taken_.count) {
      if (count < min_count) return std::nullopt;
      return SymbolPair{static_cast<uint32_t>(taken_.key >> 32), static_cast<uint32_t>(taken_.key)};
    }
    taken_.count = count;
    queue_.push(taken_);
  }
  return std::nullopt;
}

void PairQueue::join(uint32_t symbol) {
  const std::vector<uint32_t> words = std::exchange(occurrences_[taken_.occurrences].words, {});
  const SymbolPair pair{static_cast<uint32_t>(taken_.key >> 32), static_cast<uint32_t>(taken_.key)};
  for (const uint32_t word : words) join_in(word, pair, symbol);
  queue_coming();
}

void PairQueue::join_in(uint32_t word, SymbolPair pair, uint32_t symbol) {
  uint32_t* const symbols = words_.symbols.data() + words_.begins[word];
  const uint32_t length = words_.lengths[word];
  const int64_t count = words_.counts[word];
  uint32_t to = 0;
  for (uint32_t i = 0; i < length;) {
    if (symbols[i] != pair.first || i + 1 == length || symbols[i + 1] != pair.second) {
      symbols[to++] = symbols[i++];
      continue;
    }
    if (to > 0) {
      add(symbols[to - 1], pair.first, -count);
      add_in(symbols[to - 1], symbol, word);
    }
    if (i + 2 < length) {
      add(pair.second, symbols[i + 2], -count);
      add_in(symbol, symbols[i + 2], word);
    }
    symbols[to++] = symbol;
    i += 2;
  }
  words_.lengths[word] = to;
}

}  // namespace mpibert
