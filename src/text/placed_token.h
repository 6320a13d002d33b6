#pragma once

#include <cstdint>

#include "mpibert/text/tokenizer.h"

namespace mpibert {

// A token of a text, the number of its word, and the places that it came from.
struct PlacedToken {
  int32_t id = 0;
  int32_t word = 0;
  Span characters, bytes;
};

}  // namespace mpibert
