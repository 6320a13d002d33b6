#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/input_file.h"
#include "data/decompressor.h"

namespace mpibert {

// What a block and the end of a stream begin with: the decimals of pi and of its root.
inline constexpr uint64_t kBzip2Block = 0x314159265359, kBzip2End = 0x177245385090;
inline constexpr int kBzip2MagicBits = 48;

// The blocks of a bzip2 file, from the middle of it on. A block holds up to 900 kB of text and is packed without regard to the others; it
// begins, at any bit, with a magic number of 48 bits, and a stream ends with another one. Each block is given to the library as a stream of
// its own, so its checksum is verified; the one of the whole stream is not.
//
// The numbers may turn up inside a block too. A block that does not unpack up to the next of them is therefore tried up to those behind it;
// and where the first that is found begins no block, it is looked for again from so far before that the block around it is seen from its
// start.
class Bzip2Blocks {
 public:
  // The blocks that begin at byte `begin` of the file or later. Throws as InputFile does.
  Bzip2Blocks(const std::filesystem::path& path, int64_t begin);

  // The text of the next block, false after the last one. Throws DamagedStream where the file is damaged, is cut off, or goes on with
  // something else.
  bool next(std::string& text);
  // The byte at which the block of the last next() begins, or the fault it found.
  int64_t begin() const { return block_begin_; }

 private:
  struct Mark {
    int64_t bit = 0;  // of the file
    bool ends_stream = false;
  };
  bool advance(std::string& text);
  bool holds(int64_t byte);
  void forget(int64_t byte);
  uint64_t bits(int64_t at, int count) const;
  std::optional<Mark> find(int64_t from, int64_t until);
  std::optional<Mark> next_stream(const Mark& end);
  bool unpack(int64_t from, int64_t to, std::string& text);

  InputFile file_;
  int64_t begin_;
  std::string bytes_;  // of the file, from base_ on
  int64_t base_;
  std::optional<Mark> mark_;
  bool is_sure_;  // that marks from begin_ on are no bits inside a block
  int64_t block_begin_ = 0;
  std::unique_ptr<Codec> codec_;
  std::string packed_;   // a block as a stream
  std::string problem_;  // of the last unpack()
};

}  // namespace mpibert
