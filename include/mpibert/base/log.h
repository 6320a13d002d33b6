#pragma once

#include <cstdint>
#include <string>

#include "mpibert/base/error.h"

namespace mpibert {

enum class LogLevel : uint8_t { kDebug, kInfo, kWarning, kError, kOff };

// Messages for people, to stderr, one line each: "12:03:59 rank 2 warning: ...". Results never go this way.
// Before set_log_rank() lines carry no rank; after it, kInfo and kDebug are printed by rank 0 only, warnings and errors by all.
void set_log_rank(int rank, int size);
void set_log_level(LogLevel level);
void log_message(LogLevel level, const std::string& message);

template <class... Parts>
void log_debug(const Parts&... parts) {
  log_message(LogLevel::kDebug, str_cat(parts...));
}
template <class... Parts>
void log_info(const Parts&... parts) {
  log_message(LogLevel::kInfo, str_cat(parts...));
}
template <class... Parts>
void log_warning(const Parts&... parts) {
  log_message(LogLevel::kWarning, str_cat(parts...));
}
template <class... Parts>
void log_error(const Parts&... parts) {
  log_message(LogLevel::kError, str_cat(parts...));
}

}  // namespace mpibert
