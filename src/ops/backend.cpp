#include "mpibert/ops/backend.h"

#include <stdexcept>

#include "mpibert/base/error.h"
#include "ops/make.h"

namespace mpibert {

std::unique_ptr<Backend> make_backend(Device device, const BackendOptions& options) {
  switch (device.type) {
    case DeviceType::kCpu:
      MPIBERT_CHECK(device.index == 0, kDevice, "expected cpu device 0, found ", device.index, ": the CPU is one device");
      MPIBERT_CHECK(!options.tf32, kUsage, "TF32 is a format of cards: expected --device cuda; on the CPU leave --tf32 out");
      MPIBERT_CHECK(options.attention == AttentionKernel::kNative, kUsage,
                    "cuDNN runs on cards: expected --device cuda; on the CPU leave --attention cudnn out");
      return make_cpu_backend();
    case DeviceType::kCuda:
      return make_cuda_backend(device.index, options);
  }
  throw Error(ErrorKind::kDevice, str_cat("expected a cpu or cuda device, found type ", static_cast<int>(device.type)));
}

namespace {

[[noreturn]] void refuse_graphs() { throw std::logic_error("this backend has no graphs: ask has_graphs() first"); }

}  // namespace

void Backend::begin_capture() { refuse_graphs(); }
std::unique_ptr<Graph> Backend::end_capture() { refuse_graphs(); }
void Backend::launch(const Graph&) { refuse_graphs(); }

int device_count(DeviceType type) { return type == DeviceType::kCpu ? 1 : cuda_device_count(); }

}  // namespace mpibert
