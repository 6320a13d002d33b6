#pragma once

#include "mpibert/base/error.h"

namespace mpibert::apps {

// The exit codes of the program; the table in README.md explains them. All ranks return the same one.
inline constexpr int kFinished = 0, kInternalError = 1, kStoppedOnRequest = 75;

inline int exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kUsage:
      return 2;
    case ErrorKind::kCorrupt:
      return 65;
    case ErrorKind::kNotFound:
      return 66;
    case ErrorKind::kDevice:
      return 69;
    case ErrorKind::kOutOfMemory:
      return 71;
    case ErrorKind::kOutOfDeviceMemory:
      return 72;
    case ErrorKind::kBusy:
      return 73;
    case ErrorKind::kIo:
      return 74;
    case ErrorKind::kCommunication:
      return 76;
    case ErrorKind::kPermission:
      return 77;
    case ErrorKind::kInvalidArgument:
      return 78;
    case ErrorKind::kDiverged:
      return 79;
  }
  return kInternalError;
}

}  // namespace mpibert::apps
