// Any bytes are a TFRecord of samples that obey the rules, or one Error that says what is wrong with them: as they are, and with checksums
// put right, because a mutation hardly ever keeps one and nothing behind it would be tried.

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/crc32c.h"
#include "mpibert/base/error.h"
#include "mpibert/data/foreign.h"

using namespace mpibert;

namespace {

constexpr int64_t kVocabularySize = 200;

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "tfrecord_fuzz: %s\n", what);
  std::abort();
}

void put_checksum(std::string& file, size_t begin, size_t bytes) {
  const uint32_t crc = masked_crc32c(crc32c(std::as_bytes(std::span(file).subspan(begin, bytes))));
  std::memcpy(file.data() + begin + bytes, &crc, sizeof(crc));
}

// Lengths that reach beyond the file become what is left of it.
std::string repaired(std::string file) {
  for (size_t begin = 0; file.size() - begin >= 16;) {
    uint64_t length = 0;
    std::memcpy(&length, file.data() + begin, sizeof(length));
    length = std::min<uint64_t>(length, file.size() - begin - 16);
    std::memcpy(file.data() + begin, &length, sizeof(length));
    put_checksum(file, begin, 8);
    put_checksum(file, begin + 12, length);
    begin += 16 + length;
  }
  return file;
}

void check(const Sample& sample) {
  const size_t tokens = sample.input_ids.size();
  require(tokens > 0 && sample.token_type_ids.size() == tokens, "a sample without tokens");
  for (const int32_t id : sample.input_ids) require(id >= 0 && id < kVocabularySize, "an id outside the vocabulary");
  for (const int32_t position : sample.label("masked_lm_positions"))
    require(position >= 0 && static_cast<size_t>(position) < tokens, "a position outside the sample");
  require(sample.label("masked_lm_ids").size() == sample.label("masked_lm_positions").size(), "positions without ids");
}

void try_file(const std::string& bytes) {
  static const int file = ::memfd_create("tfrecord", 0);
  static const std::string path = "/proc/self/fd/" + std::to_string(file);
  require(file >= 0 && ::ftruncate(file, 0) == 0 && ::pwrite(file, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()),
          "no file in memory");
  try {
    const auto reader = open_foreign(path, kVocabularySize);
    for (Sample sample; reader->next(sample);) check(sample);
  } catch (const Error& error) {
    const bool is_about_the_file = error.kind() == ErrorKind::kCorrupt || error.kind() == ErrorKind::kInvalidArgument;
    require(is_about_the_file && std::string(error.what()).find(path) != std::string::npos, error.what());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  if (input.starts_with("\x89HDF")) return 0;  // another library's reader
  try_file(input);
  try_file(repaired(input));
  return 0;
}
