#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "mpibert/base/error.h"

namespace mpibert::test {

// `action` throws Error of this kind with all of these texts in its message.
template <class Action>
void expect_error(ErrorKind kind, const std::vector<std::string>& texts, Action&& action) {
  try {
    action();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    for (const std::string& text : texts) EXPECT_THAT(error.what(), testing::HasSubstr(text));
  }
}

}  // namespace mpibert::test
