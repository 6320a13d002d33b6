#pragma once

#include <memory>

#include "mpibert/ops/backend.h"

namespace mpibert {

// What make_backend chooses from, one function a kind of device. A build without CUDA has the second one in no_cuda.cpp: it throws kDevice.
std::unique_ptr<Backend> make_cpu_backend();
std::unique_ptr<Backend> make_cuda_backend(int index, const BackendOptions& options);
int cuda_device_count();

}  // namespace mpibert
