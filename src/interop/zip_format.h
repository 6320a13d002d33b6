#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

// Records of a zip archive, as its reader and its writer know them. All numbers are little endian.
namespace mpibert::zip {

static_assert(std::endian::native == std::endian::little);

inline constexpr uint32_t kLocalHeader = 0x04034b50, kDirectoryHeader = 0x02014b50, kEnd = 0x06054b50, kEnd64 = 0x06064b50,
                          kEnd64Locator = 0x07064b50;
inline constexpr size_t kLocalHeaderBytes = 30, kDirectoryHeaderBytes = 46, kEndBytes = 22, kEnd64Bytes = 56, kEnd64LocatorBytes = 20;
inline constexpr uint16_t kExtra64 = 1;                             // id of the extra field with 64-bit sizes and place
inline constexpr uint16_t kStored = 0;                              // the method that is none
inline constexpr uint16_t kIsEncrypted = 1, kNameIsUtf8 = 1 << 11;  // flags
inline constexpr uint16_t kIn64Bits16 = 0xffff;
inline constexpr uint32_t kIn64Bits32 = 0xffffffff;  // what stands in a field whose value is in the 64-bit one

template <class T>
T number_at(std::string_view bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

template <class... T>
std::string packed(T... numbers) {
  std::string bytes;
  (bytes.append(reinterpret_cast<const char*>(&numbers), sizeof(T)), ...);
  return bytes;
}

}  // namespace mpibert::zip
