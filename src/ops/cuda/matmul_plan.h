#pragma once

#include <compare>
#include <optional>
#include <vector>

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

bool has_auxiliary(const MatmulKind& kind);

struct MatmulOperands {
  const void *a = nullptr, *b = nullptr;
  void* d = nullptr;                // the result; where beta is not 0 also c
  const void* vector = nullptr;     // the bias [N]; with CUBLASLT_EPILOGUE_BGRADB the sums [M] of op(a)'s rows, which are written
  const void* auxiliary = nullptr;  // [M, N]: what GELU was taken of (written), or what its derivative is taken at
};

// One of the library's algorithms: the attributes of its configuration (cublasLtMatmulAlgoConfigAttributes_t), from which it can be made
// again.
struct MatmulAlgorithm {
  int32_t id = 0;
  uint32_t tile = 0, stages = 0;
  int32_t split_k = 1;
  uint32_t reduction = CUBLASLT_REDUCTION_SCHEME_NONE, swizzling = 0, custom_option = 0;
  uint16_t inner_shape = 0, cluster_shape = 0;
  bool operator==(const MatmulAlgorithm&) const = default;
};
// None where the library does not say.
std::optional<MatmulAlgorithm> algorithm_of(const cublasLtMatmulAlgo_t& handle);
// Whether sums that are split are put together from fp32 parts in a step of its own: in one order, and with no rounding to 16 bits between.
// Split in place, whoever comes first adds first.
bool adds_in_order(const MatmulAlgorithm& algorithm);

// The library's description of one kind of product. Row-major [M, N] is its column-major [N, M], so that it is asked for op(b)^T op(a)^T:
// its A is our b, its B our a.
class MatmulPlan {
 public:
  MatmulPlan(cublasLtHandle_t library, const MatmulKind& kind);

  // Where the epilogue reads and writes. Before the library is asked for an algorithm too: it looks at the addresses' alignment.
  void point(const MatmulOperands& operands);
  // What the library suggests, its first choice first; nothing where it cannot do this kind of product.
  std::vector<cublasLtMatmulAlgo_t> suggestions(int most) const;
  // None where the library refuses the algorithm for this kind.
  std::optional<cublasLtMatmulAlgo_t> rebuilt(const MatmulAlgorithm& algorithm) const;
  // Queued. workspace has kMatmulWorkspaceBytes.
  cublasStatus_t run(const MatmulOperands& operands, float alpha, float beta, const cublasLtMatmulAlgo_t& algorithm, void* workspace,
                     cudaStream_t stream) const;

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
