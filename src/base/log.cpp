#include "mpibert/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>

namespace mpibert {

namespace {

std::atomic<int> log_rank{-1};

spdlog::logger& logger() {
  static spdlog::logger instance = [] {
    spdlog::logger made("mpibert", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made.set_pattern("%H:%M:%S %v");
    made.set_level(spdlog::level::info);
    made.flush_on(spdlog::level::debug);
    return made;
  }();
  return instance;
}

spdlog::level::level_enum level_of(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      return spdlog::level::off;
  }
  return spdlog::level::off;
}

}  // namespace

void set_log_rank(int rank, int size) { log_rank = size > 1 ? rank : -1; }

void set_log_level(LogLevel level) { logger().set_level(level_of(level)); }

void log_message(LogLevel level, const std::string& message) {
  const int rank = log_rank;
  if (rank > 0 && level < LogLevel::kWarning) return;
  const char* label = level == LogLevel::kWarning ? "warning: " : level == LogLevel::kError ? "error: " : "";
  const bool show_rank = rank >= 0 && level >= LogLevel::kWarning;
  logger().log(level_of(level), "{}{}{}", show_rank ? str_cat("rank ", rank, " ") : "", label, message);
}

}  // namespace mpibert
