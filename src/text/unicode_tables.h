#pragma once

#include <cstddef>
#include <cstdint>

// Character properties of unicode_tables.cpp, as ranges with both ends included, in order. unicode.h makes them quick to ask for.
namespace mpibert::unicode {

struct CodePointRange {
  uint32_t first, last;
};

struct LowerRange {  // first, first + stride, ..., last: lower case is `delta` away
  uint32_t first, last, stride;
  int32_t delta;
};

extern const CodePointRange kRemoved[], kMarks[], kPunctuation[], kDecomposed[], kCombining[], kWord[];
extern const size_t kRemovedCount, kMarksCount, kPunctuationCount, kDecomposedCount, kCombiningCount, kWordCount;
extern const LowerRange kLower[];
extern const size_t kLowerCount;

}  // namespace mpibert::unicode
