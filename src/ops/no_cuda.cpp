// What a build without CUDA has in the place of src/ops/cuda/.

#include "mpibert/base/error.h"
#include "ops/make.h"

namespace mpibert {

std::unique_ptr<Backend> make_cuda_backend(int index) {
  throw Error(ErrorKind::kDevice, str_cat("built without CUDA: there is no device cuda:", index, "; run on the CPU (--device cpu)"));
}

}  // namespace mpibert
