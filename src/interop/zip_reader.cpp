#include <zlib.h>

#include <algorithm>
#include <optional>

#include "interop/zip.h"
#include "interop/zip_format.h"
#include "mpibert/base/error.h"

namespace mpibert {

using namespace zip;

namespace {

constexpr uint64_t kMaxDirectoryBytes = 64 << 20;

struct Directory {
  uint64_t begin = 0, size = 0, entries = 0;
};

// What the directory says of one entry.
struct Listed {
  std::string name;
  uint64_t size = 0, header = 0;  // header: place of its local header
  uint32_t crc32 = 0;
};

// The one place in the file's end where a record begins whose comment ends with the file.
uint64_t find_end(const InputFile& file, const std::string& where) {
  const auto tail_bytes = static_cast<size_t>(std::min<uint64_t>(file.size(), kEndBytes + 0xffff));
  const std::string tail = file.read_text(file.size() - tail_bytes, tail_bytes);
  for (size_t at = tail.size() < kEndBytes ? 0 : tail.size() - kEndBytes + 1; at-- > 0;) {
    if (number_at<uint32_t>(tail, at) == kEnd && at + kEndBytes + number_at<uint16_t>(tail, at + 20) == tail.size())
      return file.size() - tail.size() + at;
  }
  throw Error(ErrorKind::kCorrupt, str_cat(where, ": the zip archive has no directory at its end; it is truncated"));
}

Directory find_directory(const InputFile& file, const std::string& where) {
  const uint64_t end_begin = find_end(file, where);
  const std::string end = file.read_text(end_begin, kEndBytes);
  MPIBERT_CHECK(number_at<uint32_t>(end, 4) == 0, kCorrupt, where, ": the zip archive is one part of several");
  Directory directory{.begin = number_at<uint32_t>(end, 16), .size = number_at<uint32_t>(end, 12), .entries = number_at<uint16_t>(end, 10)};
  uint64_t limit = end_begin;
  if (directory.begin == kIn64Bits32 || directory.size == kIn64Bits32 || directory.entries == kIn64Bits16) {
    MPIBERT_CHECK(end_begin >= kEnd64LocatorBytes, kCorrupt, where, ": no place for the zip archive's 64-bit directory");
    const std::string locator = file.read_text(end_begin - kEnd64LocatorBytes, kEnd64LocatorBytes);
    limit = number_at<uint64_t>(locator, 8);
    MPIBERT_CHECK(number_at<uint32_t>(locator, 0) == kEnd64Locator && limit <= end_begin - kEnd64LocatorBytes &&
                      end_begin - kEnd64LocatorBytes - limit >= kEnd64Bytes,
                  kCorrupt, where, ": byte ", end_begin - kEnd64LocatorBytes,
                  ": the zip archive's 64-bit directory is not where it should be");
    const std::string end64 = file.read_text(limit, kEnd64Bytes);
    MPIBERT_CHECK(number_at<uint32_t>(end64, 0) == kEnd64 && number_at<uint64_t>(end64, 16) == 0, kCorrupt, where, ": byte ", limit,
                  ": no 64-bit directory of a zip archive in one part");
    directory = {
        .begin = number_at<uint64_t>(end64, 48), .size = number_at<uint64_t>(end64, 40), .entries = number_at<uint64_t>(end64, 32)};
  }
  MPIBERT_CHECK(directory.begin <= limit && directory.size <= limit - directory.begin, kCorrupt, where,
                ": the zip archive's directory is said to be the ", directory.size, " bytes from ", directory.begin,
                " on, but ends at byte ", limit, " at the latest");
  MPIBERT_CHECK(directory.size <= kMaxDirectoryBytes, kCorrupt, where, ": the zip archive's directory has ", directory.size,
                " bytes, more than ", kMaxDirectoryBytes);
  return directory;
}

// Replaces the fields that are marked as such by those of the 64-bit extra field, which has just these, in this order.
void widen(Listed& entry, uint64_t& stored_size, std::string_view extra, const std::string& place) {
  std::optional<std::string_view> wide;
  while (extra.size() >= 4) {
    const size_t size = number_at<uint16_t>(extra, 2);
    MPIBERT_CHECK(size <= extra.size() - 4, kCorrupt, place, "an extra field ends behind the others");
    if (number_at<uint16_t>(extra, 0) == kExtra64) wide = extra.substr(4, size);
    extra.remove_prefix(4 + size);
  }
  for (uint64_t* field : {&entry.size, &stored_size, &entry.header}) {
    if (*field != kIn64Bits32) continue;
    MPIBERT_CHECK(wide && wide->size() >= 8, kCorrupt, place, "a 64-bit size or place is missing");
    *field = number_at<uint64_t>(*wide, 0);
    wide->remove_prefix(8);
  }
}

// Takes the first entry off the directory's bytes.
Listed take_listed(std::string_view& bytes, const std::string& where) {
  MPIBERT_CHECK(bytes.size() >= kDirectoryHeaderBytes && number_at<uint32_t>(bytes, 0) == kDirectoryHeader, kCorrupt, where,
                ": the zip archive's directory has an entry that is none, ", bytes.size(), " bytes before its end");
  const size_t name = number_at<uint16_t>(bytes, 28), extra = number_at<uint16_t>(bytes, 30), comment = number_at<uint16_t>(bytes, 32);
  MPIBERT_CHECK(bytes.size() - kDirectoryHeaderBytes >= name + extra + comment, kCorrupt, where,
                ": the last entry of the zip archive's directory is truncated");
  Listed entry{.name = std::string(bytes.substr(kDirectoryHeaderBytes, name)),
               .size = number_at<uint32_t>(bytes, 24),
               .header = number_at<uint32_t>(bytes, 42),
               .crc32 = number_at<uint32_t>(bytes, 16)};
  const std::string place = str_cat(where, ": ", entry.name, ": ");
  uint64_t stored_size = number_at<uint32_t>(bytes, 20);
  widen(entry, stored_size, bytes.substr(kDirectoryHeaderBytes + name, extra), place);
  MPIBERT_CHECK((number_at<uint16_t>(bytes, 8) & kIsEncrypted) == 0, kInvalidArgument, place, "the entry is encrypted");
  const auto method = number_at<uint16_t>(bytes, 10);
  MPIBERT_CHECK(method == kStored, kInvalidArgument, place, "the entry is compressed (method ", method,
                "), which torch.save does not do; pack the archive again with zip -0");
  MPIBERT_CHECK(stored_size == entry.size, kCorrupt, place, "stored as it is in ", stored_size, " bytes, but has ", entry.size);
  bytes.remove_prefix(kDirectoryHeaderBytes + name + extra + comment);
  return entry;
}

// The entry's bytes, by what stands before them; they end at `limit` at the latest.
ZipEntry locate(const InputFile& file, const Listed& entry, uint64_t limit, const std::string& where) {
  const std::string place = str_cat(where, ": ", entry.name, ": ");
  const size_t fixed = kLocalHeaderBytes + entry.name.size();
  MPIBERT_CHECK(entry.header <= limit && fixed <= limit - entry.header, kCorrupt, place, "is said to begin at byte ", entry.header,
                ", but ends at byte ", limit, " at the latest");
  const std::string header = file.read_text(entry.header, fixed);
  MPIBERT_CHECK(number_at<uint32_t>(header, 0) == kLocalHeader && number_at<uint16_t>(header, 8) == kStored &&
                    number_at<uint16_t>(header, 26) == entry.name.size() && header.substr(kLocalHeaderBytes) == entry.name,
                kCorrupt, place, "no such entry at byte ", entry.header, ", where the directory has it");
  const uint64_t begin = entry.header + fixed + number_at<uint16_t>(header, 28);
  MPIBERT_CHECK(begin <= limit && entry.size <= limit - begin, kCorrupt, place, "is said to have ", entry.size, " bytes from ", begin,
                " on, but ends at byte ", limit, " at the latest");
  return {.begin = begin, .size = entry.size, .crc32 = entry.crc32};
}

}  // namespace

std::map<std::string, ZipEntry> read_zip_directory(const InputFile& file) {
  const std::string where = file.path().string();
  const Directory directory = find_directory(file, where);
  const std::string text = file.read_text(directory.begin, directory.size);
  std::string_view rest = text;
  std::vector<Listed> listed;
  while (!rest.empty()) listed.push_back(take_listed(rest, where));
  MPIBERT_CHECK(listed.size() == directory.entries, kCorrupt, where, ": the zip archive's directory has ", listed.size(), " entries, not ",
                directory.entries);

  std::sort(listed.begin(), listed.end(), [](const Listed& a, const Listed& b) { return a.header < b.header; });
  std::map<std::string, ZipEntry> entries;
  for (size_t i = 0; i < listed.size(); ++i) {
    const uint64_t limit = i + 1 < listed.size() ? listed[i + 1].header : directory.begin;
    const bool is_new = entries.emplace(listed[i].name, locate(file, listed[i], limit, where)).second;
    MPIBERT_CHECK(is_new, kCorrupt, where, ": the zip archive has two entries ", listed[i].name);
  }
  return entries;
}

void check_zip_entry(const InputFile& file, const std::string& name, const ZipEntry& entry) {
  std::vector<std::byte> part(static_cast<size_t>(std::min<uint64_t>(entry.size, 1 << 20)));
  uLong crc = ::crc32(0, nullptr, 0);
  for (uint64_t done = 0; done < entry.size; done += part.size()) {
    part.resize(static_cast<size_t>(std::min<uint64_t>(part.size(), entry.size - done)));
    file.read(entry.begin + done, part);
    crc = ::crc32_z(crc, reinterpret_cast<const Bytef*>(part.data()), part.size());
  }
  MPIBERT_CHECK(crc == entry.crc32, kCorrupt, file.path().string(), ": ", name, ": the CRC-32 of its ", entry.size, " bytes from ",
                entry.begin, " on is ", crc, ", expected ", entry.crc32, "; the file is damaged, fetch or write it again");
}

}  // namespace mpibert
