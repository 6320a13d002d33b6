#include <algorithm>

#include "mpibert/base/error.h"
#include "mpibert/text/tokenizer.h"

namespace mpibert {

namespace {

// truncate_encodings of the tokenizers crate: the shorter part keeps min(itself, half), the longer the rest; of two equal parts the first
// counts as the shorter, so an odd budget gives the second one more.
PairLengths closed_form(int64_t first, int64_t second, int64_t budget) {
  int64_t shorter = std::min(first, second), longer = std::max(shorter, budget - shorter);
  if (shorter + longer > budget) {
    shorter = budget / 2;
    longer = shorter + budget % 2;
  }
  return first > second ? PairLengths{longer, shorter} : PairLengths{shorter, longer};
}

// Where popping one token at a time from the longer, on a tie from the second, ends: with an odd budget the first keeps one more.
PairLengths popped(int64_t first, int64_t second, int64_t budget) {
  const int64_t kept = std::min(first, std::max((budget + 1) / 2, budget - second));
  return {kept, budget - kept};
}

int64_t cut_only(int64_t length, int64_t excess, const char* which) {
  MPIBERT_CHECK(length > excess, kInvalidArgument, "the ", which, " text has ", length, " tokens, too few to remove the ", excess,
                " that are too many; use truncation longest_first or a larger max_length");
  return length - excess;
}

}  // namespace

PairLengths truncated_lengths(int64_t first, int64_t second, int64_t budget, Truncation truncation) {
  const int64_t excess = first + second - budget;
  if (excess <= 0) return {first, second};
  switch (truncation) {
    case Truncation::kLongestFirst:
      return closed_form(first, second, budget);
    case Truncation::kLongestFirstPop:
      return popped(first, second, budget);
    case Truncation::kOnlyFirst:
      return {cut_only(first, excess, "first"), second};
    case Truncation::kOnlySecond:
      return {first, cut_only(second, excess, "second")};
  }
  throw Error(ErrorKind::kInvalidArgument, "unknown truncation");
}

}  // namespace mpibert
