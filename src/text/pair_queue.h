#pragma once

#include <cstdint>
#include <optional>
#include <queue>
#include <vector>

namespace mpibert {

// Words as symbols, end to end: word w is the `lengths[w]` symbols from begins[w] on, and stands for counts[w] equal ones.
struct SpelledWords {
  std::vector<uint32_t> symbols;
  std::vector<uint64_t> begins;
  std::vector<uint32_t> lengths;
  std::vector<int64_t> counts;
};

struct SymbolPair {
  uint32_t first = 0, second = 0;
};

// Which pair of neighbours is the most frequent, while pairs are joined one after another. Does what the loop of BpeTrainer of the
// tokenizers crate does, step by step, because its vocabularies depend on it:
//   - A pair is queued with its count and the words that it came up in. An entry whose count is no longer the pair's is queued again with
//     the right one when it comes first.
//   - A symbol may come about in two ways, "ab" + "c" and "a" + "bc". The pairs beside it are then queued once for each, with the words of
//     that way alone, and each entry joins in its own words; between the two other pairs may have their turn.
//   - Joining a pair takes nothing from its own count: the count of one that comes up again is too large by as much.
// Memory: the symbols, an entry for each pair and way, and a number for each word of it. Time: a look at every word of every joined entry.
class PairQueue {
 public:
  explicit PairQueue(SpelledWords words);

  // Takes the most frequent pair, of equally frequent ones that of the smallest symbols; none if it occurs less than min_count times.
  std::optional<SymbolPair> pop(int64_t min_count);
  // Puts `symbol` in the place of the pair taken last, wherever it stands in the words of its entry.
  void join(uint32_t symbol);

 private:
  static constexpr uint32_t kNone = ~uint32_t{0};
  struct Pair {
    uint64_t key = 0;
    int64_t count = 0;
    uint32_t coming = kNone;  // the entry that is being collected for it
  };
  struct Occurrences {
    uint32_t pair = 0;
    std::vector<uint32_t> words{};
  };
  struct Entry {
    int64_t count = 0;
    uint64_t key = 0;
    uint32_t occurrences = 0;
    // In a heap of std::priority_queue the largest comes first.
    bool operator<(const Entry& other) const {
      if (count != other.count) return count < other.count;
      if (key != other.key) return key > other.key;
      return occurrences > other.occurrences;
    }
  };

  static uint64_t key_of(uint32_t first, uint32_t second) { return uint64_t{first} << 32 | second; }
  uint32_t place_of(uint64_t key);  // in pairs_, new if need be
  void grow();
  void add(uint32_t first, uint32_t second, int64_t count) { pairs_[place_of(key_of(first, second))].count += count; }
  void add_in(uint32_t first, uint32_t second, uint32_t word);  // a pair that came up in a word
  void queue_coming();
  void join_in(uint32_t word, SymbolPair pair, uint32_t symbol);

  SpelledWords words_;
  std::vector<Pair> pairs_;
  std::vector<uint32_t> table_;           // places in pairs_ by hash of the key, kNone where empty; a power of two
  std::vector<Occurrences> occurrences_;  // those of entries that were taken are empty
  std::vector<uint32_t> coming_;          // pairs with an entry that is being collected
  std::priority_queue<Entry> queue_;
  Entry taken_;
};

}  // namespace mpibert
