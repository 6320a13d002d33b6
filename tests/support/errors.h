#pragma once

#include <gmock/gmock.h>

#include <functional>
#include <string>
#include <vector>

#include "mpibert/base/error.h"

namespace mpibert::test {

// `call` throws an Error of this kind, and its message contains all of `words`.
inline void expect_error(ErrorKind kind, const std::vector<std::string>& words, const std::function<void()>& call) {
  try {
    call();
    ADD_FAILURE() << "nothing was thrown; expected an error with '" << words.front() << "'";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    for (const std::string& word : words) EXPECT_THAT(error.what(), testing::HasSubstr(word));
  }
}

}  // namespace mpibert::test
