#include "mpibert/ops/backend.h"

#include "mpibert/base/error.h"
#include "ops/make.h"

namespace mpibert {

std::unique_ptr<Backend> make_backend(Device device) {
  switch (device.type) {
    case DeviceType::kCpu:
      MPIBERT_CHECK(device.index == 0, kDevice, "expected cpu device 0, found ", device.index, ": the CPU is one device");
      return make_cpu_backend();
    case DeviceType::kCuda:
      return make_cuda_backend(device.index);
  }
  throw Error(ErrorKind::kDevice, str_cat("expected a cpu or cuda device, found type ", static_cast<int>(device.type)));
}

int device_count(DeviceType type) { return type == DeviceType::kCpu ? 1 : cuda_device_count(); }

}  // namespace mpibert
