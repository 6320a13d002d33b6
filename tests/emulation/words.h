#pragma once

// The words of a fault: places, threads, operations.

#include <source_location>
#include <sstream>
#include <string>

#include "tests/emulation/machine.h"

namespace emulation {

template <class... Parts>
std::string str(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return text.str();
}

std::string hexadecimal(uint64_t x);
std::string text_of(const std::source_location& where);  // "rows.cu:12"
template <class Vector>                                  // uint3, dim3
std::string text_of(const Vector& v) {
  return str("(", v.x, ", ", v.y, ", ", v.z, ")");
}

const char* name_of(WarpOperation operation);
// What a thread does now: "has returned", "waits at __syncthreads() in rows.cu:12".
std::string doing(const Thread& thread);
// "\n    name at file:line" of an address of this program, by addr2line; the offset in the file if there is no such program.
std::string place_of(const void* pc);

}  // namespace emulation
