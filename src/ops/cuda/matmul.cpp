#include "ops/cuda/matmul.h"

#include <map>
#include <utility>

#include "mpibert/base/error.h"

namespace mpibert::cuda {
namespace {

constexpr size_t kWorkspaceBytes = size_t{32} << 20;  // what NVIDIA advises for Hopper
constexpr size_t kMostPlans = 4096;                   // T differs from batch to batch

cudaDataType_t type_of(DType dtype) {
  return dtype == DType::kBFloat16 ? CUDA_R_16BF : dtype == DType::kFloat16 ? CUDA_R_16F : CUDA_R_32F;
}

// One object of the library, made by `create` and ended by `destroy`.
template <class Handle, cublasStatus_t (*destroy)(Handle)>
class Owned {
 public:
  Owned() = default;
  ~Owned() {
    if (handle_) destroy(handle_);
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  Handle* out() { return &handle_; }
  Handle get() const { return handle_; }

 private:
  Handle handle_ = nullptr;
};
using Descriptor = Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Layout = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Preference = Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

// All that the choice of an algorithm depends on.
struct Kind {
  int64_t m, n, k;
  bool transpose_a, transpose_b, bias, keeps_c;
  DType compute, output;
  auto operator<=>(const Kind&) const = default;
};

struct Plan {
  Descriptor product;
  Layout a, b, c;
  cublasLtMatmulAlgo_t algorithm{};
};

template <class T>
void set(const Descriptor& product, cublasLtMatmulDescAttributes_t attribute, const T& value) {
  MPIBERT_CUBLAS_CHECK(cublasLtMatmulDescSetAttribute(product.get(), attribute, &value, sizeof value));
}

// A row-major [rows, columns] matrix.
void describe(Layout& layout, DType dtype, int64_t rows, int64_t columns) {
  MPIBERT_CUBLAS_CHECK(cublasLtMatrixLayoutCreate(layout.out(), type_of(dtype), static_cast<uint64_t>(columns), static_cast<uint64_t>(rows), columns));
}

}  // namespace

struct MatmulEngine::Impl {
  Impl(const Context& context_, bool tf32_) : context(context_), tf32(tf32_), workspace(context_.stream) { MPIBERT_CUBLAS_CHECK(cublasLtCreate(library.out())); }

  const Context& context;
  bool tf32;
  Owned<cublasLtHandle_t, cublasLtDestroy> library;
  Workspace workspace;
  std::map<Kind, Plan> plans;

  const Plan& plan_of(const Kind& kind);
};

const Plan& MatmulEngine::Impl::plan_of(const Kind& kind) {
  if (const auto found = plans.find(kind); found != plans.end()) return found->second;
  if (plans.size() >= kMostPlans) plans.clear();
  Plan& plan = plans[kind];
  try {
    const bool rounds = tf32 && kind.compute == DType::kFloat32;
    MPIBERT_CUBLAS_CHECK(cublasLtMatmulDescCreate(plan.product.out(), rounds ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F));
    set(plan.product, CUBLASLT_MATMUL_DESC_TRANSA, kind.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(plan.product, CUBLASLT_MATMUL_DESC_TRANSB, kind.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
    if (kind.bias) set(plan.product, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    describe(plan.a, kind.compute, kind.transpose_a ? kind.k : kind.m, kind.transpose_a ? kind.m : kind.k);
    describe(plan.b, kind.compute, kind.transpose_b ? kind.n : kind.k, kind.transpose_b ? kind.k : kind.n);
    describe(plan.c, kind.output, kind.m, kind.n);
    Preference preference;
    MPIBERT_CUBLAS_CHECK(cublasLtMatmulPreferenceCreate(preference.out()));
    MPIBERT_CUBLAS_CHECK(cublasLtMatmulPreferenceSetAttribute(preference.get(), CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &kWorkspaceBytes, sizeof kWorkspaceBytes));
    cublasLtMatmulHeuristicResult_t result{};
    int found = 0;
    MPIBERT_CUBLAS_CHECK(
        cublasLtMatmulAlgoGetHeuristic(library.get(), plan.product.get(), plan.b.get(), plan.a.get(), plan.c.get(), plan.c.get(), preference.get(), 1, &result, &found));
    MPIBERT_CHECK(found > 0, kDevice, "cuBLASLt has no algorithm for a product of [", kind.m, ", ", kind.k, "] and [", kind.k, ", ", kind.n, "] in ", name_of(kind.compute));
    plan.algorithm = result.algo;
  } catch (...) {
    plans.erase(kind);
    throw;
  }
  return plan;
}

MatmulEngine::MatmulEngine(const Context& context, bool tf32) : impl_(std::make_unique<Impl>(context, tf32)) {}
MatmulEngine::~MatmulEngine() = default;

void MatmulEngine::matmul(const Matmul& op) {
  const int64_t m = op.c.shape()[0], n = op.c.shape()[1], k = op.a.shape()[op.transpose_a ? 0 : 1];
  if (m == 0 || n == 0) return;
  Matmul rest = op;
  // A product in 16 bits that is multiplied with a derivative is rounded after that, once.
  float* products = op.derivative_at && op.c.dtype() != DType::kFloat32 && k > 0 ? impl_->context.workspace.get<float>(m * n) : nullptr;
  // A bias in another type than c's is left to the second pass: c is fp32 then, and nothing has been rounded.
  const bool bias = op.bias && k > 0 && !products && op.bias.dtype() == op.c.dtype();
  const float beta = products ? 0 : op.beta;
  if (k > 0) {
    const Plan& plan = impl_->plan_of({.m = m,
                                       .n = n,
                                       .k = k,
                                       .transpose_a = op.transpose_a,
                                       .transpose_b = op.transpose_b,
                                       .bias = bias,
                                       .keeps_c = beta != 0,
                                       .compute = op.a.dtype(),
                                       .output = products ? DType::kFloat32 : op.c.dtype()});
    if (bias) {
      set(plan.product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, op.bias.data());
      rest.bias = {};
    }
    void* c = products ? products : op.c.data();
    void* workspace = impl_->workspace.get<std::byte>(static_cast<int64_t>(kWorkspaceBytes));
    MPIBERT_CUBLAS_CHECK(cublasLtMatmul(impl_->library.get(), plan.product.get(), &op.alpha, op.b.data(), plan.b.get(), op.a.data(), plan.a.get(), &beta, c, plan.c.get(), c, plan.c.get(),
                                        &plan.algorithm, workspace, kWorkspaceBytes, impl_->context.stream));
  } else if (beta == 0) {  // a sum of no terms
    MPIBERT_CUDA_CHECK(cudaMemsetAsync(op.c.data(), 0, op.c.bytes(), impl_->context.stream));
  } else {
    MPIBERT_CHECK(beta == 1, kInvalidArgument, "a product over no terms can keep c or clear it on CUDA: expected beta 0 or 1, found ", beta);
  }
  matmul_epilogue(rest, products, impl_->context);
}

}  // namespace mpibert::cuda
