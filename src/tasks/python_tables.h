#pragma once

#include <cstddef>

#include "text/unicode_tables.h"

// Characters of python_tables.cpp, as ranges with both ends included, in order.
namespace mpibert::python {

using unicode::CodePointRange;
extern const CodePointRange kWord[], kCased[], kCaseIgnorable[];
extern const size_t kWordCount, kCasedCount, kCaseIgnorableCount;

}  // namespace mpibert::python
