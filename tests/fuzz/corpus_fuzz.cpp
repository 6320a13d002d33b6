// Any bytes are a file of text, compressed or not, of some format: it can be read whole, or one Error says what is wrong with it. Pieces of
// it give its documents, as far as it is sound.

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "mpibert/base/error.h"
#include "mpibert/base/log.h"
#include "mpibert/data/corpus.h"

using namespace mpibert;

namespace {

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "corpus_fuzz: %s\n", what);
  std::abort();
}

void read_all(const CorpusUnit& unit) {
  try {
    DocumentReader reader(unit, CorpusFormat::kAuto);
    for (Document document; reader.next(document);) require(!document.empty(), "a document without a sentence");
  } catch (const Error& error) {
    const bool is_about_the_file = error.kind() == ErrorKind::kCorrupt || error.kind() == ErrorKind::kInvalidArgument;
    require(is_about_the_file && std::string(error.what()).find(unit.files[0].string()) != std::string::npos, error.what());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  set_log_level(LogLevel::kOff);
  static const int file = ::memfd_create("corpus", 0);
  static const std::filesystem::path path = "/proc/self/fd/" + std::to_string(file);
  require(file >= 0 && ::ftruncate(file, 0) == 0 && ::pwrite(file, data, size, 0) == static_cast<ssize_t>(size), "no file in memory");
  read_all({.files = {path}});
  const auto middle = static_cast<int64_t>(size / 2);
  if (middle == 0) return 0;
  read_all({.files = {path}, .begin = 0, .end = middle});
  read_all({.files = {path}, .begin = middle, .end = -1});
  return 0;
}
