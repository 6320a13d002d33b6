#pragma once

#include <gtest/gtest.h>

#include "mpibert/base/error.h"

namespace mpibert::test {

// The Error that `action` throws; a failure of the test if it throws none.
template <class Action>
Error thrown_by(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return {ErrorKind::kDiverged, "nothing was thrown"};
}

}  // namespace mpibert::test
