#include "data/checked_range.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/crc32c.h"
#include "data/token_format.h"
#include "mpibert/base/error.h"

namespace mpibert {

using token_format::kBlockBytes;

ReadableFile::ReadableFile(std::filesystem::path path) : path_(std::move(path)), descriptor_(::open(path_.c_str(), O_RDONLY | O_CLOEXEC)) {
  const int code = errno;
  const ErrorKind kind = code == ENOENT || code == ENOTDIR ? ErrorKind::kNotFound : code == EACCES || code == EPERM ? ErrorKind::kPermission : ErrorKind::kIo;
  if (descriptor_ < 0) throw Error(kind, str_cat("cannot open ", path_.string(), ": ", std::strerror(code)));
}

ReadableFile::~ReadableFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

ReadableFile::ReadableFile(ReadableFile&& other) noexcept : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

void ReadableFile::read(int64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t got = ::pread(descriptor_, bytes.data(), bytes.size(), offset);
    if (got < 0 && errno == EINTR) continue;
    MPIBERT_CHECK(got >= 0, kIo, "cannot read ", path_.string(), " at byte ", offset, ": ", std::strerror(errno));
    MPIBERT_CHECK(got > 0, kCorrupt, path_.string(), " ends at byte ", offset, ", expected ", bytes.size(), " more; the file was cut off, prepare the data again");
    bytes = bytes.subspan(static_cast<size_t>(got));
    offset += got;
  }
}

CheckedRange::CheckedRange(std::string name, int64_t begin, int64_t size, std::vector<uint32_t> checksums)
    : name_(std::move(name)), begin_(begin), size_(size), checksums_(std::move(checksums)), checked_(checksums_.size()) {
  MPIBERT_ASSERT(static_cast<int64_t>(checksums_.size()) == (size + kBlockBytes - 1) / kBlockBytes);
}

void CheckedRange::read(const ReadableFile& file, int64_t from, std::span<std::byte> bytes) {
  MPIBERT_ASSERT(from >= 0 && from + static_cast<int64_t>(bytes.size()) <= size_);
  if (bytes.empty()) return;
  const auto last = static_cast<size_t>((from + static_cast<int64_t>(bytes.size()) - 1) / kBlockBytes);
  for (auto block = static_cast<size_t>(from / kBlockBytes); block <= last; ++block)
    if (!checked_[block]) check_block(file, block);
  file.read(begin_ + from, bytes);
}

void CheckedRange::check_block(const ReadableFile& file, size_t block) {
  const int64_t from = static_cast<int64_t>(block) * kBlockBytes;
  std::vector<std::byte> bytes(static_cast<size_t>(std::min(kBlockBytes, size_ - from)));
  file.read(begin_ + from, bytes);
  const uint32_t found = crc32c(bytes);
  MPIBERT_CHECK(found == checksums_[block], kCorrupt, "shard ", file.path().string(), ": dataset ", name_, ": bytes ", from, " to ", from + static_cast<int64_t>(bytes.size()),
                " have CRC-32C ", found, ", expected ", checksums_[block], "; the file is damaged, prepare the data again");
  checked_[block] = true;
}

}  // namespace mpibert
