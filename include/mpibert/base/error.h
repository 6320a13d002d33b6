#pragma once

#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>

namespace mpibert {

// What went wrong, by who can mend it. apps/main.cpp maps each kind to a documented exit code (README.md, "Exit codes").
enum class ErrorKind : uint8_t {
  kUsage,            // a flag or its value: the command line can be mended
  kInvalidArgument,  // options, shapes, configuration: the caller can fix it
  kNotFound,         // an input that is not there
  kCorrupt,          // a file that does not obey its format: names the file and the place
  kIo,               // reading or writing failed: names the path and the remedy
  kBusy,             // the output is in use or cannot be created
  kPermission,       // the system refused access
  kCommunication,    // a collective failed or timed out: names the collective and the rank
  kDevice,           // a device or its library is not usable
  kOutOfMemory,      // of the host: says how much was asked for
  kOutOfDeviceMemory,
  kDiverged,  // training cannot go on: do not restart
};

// Everything this library throws on purpose. Libraries throw it; only apps/main.cpp prints it, with the rank, and ends the job.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

// The arguments written one after another with operator<<.
template <class... Parts>
std::string str_cat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

// Throws Error(kind, str_cat(...)) unless `condition` holds. The message is built only then.
#define MPIBERT_CHECK(condition, kind, ...)                                                                \
  do {                                                                                                     \
    if (!(condition)) throw ::mpibert::Error(::mpibert::ErrorKind::kind, ::mpibert::str_cat(__VA_ARGS__)); \
  } while (false)

// An invariant of this program that does not hold: a bug. Throws std::logic_error with the place.
#define MPIBERT_ASSERT(condition)                                                                                              \
  do {                                                                                                                         \
    if (!(condition)) throw std::logic_error(::mpibert::str_cat(__FILE__, ":", __LINE__, ": broken invariant: ", #condition)); \
  } while (false)

}  // namespace mpibert
