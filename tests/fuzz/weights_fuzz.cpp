// Any bytes are a file of weights that can be read whole, or one Error that says what is wrong with them.

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "mpibert/base/error.h"
#include "mpibert/interop/weights_reader.h"

using namespace mpibert;

namespace {

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "weights_fuzz: %s\n", what);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const int file = ::memfd_create("weights", 0);
  static const std::string path = "/proc/self/fd/" + std::to_string(file);
  require(file >= 0 && ::ftruncate(file, 0) == 0 && ::pwrite(file, data, size, 0) == static_cast<ssize_t>(size), "no file in memory");
  try {
    const WeightsReader reader(path);
    for (const TensorInfo& tensor : reader.tensors()) {
      require(tensor.bytes() <= size, "a tensor of more bytes than the file");
      std::vector<std::byte> bytes(tensor.bytes());
      reader.read_bytes(tensor, bytes);
    }
  } catch (const Error& error) {
    const bool is_about_the_file = error.kind() == ErrorKind::kCorrupt || error.kind() == ErrorKind::kInvalidArgument;
    require(is_about_the_file && std::string(error.what()).find(path) != std::string::npos, error.what());
  }
  return 0;
}
