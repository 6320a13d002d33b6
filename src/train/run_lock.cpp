#include "mpibert/train/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "mpibert/base/error.h"
#include "mpibert/base/log.h"
#include "train/checkpoint_files.h"

namespace mpibert {

namespace {

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown";
}

std::string read_text(int descriptor) {
  std::array<char, 4096> bytes{};
  const ssize_t got = ::pread(descriptor, bytes.data(), bytes.size(), 0);
  return std::string(bytes.data(), static_cast<size_t>(std::max<ssize_t>(got, 0)));
}

// The text of a lock as people read it; the raw text if it is not ours.
std::string holder(const std::string& text) {
  const nlohmann::json object = nlohmann::json::parse(text, nullptr, false);
  const auto member = [&](const char* key) -> std::string {
    if (!object.is_object() || !object.contains(key)) return "unknown";
    return object[key].is_string() ? object[key].get<std::string>() : object[key].dump();
  };
  if (!object.is_object()) return text.empty() ? "a process that has just started" : text;
  const std::string job = member("job");
  return str_cat("host ", member("host"), ", process ", member("pid"), job.empty() ? "" : ", job " + job, ", since ", member("started"));
}

void write_text(int descriptor, const std::string& text, const std::filesystem::path& path) {
  const bool written =
      ::ftruncate(descriptor, 0) == 0 && ::pwrite(descriptor, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size());
  MPIBERT_CHECK(written && ::fsync(descriptor) == 0, kIo, "cannot write ", path.string(), ": ", std::strerror(errno));
}

}  // namespace

RunLock::RunLock(const std::filesystem::path& run, const std::string& job) {
  std::error_code code;
  std::filesystem::create_directories(run, code);
  MPIBERT_CHECK(!code, kBusy, "cannot make the run directory ", run.string(), ": ", code.message());
  const std::filesystem::path path = run / "LOCK";
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  MPIBERT_CHECK(descriptor >= 0, kBusy, "cannot open ", path.string(), ": ", std::strerror(errno));
  descriptor_ = descriptor;
  try {
    if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
      const int problem = errno;
      MPIBERT_CHECK(problem != EWOULDBLOCK, kBusy, "the run directory ", run.string(), " is in use by ", holder(read_text(descriptor)),
                    "; choose another --output-dir or wait until it has ended");
      throw Error(ErrorKind::kIo, str_cat("cannot lock ", path.string(), ": ", std::strerror(problem),
                                          "; put the run on a file system with locks (Lustre: mount with flock)"));
    }
    if (const std::string stale = read_text(descriptor); !stale.empty())
      log_info("taking over ", path.string(), " from ", holder(stale), ", which has died");
    const nlohmann::ordered_json text = {{"host", host_name()}, {"pid", ::getpid()}, {"job", job}, {"started", utc_now()}};
    write_text(descriptor, text.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n", path);
  } catch (...) {
    ::close(std::exchange(descriptor_, -1));
    throw;
  }
}

RunLock::~RunLock() {
  if (descriptor_ < 0) return;
  // Empty means ended in order. If that fails, the next run says that it takes over from a dead one, which does no harm.
  if (::ftruncate(descriptor_, 0) != 0) log_warning("cannot empty the LOCK of the run: ", std::strerror(errno));
  ::close(descriptor_);
}

RunLock::RunLock(RunLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

RunLock& RunLock::operator=(RunLock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

}  // namespace mpibert
