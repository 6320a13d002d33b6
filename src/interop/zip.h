#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/input_file.h"
#include "mpibert/interop/named_tensor.h"

namespace mpibert {

// Zip archives whose entries are stored as they are, with the 64-bit fields of large ones: what torch.save writes, so that a number's place
// in the file is known. Compressed, encrypted and split archives are refused. Source: PKWARE, APPNOTE.TXT 4.3 (records) and 4.5.3 (64-bit
// fields).

struct ZipEntry {
  uint64_t begin = 0, size = 0;  // its bytes in the file
  uint32_t crc32 = 0;
};

// Entries by name. Throws kCorrupt, naming the file and the entry, unless all lie within the file, do not overlap, are named once and alike
// in the directory and at their place, and the directory has at most 64 MiB.
std::map<std::string, ZipEntry> read_zip_directory(const InputFile& file);

// Reads the entry and throws kCorrupt if its CRC-32 is another.
void check_zip_entry(const InputFile& file, const std::string& name, const ZipEntry& entry);

// Writes an archive from its first byte to its last. Contents begin at multiples of 64 bytes, as torch.save lays them.
class ZipWriter {
 public:
  // Sizes and places from `zip64_from` on are written with 64 bits; another value than the format's own is for tests.
  explicit ZipWriter(ByteSink sink, uint64_t zip64_from = 0xffffffff) : sink_(std::move(sink)), zip64_from_(zip64_from) {}
  void add(const std::string& name, std::span<const std::byte> bytes);
  void add(const std::string& name, std::string_view text) { add(name, std::as_bytes(std::span(text))); }
  void finish();

 private:
  void write(std::string_view bytes);

  ByteSink sink_;
  uint64_t zip64_from_;
  uint64_t written_ = 0, entries_ = 0;
  std::string directory_;
};

}  // namespace mpibert
