#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mpibert {

// How often each word occurs. A word is any bytes, at most 2^32 - 1 of them. One table with open addressing, the bytes of all words end to
// end beside it: 24 bytes and its own for a word, at a load of half to three quarters. Not thread-safe.
class WordCounts {
 public:
  WordCounts();
  void add(std::string_view word, int64_t count = 1);
  int64_t count(std::string_view word) const;  // 0 if it is not there
  int64_t size() const { return size_; }       // distinct words
  void clear();

  // f(word, count) of every word, in no order that means anything.
  template <class F>
  void for_each(F&& f) const {
    for (const Entry& entry : entries_)
      if (entry.count != 0) f(std::string_view(bytes_.data() + entry.begin, entry.length), entry.count);
  }

  // Words of one remainder of their hash, out of `parts` (a power of two, at most 256): the same on every machine of this byte order.
  static size_t part_of(std::string_view word, size_t parts);

 private:
  struct Entry {
    uint64_t begin = 0;
    uint32_t length = 0, hash = 0;
    int64_t count = 0;  // 0: empty
  };
  size_t place_of(std::string_view word, uint32_t hash) const;
  void grow();

  std::vector<Entry> entries_;  // a power of two
  int64_t size_ = 0;
  std::vector<char> bytes_;
};

}  // namespace mpibert
