#pragma once

#include <cublasLt.h>
#include <cuda_runtime_api.h>

namespace mpibert::cuda {

// Throw kDevice with the library's words, and kOutOfDeviceMemory where that is what it says.
void check_cuda(cudaError_t status, const char* call);
void check_cublas(cublasStatus_t status, const char* call);

bool is_capturing(cudaStream_t stream);  // also where the capture has failed

}  // namespace mpibert::cuda

#define MPIBERT_CUDA_CHECK(call) ::mpibert::cuda::check_cuda((call), #call)
#define MPIBERT_CUBLAS_CHECK(call) ::mpibert::cuda::check_cublas((call), #call)
