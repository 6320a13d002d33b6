#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace mpibert {

// CRC-32C (Castagnoli, polynomial 0x1edc6f41 reflected) of `bytes` behind bytes whose checksum is `before`. Source: RFC 3720, appendix B.4.
uint32_t crc32c(std::span<const std::byte> bytes, uint32_t before = 0);

// As checksums stand in files, so that the checksum of bytes that hold one is not 0. Source: util/crc32c.h of LevelDB, lib/hash/crc32c.h of
// TensorFlow.
constexpr uint32_t masked_crc32c(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282ead8u; }

}  // namespace mpibert
