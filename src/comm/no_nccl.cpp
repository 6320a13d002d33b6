// What a build without CUDA has in the place of src/comm/cuda/.

#include "comm/make.h"
#include "mpibert/base/error.h"

namespace mpibert {

std::unique_ptr<Communicator> make_nccl_communicator(Backend& /*backend*/, std::unique_ptr<MpiCommunicator> /*host*/,
                                                     std::chrono::milliseconds /*timeout*/) {
  throw Error(ErrorKind::kDevice, "built without CUDA: there is no NCCL");
}

std::string card_of(const Backend& /*backend*/) { throw Error(ErrorKind::kDevice, "built without CUDA: there are no cards"); }

std::string nccl_version() { return "not built in"; }

}  // namespace mpibert
