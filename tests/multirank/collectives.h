#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "comm/mpi_communicator.h"
#include "mpibert/base/error.h"

namespace mpibert::test {

// Messages so short that every collective is cut into many, with the last one odd.
inline MpiOptions short_messages() {
  return {.timeout = std::chrono::seconds(60), .segment_bytes = 900, .max_message_bytes = 260, .max_reductions = 2};
}
inline MpiOptions patient() { return {.timeout = std::chrono::seconds(60)}; }

// The gradient of a slot: numbers of many sizes, so that another order of addition has other bits.
inline float slot_number(int64_t slot, int64_t i) {
  const auto hash = static_cast<uint64_t>(slot * 1000003 + i) * 0x9e3779b97f4a7c15ull;
  return static_cast<float>(static_cast<int64_t>(hash) >> 40) * static_cast<float>(1 << ((hash >> 3) % 7));
}

// The sum over [first, last) as comm/slot_tree.h defines it, written again.
inline float tree_sum(int64_t first, int64_t last, int64_t i) {
  if (last - first == 1) return slot_number(first, i);
  int64_t half = 1;
  while (2 * half < last - first) half *= 2;
  return tree_sum(first, first + half, i) + tree_sum(first + half, last, i);
}

// The text of the error that `call` throws, which must be of the kind.
template <class Call>
std::string error_of(ErrorKind kind, const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.kind()), static_cast<int>(kind)) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace mpibert::test
