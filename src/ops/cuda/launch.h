#pragma once

// The one way to start a kernel. Where nvcc does not compile, a .cu file is plain C++ against the emulator of tests/emulation.

#include <cuda_runtime.h>

#include "ops/cuda/cuda_check.h"

namespace mpibert::cuda {

struct LaunchShape {
  dim3 grid{1}, block{1};
  size_t shared_bytes = 0;  // dynamic shared memory
};

template <class... Parameters, class... Arguments>
void launch(const LaunchShape& shape, cudaStream_t stream, void (*kernel)(Parameters...), Arguments... arguments) {
  if (shape.grid.x == 0 || shape.grid.y == 0) return;  // nothing to do: an empty batch
#if defined(__CUDACC__)
  if (shape.shared_bytes > 48 * 1024)  // more has to be asked for
    MPIBERT_CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shape.shared_bytes)));
  kernel<<<shape.grid, shape.block, shape.shared_bytes, stream>>>(arguments...);
  MPIBERT_CUDA_CHECK(cudaGetLastError());
#else
  emulation::launch(shape.grid, shape.block, shape.shared_bytes, stream, [=] { kernel(arguments...); });
#endif
}

}  // namespace mpibert::cuda
