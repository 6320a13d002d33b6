#include "interop/zip.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "interop/zip_format.h"
#include "tests/support/files.h"
#include "tests/unit/interop/expect_error.h"

namespace mpibert {

using test::expect_error;
using test::TemporaryFolder;

namespace {

std::string archive(uint64_t zip64_from = 0xffffffff) {
  std::string file;
  ZipWriter zip([&](std::span<const std::byte> bytes) { file.append(reinterpret_cast<const char*>(bytes.data()), bytes.size()); },
                zip64_from);
  zip.add("a/one", "1");
  zip.add("a/empty", "");
  zip.add("a/long", std::string(1000, 'l'));
  zip.finish();
  return file;
}

class Zip : public testing::Test {
 protected:
  std::map<std::string, ZipEntry> read(const std::string& bytes) {
    test::write_text(folder_ / "f.zip", bytes);
    const InputFile file(folder_ / "f.zip");
    const std::map<std::string, ZipEntry> entries = read_zip_directory(file);
    for (const auto& [name, entry] : entries) check_zip_entry(file, name, entry);
    return entries;
  }
  void refuse(ErrorKind kind, const std::string& bytes, const std::string& text) {
    expect_error(kind, {"f.zip", text}, [&] { read(bytes); });
  }
  // The good archive with a number replaced, `field` bytes into the record that begins with `magic`, the first of its kind.
  template <class T>
  static std::string with(uint32_t magic, size_t field, T value, uint64_t zip64_from = 0xffffffff) {
    std::string bytes = archive(zip64_from);
    bytes.replace(bytes.find(zip::packed(magic)) + field, sizeof(T), zip::packed(value));
    return bytes;
  }
  TemporaryFolder folder_;
};

}  // namespace

TEST_F(Zip, WhatIsWrittenIsReadWithNarrowAndWithWideFields) {
  for (const uint64_t zip64_from : {0xffffffffULL, 500ULL, 0ULL}) {
    const std::string bytes = archive(zip64_from);
    const std::map<std::string, ZipEntry> entries = read(bytes);
    ASSERT_EQ(entries.size(), 3u);
    EXPECT_EQ(bytes.substr(entries.at("a/one").begin, entries.at("a/one").size), "1");
    EXPECT_EQ(entries.at("a/empty").size, 0u);
    EXPECT_EQ(bytes.substr(entries.at("a/long").begin, entries.at("a/long").size), std::string(1000, 'l'));
    EXPECT_EQ(entries.at("a/long").begin % 64, 0u);
  }
}

TEST_F(Zip, ACommentBehindTheEndIsNoHarm) {
  std::string bytes = archive();
  bytes.replace(bytes.size() - 2, 2, zip::packed(uint16_t{5}));
  EXPECT_EQ(read(bytes + "hello").size(), 3u);
}

TEST_F(Zip, RefusesLies) {
  using namespace zip;
  constexpr ErrorKind kBad = ErrorKind::kCorrupt;
  refuse(kBad, "", "no directory");
  refuse(kBad, "PK\5\6", "no directory");
  refuse(kBad, archive() + "x", "no directory");
  refuse(kBad, with(kEnd, 4, uint16_t{1}), "one part of several");
  refuse(kBad, with(kEnd, 10, uint16_t{4}), "has 3 entries, not 4");
  refuse(kBad, with(kEnd, 12, uint32_t{0x7fffffff}), "ends at byte");
  refuse(kBad, with(kEnd, 16, uint32_t{0x7fffffff}), "ends at byte");
  refuse(kBad, with(kEnd, 16, uint32_t{0}), "an entry that is none");
  refuse(kBad, with(kEnd, 16, uint32_t{kIn64Bits32}), "64-bit directory is not where it should be");
  refuse(kBad, with(kEnd64Locator, 8, ~uint64_t{0}, 0), "64-bit directory is not where it should be");
  refuse(kBad, with(kEnd64, 48, ~uint64_t{0}, 0), "ends at byte");
  refuse(kBad, with(kEnd64, 40, ~uint64_t{0}, 0), "ends at byte");
  refuse(kBad, with(kEnd64, 32, ~uint64_t{0}, 0), "has 3 entries");
  refuse(ErrorKind::kInvalidArgument, with(kDirectoryHeader, 8, kIsEncrypted), "encrypted");
  refuse(ErrorKind::kInvalidArgument, with(kDirectoryHeader, 10, uint16_t{8}), "compressed (method 8)");
  refuse(kBad, with(kDirectoryHeader, 16, uint32_t{7}), "CRC-32");
  refuse(kBad, with(kDirectoryHeader, 20, uint32_t{2}), "stored as it is in 2 bytes, but has 1");
  refuse(kBad, with(kDirectoryHeader, 28, uint16_t{0xfff0}), "is truncated");
  refuse(kBad, with(kDirectoryHeader, 28, uint16_t{4}), "an entry that is none");
  refuse(kBad, with(kDirectoryHeader, 42, uint32_t{1}), "no such entry at byte 1");
  refuse(kBad, with(kDirectoryHeader, 42, uint32_t{0x7fffffff}), "is said to begin at byte 2147483647");
  refuse(kBad, with(kDirectoryHeader, 42, uint32_t{kIn64Bits32}), "a 64-bit size or place is missing");
  refuse(kBad, with(kDirectoryHeader, 46, 'b'), "no such entry");
  refuse(kBad, with(kDirectoryHeader, 46 + 5 + 2, uint16_t{0xfff0}, 0), "extra field");
  refuse(kBad, with(kDirectoryHeader, 46 + 5 + 4, ~uint64_t{0}, 0), "stored as it is");
  refuse(kBad, with(kLocalHeader, 0, uint32_t{0}), "no such entry");
  refuse(kBad, with(kLocalHeader, 28, uint16_t{0xfff0}), "is said to have 1 bytes");
}

TEST_F(Zip, RefusesEntriesThatOverlap) {
  std::string bytes = archive();
  const size_t first = bytes.find(zip::packed(zip::kDirectoryHeader)), long_size = bytes.find("a/long", first) - 26;
  bytes.replace(long_size, 4, zip::packed(uint32_t{1001}));
  bytes.replace(long_size + 4, 4, zip::packed(uint32_t{1001}));
  refuse(ErrorKind::kCorrupt, bytes, "a/long: is said to have 1001 bytes");  // into the directory behind it
  bytes = archive();
  for (const size_t field : {20, 24}) bytes.replace(first + field, 4, zip::packed(uint32_t{200}));
  refuse(ErrorKind::kCorrupt, bytes, "a/one: is said to have 200 bytes");  // into the next entry
}

}  // namespace mpibert
