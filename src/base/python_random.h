#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace mpibert {

// The numbers of Python 3's random.Random(seed), bit for bit, for what has to equal a Python script. Everything else takes base/random.h:
// these numbers depend on the order in which they are drawn. Source: MT19937 of Matsumoto and Nishimura 1998, ACM TOMACS 8(1); how Python
// seeds it and draws from it: CPython, Modules/_randommodule.c and Lib/random.py.
class PythonRandom {
 public:
  explicit PythonRandom(uint64_t seed);

  double random();                 // uniform on [0, 1): 53 bits of two words
  uint64_t getrandbits(int bits);  // 1 .. 64
  uint64_t below(
      uint64_t n);  // 0 .. n-1, as randrange(n): words of bit_length(n) bits until one is below n. Throws kInvalidArgument for n = 0
  int64_t randint(int64_t low, int64_t high);  // low .. high, both included
  template <class T>
  void shuffle(std::vector<T>& values) {
    for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[below(i)]);
  }

 private:
  uint32_t word();
  void refill();

  static constexpr size_t kWords = 624;
  std::array<uint32_t, kWords> state_{};
  size_t used_ = kWords;
};

}  // namespace mpibert
