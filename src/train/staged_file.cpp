#include "train/staged_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "mpibert/base/error.h"

namespace mpibert {

StagedFile::StagedFile(std::filesystem::path path, const StoreHook& hook) : path_(std::move(path)), hook_(hook) {
  before("create");
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  MPIBERT_CHECK(descriptor_ >= 0, kIo, "cannot create ", path_.string(), ": ", std::strerror(errno));
}

StagedFile::~StagedFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void StagedFile::write(std::span<const std::byte> bytes) {
  sha_.update(bytes);
  size_ += static_cast<int64_t>(bytes.size());
  before("write");
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), std::min<size_t>(bytes.size(), size_t{1} << 30));
    if (written < 0 && errno == EINTR) continue;
    MPIBERT_CHECK(written >= 0, kIo, "cannot write ", path_.string(), ": ", std::strerror(errno));
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

ManifestFile StagedFile::finish() {
  before("sync");
  MPIBERT_CHECK(::fsync(descriptor_) == 0, kIo, "cannot sync ", path_.string(), ": ", std::strerror(errno));
  MPIBERT_CHECK(::close(std::exchange(descriptor_, -1)) == 0, kIo, "cannot close ", path_.string(), ": ", std::strerror(errno));
  return {path_.filename().string(), size_, sha_.hex()};
}

}  // namespace mpibert
