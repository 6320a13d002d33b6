#include "base/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "mpibert/base/error.h"

namespace mpibert {

InputFile::InputFile(std::filesystem::path path) : path_(std::move(path)) {
  // O_NONBLOCK: a pipe by this name must not make us wait.
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  const int code = errno;
  MPIBERT_CHECK(descriptor_ >= 0 || code == EACCES || code == ENOENT || code == ENOTDIR, kIo, "cannot open ", path_.string(), ": ",
                std::strerror(code));
  MPIBERT_CHECK(descriptor_ >= 0 || code == EACCES, kNotFound, "cannot open ", path_.string(), ": ", std::strerror(code));
  MPIBERT_CHECK(descriptor_ >= 0, kPermission, "cannot open ", path_.string(), ": ", std::strerror(code));
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(descriptor_);
    throw Error(ErrorKind::kCorrupt, str_cat(path_.string(), " is not a regular file"));
  }
  size_ = static_cast<uint64_t>(status.st_size);
}

InputFile::~InputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)), size_(other.size_) {}

void InputFile::read(uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t got = ::pread(descriptor_, out.data(), std::min<size_t>(out.size(), size_t{1} << 30), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    MPIBERT_CHECK(got >= 0, kIo, "cannot read ", path_.string(), " at byte ", offset, ": ", std::strerror(errno));
    MPIBERT_CHECK(got > 0, kCorrupt, path_.string(), " ends at byte ", offset, "; it became shorter while it was read");
    out = out.subspan(static_cast<size_t>(got));
    offset += static_cast<uint64_t>(got);
  }
}

std::string InputFile::read_text(uint64_t offset, size_t bytes) const {
  std::string text(bytes, '\0');
  read(offset, std::as_writable_bytes(std::span(text)));
  return text;
}

}  // namespace mpibert
