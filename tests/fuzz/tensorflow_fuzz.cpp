// Any bytes are the index of a TensorFlow checkpoint that can be read whole, or one Error that says what is wrong with them: as they are,
// and with checksums put right, because a mutation hardly ever keeps one and nothing behind it would be tried.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/crc32c.h"
#include "base/protobuf.h"
#include "interop/sorted_table.h"
#include "mpibert/base/error.h"
#include "mpibert/interop/weights_reader.h"
#include "tests/support/files.h"

using namespace mpibert;

namespace {

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "tensorflow_fuzz: %s\n", what);
  std::abort();
}

// Where the fixtures' blocks end: each seed is one block of entries, an empty block, the index of blocks, and the footer.
std::string repaired(std::string index) {
  if (index.size() < kSortedTableFooterBytes) return index;
  const size_t footer = index.size() - kSortedTableFooterBytes;
  std::string_view places = std::string_view(index).substr(footer);
  size_t begin = 0;
  for (int block = 0; block < 3; ++block) {
    const auto next = block < 2 ? take_varint(places) : footer;
    if (block < 2) take_varint(places);
    if (!next || *next > footer || *next < begin + 5) return index;
    const uint32_t crc = masked_crc32c(crc32c(std::as_bytes(std::span(index).subspan(begin, *next - 4 - begin))));
    std::memcpy(index.data() + *next - 4, &crc, sizeof(crc));
    begin = *next;
  }
  return index;
}

// A folder with the shards of the fixtures, of which a mutated index may name any part.
class Shards {
 public:
  Shards() {
    const std::filesystem::path fixtures = test::source_folder() / "tests/golden/fixtures/tensorflow";
    std::filesystem::copy(fixtures / "parts.ckpt.data-00000-of-00002", folder_ / "f.data-00000-of-00002");
    std::filesystem::copy(fixtures / "parts.ckpt.data-00001-of-00002", folder_ / "f.data-00001-of-00002");
    std::filesystem::copy(fixtures / "garden.ckpt.data-00000-of-00001", folder_ / "f.data-00000-of-00001");
  }
  void try_index(const std::string& index) const {
    test::write_text(folder_ / "f.index", index);
    try {
      const WeightsReader reader(folder_ / "f.index");
      for (const TensorInfo& tensor : reader.tensors()) {
        require(tensor.bytes() <= 40'000, "a tensor of more bytes than the shards");
        std::vector<std::byte> bytes(tensor.bytes());
        reader.read_bytes(tensor, bytes);
      }
    } catch (const Error& error) {
      const bool is_about_the_file =
          error.kind() == ErrorKind::kCorrupt || error.kind() == ErrorKind::kInvalidArgument || error.kind() == ErrorKind::kNotFound;
      require(is_about_the_file && std::string(error.what()).find(folder_.path().string()) != std::string::npos, error.what());
    }
  }

 private:
  test::TemporaryFolder folder_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Shards shards;
  const std::string input(reinterpret_cast<const char*>(data), size);
  shards.try_index(input);
  shards.try_index(repaired(input));
  return 0;
}
