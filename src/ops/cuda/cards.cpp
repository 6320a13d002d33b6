#include "mpibert/ops/cards.h"

#include "mpibert/base/error.h"
#include "ops/cuda/cuda_check.h"
#include "ops/cuda/cudnn_attention.h"
#include "ops/make.h"

namespace mpibert {

namespace {

constexpr int kOldestMajor = 8;  // Ampere: bf16 tensor cores; the oldest that the preset compiles kernels for

std::string version_text(size_t version, size_t unit) { return str_cat(version / unit, ".", version % unit / (unit / 100)); }

CardDescription describe(int index) {
  CardDescription card;
  cudaDeviceProp properties{};
  MPIBERT_CUDA_CHECK(cudaGetDeviceProperties(&properties, index));
  card.name = properties.name;
  MPIBERT_CUDA_CHECK(cudaDeviceGetAttribute(&card.capability_major, cudaDevAttrComputeCapabilityMajor, index));
  MPIBERT_CUDA_CHECK(cudaDeviceGetAttribute(&card.capability_minor, cudaDevAttrComputeCapabilityMinor, index));
  MPIBERT_CUDA_CHECK(cudaDeviceGetAttribute(&card.multiprocessors, cudaDevAttrMultiProcessorCount, index));
  if (card.capability_major < kOldestMajor)
    card.problem = str_cat("compute capability ", card.capability_major, ".", card.capability_minor, ", but the kernels are for ",
                           kOldestMajor, ".0 and later");
  MPIBERT_CUDA_CHECK(cudaSetDevice(index));
  MPIBERT_CUDA_CHECK(cudaMemGetInfo(&card.free_bytes, &card.memory_bytes));
  return card;
}

}  // namespace

std::vector<CardDescription> describe_cards() {
  std::vector<CardDescription> cards(static_cast<size_t>(cuda_device_count()));
  for (size_t i = 0; i < cards.size(); ++i) {
    try {
      cards[i] = describe(static_cast<int>(i));
    } catch (const Error& error) {
      cards[i].problem = error.what();  // taken by another process, or broken: the others may serve
    }
  }
  return cards;
}

std::string cuda_version() {
  int runtime = 0, driver = 0;
  MPIBERT_CUDA_CHECK(cudaRuntimeGetVersion(&runtime));
  MPIBERT_CUDA_CHECK(cudaDriverGetVersion(&driver));
  return str_cat(version_text(static_cast<size_t>(runtime), 1000), " (built with ", version_text(CUDART_VERSION, 1000), "), driver ",
                 driver == 0 ? "none" : "for " + version_text(static_cast<size_t>(driver), 1000), ", cuBLASLt ",
                 version_text(cublasLtGetVersion(), 10000), " (built with ", version_text(CUBLAS_VERSION, 10000), "), cuDNN ",
                 cuda::cudnn_version());
}

}  // namespace mpibert
