#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace mpibert {

enum class Compression : uint8_t { kNone, kGzip, kBzip2, kZstd, kXz };
std::string_view name_of(Compression compression);

// By the first bytes of a file, of which it needs kCompressionBytes at most.
// gzip: RFC 1952. bzip2: "BZh", level, block magic (the decimals of pi) or end magic (of its root). zstd: RFC 8878, skippable frames too.
// xz: its .xz file format 1.1.
inline constexpr size_t kCompressionBytes = 10;
Compression compression_of(std::string_view first_bytes);
std::string first_bytes_of(const std::filesystem::path& path, size_t count);  // fewer at the end of the file

// What a library says of wrong bytes.
struct DamagedStream : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// One stream after another of one compressed format, by the format's library. Throws DamagedStream.
class Codec {
 public:
  struct Step {
    size_t used = 0, made = 0;  // bytes of `in` and `out`
    bool ended = false;         // the stream did, after its checksum
  };
  virtual ~Codec() = default;
  virtual void restart() = 0;  // before each stream
  virtual Step step(std::span<const char> in, std::span<char> out) = 0;
};
std::unique_ptr<Codec> make_codec(Compression compression);  // of another than kNone

class Bzip2Blocks;

// The bytes of a file, or of /dev/stdin, as they were before gzip, bzip2, zstd or xz packed them. Streams (members, frames) one behind
// another are one text; zero bytes between and after them are passed over. Memory is bounded by the format: 64 KiB for gzip, 4 MiB for
// bzip2, windows up to 128 MiB for zstd, 512 MiB at most for xz. Throws kNotFound, kPermission, kIo; kCorrupt naming file and byte where a
// stream is damaged or cut off, or something else follows one (zstd finds damage surely only where the frame has a checksum, which the
// program zstd writes).
class Decompressor {
 public:
  // Begins at byte `begin` of a plain file; of a bzip2 file with the first block that begins there or later. Throws kInvalidArgument for
  // begin > 0 of another format: nothing in them is to be found from the middle. `by_blocks`: a bzip2 file is read block by block from its
  // beginning too, so that begin_of_last() tells pieces apart.
  explicit Decompressor(std::filesystem::path path, int64_t begin = 0, bool by_blocks = false);
  ~Decompressor();
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;

  // How many bytes were put into the buffer, which are all of one stream or block; 0 at the end.
  size_t read(std::span<char> buffer);
  Compression compression() const { return compression_; }
  int64_t begin_of_last() const {
    return begin_of_last_;
  }  // byte of the file at which the stream or block of the last bytes began; of a plain file 0

 private:
  bool fill();
  bool begin_stream();
  void seek(int64_t begin);
  int64_t place() const { return position_ - static_cast<int64_t>(size_ - used_); }  // in the file, of the first byte that waits
  size_t read_blocks(std::span<char> out);
  [[noreturn]] void fail(std::string_view what, int64_t at) const;

  std::filesystem::path path_;
  int descriptor_ = -1;
  Compression compression_ = Compression::kNone;
  std::unique_ptr<Codec> codec_;
  std::vector<char> buffer_;  // bytes of the file: used_ .. size_-1 wait
  size_t used_ = 0, size_ = 0;
  int64_t position_ = 0;  // in the file, of the end of the buffer
  int64_t begin_of_last_ = 0, made_ = 0;
  bool in_stream_ = false;
  std::unique_ptr<Bzip2Blocks> blocks_;  // with it, what follows and not codec_
  std::string block_;
  size_t block_used_ = 0;
};

}  // namespace mpibert
