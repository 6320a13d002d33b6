#include "mpibert/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "mpibert/base/error.h"

namespace mpibert {

namespace {

[[noreturn]] void throw_system_error(const char* what, const std::filesystem::path& path, int code) {
  const ErrorKind kind = code == ENOENT || code == ENOTDIR                  ? ErrorKind::kNotFound
                         : code == EACCES || code == EPERM || code == EROFS ? ErrorKind::kPermission
                                                                            : ErrorKind::kIo;
  throw Error(kind, str_cat("cannot ", what, " ", path.string(), ": ", std::strerror(code)));
}

}  // namespace

std::string read_file(const std::filesystem::path& path, size_t max_bytes) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw_system_error("open", path, errno);
  std::string text;
  try {
    struct stat status {};
    if (::fstat(descriptor, &status) != 0) throw_system_error("examine", path, errno);
    if (S_ISDIR(status.st_mode)) throw_system_error("read", path, EISDIR);
    MPIBERT_CHECK(static_cast<size_t>(status.st_size) <= max_bytes, kCorrupt, path.string(), " has ", status.st_size,
                  " bytes, more than the ", max_bytes, " that such a file may have");
    size_t used = 0;
    for (;;) {  // a file may grow, and /dev/stdin says 0 bytes: read until there is no more
      if (text.size() - used < 65536) text.resize(std::max<size_t>(static_cast<size_t>(status.st_size) + 65536, 2 * text.size()));
      const ssize_t got = ::read(descriptor, text.data() + used, text.size() - used);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) throw_system_error("read", path, errno);
      if (got == 0) break;
      used += static_cast<size_t>(got);
      MPIBERT_CHECK(used <= max_bytes, kCorrupt, path.string(), " has more than the ", max_bytes, " bytes that such a file may have");
    }
    text.resize(used);
  } catch (...) {
    ::close(descriptor);
    throw;
  }
  ::close(descriptor);
  return text;
}

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)), temporary_(path_.string() + ".tmp") {
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw_system_error("create", temporary_, errno);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_system_error("write", temporary_, errno);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) throw_system_error("sync", temporary_, errno);
  const int descriptor = descriptor_;
  descriptor_ = -1;
  if (::close(descriptor) != 0) throw_system_error("close", temporary_, errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) throw_system_error("rename to", path_, errno);
  sync_path(path_.has_parent_path() ? path_.parent_path() : ".");
}

void write_file_atomically(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

void sync_path(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw_system_error("open", path, errno);
  const int result = ::fsync(descriptor);
  const int code = errno;
  ::close(descriptor);
  if (result != 0) throw_system_error("sync", path, code);
}

}  // namespace mpibert
