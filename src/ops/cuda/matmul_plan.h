#pragma once

#include <compare>
#include <optional>

#include "mpibert/ops/ops.h"
#include "ops/cuda/cuda_check.h"

namespace mpibert::cuda {

// One object of the library, made by `create` and ended by `destroy`.
template <class Handle, cublasStatus_t (*destroy)(Handle)>
class CublasOwned {
 public:
  CublasOwned() = default;
  ~CublasOwned() {
    if (handle_) destroy(handle_);
  }
  CublasOwned(const CublasOwned&) = delete;
  CublasOwned& operator=(const CublasOwned&) = delete;
  Handle* out() { return &handle_; }
  Handle get() const { return handle_; }

 private:
  Handle handle_ = nullptr;
};
using CublasLibrary = CublasOwned<cublasLtHandle_t, cublasLtDestroy>;

inline constexpr size_t kMatmulWorkspaceBytes = size_t{32} << 20;  // what NVIDIA advises for Hopper
inline constexpr uint32_t kMatmulAlignment = 16;                   // bytes; no algorithm asks for more

// All that the library's choice of an algorithm depends on: [M, N] = epilogue(alpha op(a) op(b) + beta c), row-major as in ops.h.
struct MatmulKind {
  int64_t m = 0, n = 0, k = 0;
  bool transpose_a = false, transpose_b = false;
  bool keeps_c = false;  // beta is not 0
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  DType compute = DType::kFloat32, output = DType::kFloat32;
  bool tf32 = false;                      // fp32 operands on tensor cores
  uint32_t alignment = kMatmulAlignment;  // bytes: of the operands' addresses and rows, the smallest
  auto operator<=>(const MatmulKind&) const = default;
};

struct MatmulOperands {
  const void *a = nullptr, *b = nullptr;
  void* d = nullptr;                // the result; where beta is not 0 also c
  const void* vector = nullptr;     // the bias [N]; with CUBLASLT_EPILOGUE_BGRADB the sums [M] of op(a)'s rows, which are written
  const void* auxiliary = nullptr;  // [M, N]: what GELU was taken of (written), or what its derivative is taken at
};

// The library's description of one kind of product. Row-major [M, N] is its column-major [N, M], so that it is asked for op(b)^T op(a)^T:
// its A is our b, its B our a.
class MatmulPlan {
 public:
  MatmulPlan(cublasLtHandle_t library, const MatmulKind& kind);

  // Where the epilogue reads and writes. Before the library is asked for an algorithm too: it looks at the addresses' alignment.
  void point(const MatmulOperands& operands);
  // The library's first choice; none where it cannot do this kind of product.
  std::optional<cublasLtMatmulAlgo_t> first_algorithm() const;
  // Queued. workspace has kMatmulWorkspaceBytes.
  void run(const MatmulOperands& operands, float alpha, float beta, const cublasLtMatmulAlgo_t& algorithm, void* workspace, cudaStream_t stream) const;

 private:
  template <class T>
  void set(cublasLtMatmulDescAttributes_t attribute, const T& value) {
    MPIBERT_CUBLAS_CHECK(cublasLtMatmulDescSetAttribute(product_.get(), attribute, &value, sizeof value));
  }

  cublasLtHandle_t library_;
  MatmulKind kind_;
  CublasOwned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy> product_;
  CublasOwned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy> a_, b_, d_;
};

}  // namespace mpibert::cuda
