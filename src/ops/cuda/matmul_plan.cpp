#include "ops/cuda/matmul_plan.h"

namespace mpibert::cuda {
namespace {

using Layout = CublasOwned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Preference = CublasOwned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

cudaDataType_t type_of(DType dtype) {
  return dtype == DType::kBFloat16 ? CUDA_R_16BF : dtype == DType::kFloat16 ? CUDA_R_16F : CUDA_R_32F;
}

// A row-major [rows, columns] matrix.
void describe(Layout& layout, DType dtype, int64_t rows, int64_t columns) {
  MPIBERT_CUBLAS_CHECK(cublasLtMatrixLayoutCreate(layout.out(), type_of(dtype), static_cast<uint64_t>(columns), static_cast<uint64_t>(rows), columns));
}

template <class T>
void prefer(const Preference& preference, cublasLtMatmulPreferenceAttributes_t attribute, const T& value) {
  MPIBERT_CUBLAS_CHECK(cublasLtMatmulPreferenceSetAttribute(preference.get(), attribute, &value, sizeof value));
}

constexpr bool has(cublasLtEpilogue_t epilogue, int part) { return (epilogue & part) != 0; }
constexpr int kAuxiliary = 128;  // the bit that all epilogues with such a matrix share

}  // namespace

MatmulPlan::MatmulPlan(cublasLtHandle_t library, const MatmulKind& kind) : library_(library), kind_(kind) {
  MPIBERT_CUBLAS_CHECK(cublasLtMatmulDescCreate(product_.out(), kind.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F));
  set(CUBLASLT_MATMUL_DESC_TRANSA, kind.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(CUBLASLT_MATMUL_DESC_TRANSB, kind.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(CUBLASLT_MATMUL_DESC_EPILOGUE, kind.epilogue);
  if (has(kind.epilogue, kAuxiliary)) set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, kind.n);
  describe(a_, kind.compute, kind.transpose_a ? kind.k : kind.m, kind.transpose_a ? kind.m : kind.k);
  describe(b_, kind.compute, kind.transpose_b ? kind.n : kind.k, kind.transpose_b ? kind.k : kind.n);
  describe(d_, kind.output, kind.m, kind.n);
}

void MatmulPlan::point(const MatmulOperands& operands) {
  if (has(kind_.epilogue, CUBLASLT_EPILOGUE_BIAS | CUBLASLT_EPILOGUE_BGRADB)) set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, operands.vector);
  if (has(kind_.epilogue, kAuxiliary)) set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, operands.auxiliary);
}

std::optional<cublasLtMatmulAlgo_t> MatmulPlan::first_algorithm() const {
  Preference preference;
  MPIBERT_CUBLAS_CHECK(cublasLtMatmulPreferenceCreate(preference.out()));
  prefer(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t{kMatmulWorkspaceBytes});
  // Sums that are split are put together from fp32 parts in a step of its own: in one order, and with no rounding to 16 bits between.
  prefer(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  for (const auto operand : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
                             CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
    prefer(preference, operand, kind_.alignment);
  cublasLtMatmulHeuristicResult_t result{};
  int found = 0;
  const cublasStatus_t status =
      cublasLtMatmulAlgoGetHeuristic(library_, product_.get(), b_.get(), a_.get(), d_.get(), d_.get(), preference.get(), 1, &result, &found);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED) return {};
  MPIBERT_CUBLAS_CHECK(status);
  if (found == 0 || result.state != CUBLAS_STATUS_SUCCESS) return {};
  return result.algo;
}

void MatmulPlan::run(const MatmulOperands& operands, float alpha, float beta, const cublasLtMatmulAlgo_t& algorithm, void* workspace, cudaStream_t stream) const {
  MPIBERT_CUBLAS_CHECK(cublasLtMatmul(library_, product_.get(), &alpha, operands.b, b_.get(), operands.a, a_.get(), &beta, operands.d, d_.get(), operands.d, d_.get(), &algorithm, workspace,
                                      kMatmulWorkspaceBytes, stream));
}

}  // namespace mpibert::cuda
