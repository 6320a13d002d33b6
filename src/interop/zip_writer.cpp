#include <zlib.h>

#include <algorithm>

#include "interop/zip.h"
#include "interop/zip_format.h"
#include "mpibert/base/error.h"

namespace mpibert {

using namespace zip;

namespace {

constexpr size_t kAlignment = 64;           // torch.save's
constexpr uint16_t kPaddingExtra = 0x4246;  // "FB", the extra field that it pads with
constexpr uint16_t kVersion = 45;           // of the format: the first with 64-bit fields
constexpr uint16_t kDate = (1 << 5) | 1;    // 1 January 1980: the bytes do not depend on the day

uint32_t narrow(uint64_t value, bool is_wide) { return is_wide ? kIn64Bits32 : static_cast<uint32_t>(value); }

}  // namespace

void ZipWriter::write(std::string_view bytes) {
  sink_(std::as_bytes(std::span(bytes)));
  written_ += bytes.size();
}

void ZipWriter::add(const std::string& name, std::span<const std::byte> bytes) {
  const auto crc = static_cast<uint32_t>(::crc32_z(::crc32(0, nullptr, 0), reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
  const uint64_t size = bytes.size(), header = written_;
  const bool wide_size = size >= zip64_from_, wide_place = header >= zip64_from_;
  const auto name_bytes = static_cast<uint16_t>(name.size());
  const auto fields = [&](uint32_t size_field, size_t extra_bytes) {
    return packed(kVersion, kNameIsUtf8, kStored, uint16_t{0}, kDate, crc, size_field, size_field, name_bytes,
                  static_cast<uint16_t>(extra_bytes));
  };

  std::string extra = wide_size ? packed(kExtra64, uint16_t{16}, size, size) : "";
  const size_t unpadded = header % kAlignment + kLocalHeaderBytes + name.size() + extra.size() + 4;
  const size_t padding = (kAlignment - unpadded % kAlignment) % kAlignment;
  extra += packed(kPaddingExtra, static_cast<uint16_t>(padding)) + std::string(padding, 'Z');
  write(packed(kLocalHeader) + fields(narrow(size, wide_size), extra.size()) + name + extra);
  if (!bytes.empty()) sink_(bytes);
  written_ += size;

  std::string wide = wide_size ? packed(size, size) : "";
  if (wide_place) wide += packed(header);
  if (!wide.empty()) wide = packed(kExtra64, static_cast<uint16_t>(wide.size())) + wide;
  directory_ += packed(kDirectoryHeader, kVersion) + fields(narrow(size, wide_size), wide.size()) +
                packed(uint16_t{0}, uint16_t{0}, uint16_t{0}, uint32_t{0}, narrow(header, wide_place)) + name + wide;
  ++entries_;
}

void ZipWriter::finish() {
  const uint64_t begin = written_, size = directory_.size();
  write(directory_);
  const bool wide = begin >= zip64_from_ || size >= zip64_from_ || entries_ >= kIn64Bits16;
  if (wide) {
    const uint64_t end64 = written_;
    write(packed(kEnd64, static_cast<uint64_t>(kEnd64Bytes - 12), kVersion, kVersion, uint32_t{0}, uint32_t{0}, entries_, entries_, size,
                 begin));
    write(packed(kEnd64Locator, uint32_t{0}, end64, uint32_t{1}));
  }
  const auto entries = wide ? kIn64Bits16 : static_cast<uint16_t>(entries_);
  write(packed(kEnd, uint32_t{0}, entries, entries, narrow(size, wide), narrow(begin, wide), uint16_t{0}));
}

}  // namespace mpibert
