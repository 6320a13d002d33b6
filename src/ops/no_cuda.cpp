// What a build without CUDA has in the place of src/ops/cuda/.

#include "mpibert/base/error.h"
#include "mpibert/ops/cards.h"
#include "ops/make.h"

namespace mpibert {

std::unique_ptr<Backend> make_cuda_backend(int index, const BackendOptions&) {
  throw Error(ErrorKind::kDevice, str_cat("built without CUDA: there is no device cuda:", index, "; run on the CPU (--device cpu)"));
}

int cuda_device_count() { return 0; }

std::vector<CardDescription> describe_cards() { return {}; }

std::string cuda_version() { return "not built in"; }

}  // namespace mpibert
