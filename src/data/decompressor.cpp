#include "data/decompressor.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "data/bzip2_blocks.h"
#include "mpibert/base/error.h"

namespace mpibert {

namespace {

constexpr size_t kBufferBytes = size_t{1} << 17;
constexpr std::string_view kXz(
    "\xFD"
    "7zXZ\0",
    6);
constexpr size_t kBzip2HeaderBytes = 4 + kBzip2MagicBits / 8;

bool begins_bzip2(std::string_view bytes) {
  if (bytes.size() < kBzip2HeaderBytes || !bytes.starts_with("BZh") || bytes[3] < '1' || bytes[3] > '9') return false;
  uint64_t magic = 0;
  for (const char byte : bytes.substr(4, kBzip2MagicBits / 8)) magic = magic << 8 | static_cast<uint8_t>(byte);
  return magic == kBzip2Block || magic == kBzip2End;
}

int open_file(const std::filesystem::path& path) {
  struct stat status {};
  const bool is_folder = ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
  MPIBERT_CHECK(!is_folder, kInvalidArgument, path.string(), " is a folder, expected a file");
  // A descriptor, not a path: standard input may be a socket, which no path opens.
  const int descriptor = path == "/dev/stdin" ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const int code = errno;
  MPIBERT_CHECK(descriptor >= 0 || (code != ENOENT && code != ENOTDIR), kNotFound, "cannot open ", path.string(), ": ",
                std::strerror(code));
  MPIBERT_CHECK(descriptor >= 0 || code != EACCES, kPermission, "cannot open ", path.string(), ": ", std::strerror(code));
  MPIBERT_CHECK(descriptor >= 0, kIo, "cannot open ", path.string(), ": ", std::strerror(code));
  return descriptor;
}

// 0 at the end of the file.
size_t read_some(int descriptor, std::span<char> buffer, const std::filesystem::path& path) {
  for (;;) {
    const ssize_t got = ::read(descriptor, buffer.data(), buffer.size());
    if (got >= 0) return static_cast<size_t>(got);
    MPIBERT_CHECK(errno == EINTR, kIo, "cannot read ", path.string(), ": ", std::strerror(errno));
  }
}

}  // namespace

std::string_view name_of(Compression compression) {
  constexpr std::string_view kNames[] = {"none", "gzip", "bzip2", "zstd", "xz"};
  return kNames[static_cast<size_t>(compression)];
}

Compression compression_of(std::string_view bytes) {
  if (bytes.starts_with("\x1F\x8B\x08")) return Compression::kGzip;
  if (begins_bzip2(bytes)) return Compression::kBzip2;
  if (bytes.starts_with(kXz)) return Compression::kXz;
  if (bytes.starts_with("\x28\xB5\x2F\xFD")) return Compression::kZstd;
  const bool skippable = bytes.size() >= 4 && (static_cast<unsigned char>(bytes[0]) & 0xF0) == 0x50 && bytes.substr(1, 3) == "\x2A\x4D\x18";
  return skippable ? Compression::kZstd : Compression::kNone;
}

std::string first_bytes_of(const std::filesystem::path& path, size_t count) {
  const int descriptor = open_file(path);
  std::string bytes(count, '\0');
  size_t got = 0;
  try {
    for (size_t more = 1; more > 0 && got < count; got += more) more = read_some(descriptor, std::span(bytes).subspan(got), path);
  } catch (...) {
    ::close(descriptor);
    throw;
  }
  ::close(descriptor);
  bytes.resize(got);
  return bytes;
}

Decompressor::Decompressor(std::filesystem::path path, int64_t begin, bool by_blocks)
    : path_(std::move(path)), descriptor_(open_file(path_)), buffer_(kBufferBytes) {
  try {
    while (size_ < kCompressionBytes && fill()) {
    }
    compression_ = compression_of({buffer_.data(), size_});
    MPIBERT_CHECK(begin == 0 || compression_ == Compression::kNone || compression_ == Compression::kBzip2, kInvalidArgument, path_.string(),
                  " cannot be read from byte ", begin, ": it is compressed by ", name_of(compression_));
    if (compression_ == Compression::kBzip2 && (by_blocks || begin > 0)) {
      blocks_ = std::make_unique<Bzip2Blocks>(path_, begin);
      return;
    }
    if (compression_ != Compression::kNone) codec_ = make_codec(compression_);
    if (begin > 0) seek(begin);
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

Decompressor::~Decompressor() { ::close(descriptor_); }

void Decompressor::fail(std::string_view what, int64_t at) const {
  throw Error(ErrorKind::kCorrupt, str_cat(path_.string(), ": ", what, ", at byte ", at, " of the file, after ", made_,
                                           " bytes of text; fetch or make the file again"));
}

// More bytes of the file behind those that wait.
bool Decompressor::fill() {
  if (used_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + used_, size_ - used_);
    size_ -= used_;
    used_ = 0;
  }
  const size_t got = read_some(descriptor_, std::span(buffer_).subspan(size_), path_);
  size_ += got;
  position_ += static_cast<int64_t>(got);
  return got > 0;
}

void Decompressor::seek(int64_t begin) {
  MPIBERT_CHECK(::lseek(descriptor_, begin, SEEK_SET) == begin, kIo, "cannot go to byte ", begin, " of ", path_.string(), ": ",
                std::strerror(errno));
  used_ = size_ = 0;
  position_ = begin;
}

// Whether another stream follows.
bool Decompressor::begin_stream() {
  do {
    while (used_ < size_ && buffer_[used_] == '\0') ++used_;
    if (size_ - used_ >= kCompressionBytes) break;
  } while (fill());
  if (used_ == size_) return false;
  if (compression_of({buffer_.data() + used_, size_ - used_}) != compression_)
    fail(str_cat("something else follows the ", name_of(compression_), " stream"), place());
  begin_of_last_ = place();
  codec_->restart();
  return in_stream_ = true;
}

size_t Decompressor::read_blocks(std::span<char> out) {
  while (block_used_ == block_.size()) {
    try {
      if (!blocks_->next(block_)) return 0;
    } catch (const DamagedStream& error) {
      fail(error.what(), blocks_->begin());
    }
    block_used_ = 0;
    begin_of_last_ = blocks_->begin();
  }
  const size_t count = std::min(out.size(), block_.size() - block_used_);
  std::memcpy(out.data(), block_.data() + block_used_, count);
  block_used_ += count;
  made_ += static_cast<int64_t>(count);
  return count;
}

size_t Decompressor::read(std::span<char> out) {
  if (blocks_) return read_blocks(out);
  if (compression_ == Compression::kNone) {
    const size_t waiting = std::min(size_ - used_, out.size());
    if (waiting == 0) return read_some(descriptor_, out, path_);
    std::memcpy(out.data(), buffer_.data() + used_, waiting);
    used_ += waiting;
    return waiting;
  }
  for (;;) {
    if (!in_stream_ && !begin_stream()) return 0;
    const bool at_end = used_ == size_ && !fill();
    Codec::Step step;
    try {
      step = codec_->step({buffer_.data() + used_, size_ - used_}, out);
    } catch (const DamagedStream& error) {
      fail(str_cat("the ", name_of(compression_), " stream is damaged: ", error.what()), place());
    }
    if (at_end && step.made == 0 && !step.ended) fail(str_cat("the ", name_of(compression_), " stream is cut off"), place());
    if (!at_end && step.used == 0 && step.made == 0 && !step.ended)
      fail(str_cat("the ", name_of(compression_), " stream is damaged"), place());
    used_ += step.used;
    made_ += static_cast<int64_t>(step.made);
    in_stream_ = !step.ended;
    if (step.made > 0) return step.made;
  }
}

}  // namespace mpibert
