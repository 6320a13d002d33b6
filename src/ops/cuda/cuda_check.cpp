#include "ops/cuda/cuda_check.h"

#include "mpibert/base/error.h"

namespace mpibert::cuda {

void check_cuda(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  const ErrorKind kind = status == cudaErrorMemoryAllocation ? ErrorKind::kOutOfDeviceMemory : ErrorKind::kDevice;
  throw Error(kind, str_cat("CUDA: ", cudaGetErrorString(status), " (", cudaGetErrorName(status), ") in ", call));
}

void check_cublas(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(ErrorKind::kDevice, str_cat("cuBLASLt: ", cublasLtGetStatusString(status), " (", static_cast<int>(status), ") in ", call));
}

bool is_capturing(cudaStream_t stream) {
  cudaStreamCaptureStatus status{};
  check_cuda(cudaStreamIsCapturing(stream, &status), "cudaStreamIsCapturing");
  return status != cudaStreamCaptureStatusNone;
}

}  // namespace mpibert::cuda
