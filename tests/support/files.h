#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace mpibert::test {

// A folder of this test's own, removed at the end of the scope.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

void write_text(const std::filesystem::path& path, const std::string& text);
std::string read_text(const std::filesystem::path& path);
void flip_byte(const std::filesystem::path& path, size_t offset);
void truncate_to(const std::filesystem::path& path, size_t bytes);

// The checkout; or what MPIBERT_SOURCE_DIR in the environment names: an unpacked bundle, which has the same folders of fixtures and
// samples.
std::filesystem::path source_folder();

// The folder of real data (MPIBERT_DATA, or the one next to the checkout) if it is there.
std::optional<std::filesystem::path> real_data();

}  // namespace mpibert::test
