// What a build without cuDNN's front end has in the place of cudnn_attention.cpp.

#include "mpibert/base/error.h"
#include "ops/cuda/cudnn_attention.h"

namespace mpibert::cuda {

std::unique_ptr<CudnnAttention> make_cudnn_attention(const Context&) {
  throw Error(ErrorKind::kDevice,
              "built without cuDNN: install it and its front end (launch/install.sh --cuda) and build again, or take --attention native");
}

std::string cudnn_version() { return "not built in"; }

}  // namespace mpibert::cuda
