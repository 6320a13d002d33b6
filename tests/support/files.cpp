#include "tests/support/files.h"

#include <stdlib.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "mpibert/base/error.h"

namespace mpibert::test {

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "mpibert-test-XXXXXX").string();
  MPIBERT_CHECK(::mkdtemp(name.data()) != nullptr, kIo, "cannot make a temporary folder ", name);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void write_text(const std::filesystem::path& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  MPIBERT_CHECK(out.flush().good(), kIo, "cannot write ", path.string());
}

std::string read_text(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  MPIBERT_CHECK(in.is_open(), kNotFound, "cannot open ", path.string());
  return {std::istreambuf_iterator<char>(in), {}};
}

void flip_byte(const std::filesystem::path& path, size_t offset) {
  std::string bytes = read_text(path);
  bytes.at(offset) = static_cast<char>(bytes[offset] ^ 0x20);
  write_text(path, bytes);
}

void truncate_to(const std::filesystem::path& path, size_t bytes) { std::filesystem::resize_file(path, bytes); }

std::filesystem::path source_folder() {
  const char* chosen = std::getenv("MPIBERT_SOURCE_DIR");
  return chosen ? chosen : MPIBERT_SOURCE_DIR;
}

std::optional<std::filesystem::path> real_data() {
  const char* chosen = std::getenv("MPIBERT_DATA");
  const std::filesystem::path path = chosen ? chosen : MPIBERT_TEST_DATA;
  if (!std::filesystem::exists(path / "SHA256SUMS")) return std::nullopt;
  return path;
}

}  // namespace mpibert::test
