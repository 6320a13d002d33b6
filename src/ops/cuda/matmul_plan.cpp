#include "ops/cuda/matmul_plan.h"

namespace mpibert::cuda {
namespace {

using Layout = CublasOwned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Preference = CublasOwned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

cudaDataType_t type_of(DType dtype) { return dtype == DType::kBFloat16 ? CUDA_R_16BF : dtype == DType::kFloat16 ? CUDA_R_16F : CUDA_R_32F; }

// A row-major [rows, columns] matrix.
void describe(Layout& layout, DType dtype, int64_t rows, int64_t columns) {
  MPIBERT_CUBLAS_CHECK(
      cublasLtMatrixLayoutCreate(layout.out(), type_of(dtype), static_cast<uint64_t>(columns), static_cast<uint64_t>(rows), columns));
}

template <class T>
void prefer(const Preference& preference, cublasLtMatmulPreferenceAttributes_t attribute, const T& value) {
  MPIBERT_CUBLAS_CHECK(cublasLtMatmulPreferenceSetAttribute(preference.get(), attribute, &value, sizeof value));
}

constexpr bool has(cublasLtEpilogue_t epilogue, int part) { return (epilogue & part) != 0; }

cublasComputeType_t compute_type_of(const MatmulKind& kind) { return kind.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F; }

// Calls f with each attribute that can be set, and the member that holds it.
template <class Algorithm, class F>
void each_attribute(Algorithm& algorithm, const F& f) {
  f(CUBLASLT_ALGO_CONFIG_TILE_ID, algorithm.tile);
  f(CUBLASLT_ALGO_CONFIG_STAGES_ID, algorithm.stages);
  f(CUBLASLT_ALGO_CONFIG_SPLITK_NUM, algorithm.split_k);
  f(CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, algorithm.reduction);
  f(CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING, algorithm.swizzling);
  f(CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION, algorithm.custom_option);
  f(CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID, algorithm.inner_shape);
  f(CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID, algorithm.cluster_shape);
}

}  // namespace

bool has_auxiliary(const MatmulKind& kind) {
  constexpr int kAuxiliary = 128;  // the bit that all epilogues with such a matrix share
  return has(kind.epilogue, kAuxiliary);
}

std::optional<MatmulAlgorithm> algorithm_of(const cublasLtMatmulAlgo_t& handle) {
  MatmulAlgorithm algorithm;
  bool known = true;
  const auto get = [&](cublasLtMatmulAlgoConfigAttributes_t attribute, auto& value) {
    size_t written = 0;
    known = known && cublasLtMatmulAlgoConfigGetAttribute(&handle, attribute, &value, sizeof value, &written) == CUBLAS_STATUS_SUCCESS &&
            written == sizeof value;
  };
  get(CUBLASLT_ALGO_CONFIG_ID, algorithm.id);
  each_attribute(algorithm, get);
  return known ? std::optional(algorithm) : std::nullopt;
}

bool adds_in_order(const MatmulAlgorithm& algorithm) {
  return algorithm.reduction == CUBLASLT_REDUCTION_SCHEME_NONE || algorithm.reduction == CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
}

MatmulPlan::MatmulPlan(cublasLtHandle_t library, const MatmulKind& kind) : library_(library), kind_(kind) {
  MPIBERT_CUBLAS_CHECK(cublasLtMatmulDescCreate(product_.out(), compute_type_of(kind), CUDA_R_32F));
  set(CUBLASLT_MATMUL_DESC_TRANSA, kind.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(CUBLASLT_MATMUL_DESC_TRANSB, kind.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(CUBLASLT_MATMUL_DESC_EPILOGUE, kind.epilogue);
  if (has_auxiliary(kind)) set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, kind.n);
  describe(a_, kind.compute, kind.transpose_a ? kind.k : kind.m, kind.transpose_a ? kind.m : kind.k);
  describe(b_, kind.compute, kind.transpose_b ? kind.n : kind.k, kind.transpose_b ? kind.k : kind.n);
  describe(d_, kind.output, kind.m, kind.n);
}

void MatmulPlan::point(const MatmulOperands& operands) {
  if (has(kind_.epilogue, CUBLASLT_EPILOGUE_BIAS | CUBLASLT_EPILOGUE_BGRADB)) set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, operands.vector);
  if (has_auxiliary(kind_)) set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, operands.auxiliary);
}

std::vector<cublasLtMatmulAlgo_t> MatmulPlan::suggestions(int most) const {
  Preference preference;
  MPIBERT_CUBLAS_CHECK(cublasLtMatmulPreferenceCreate(preference.out()));
  prefer(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t{kMatmulWorkspaceBytes});
  prefer(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
         static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));  // and unsplit; see adds_in_order()
  for (const auto operand : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                             CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
    prefer(preference, operand, kind_.alignment);
  std::vector<cublasLtMatmulHeuristicResult_t> results(static_cast<size_t>(most));
  int found = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(library_, product_.get(), b_.get(), a_.get(), d_.get(), d_.get(),
                                                               preference.get(), most, results.data(), &found);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED) return {};
  MPIBERT_CUBLAS_CHECK(status);
  std::vector<cublasLtMatmulAlgo_t> suggested;
  for (int i = 0; i < found; ++i)
    if (results[static_cast<size_t>(i)].state == CUBLAS_STATUS_SUCCESS) suggested.push_back(results[static_cast<size_t>(i)].algo);
  return suggested;
}

std::optional<cublasLtMatmulAlgo_t> MatmulPlan::rebuilt(const MatmulAlgorithm& algorithm) const {
  const cudaDataType_t operand = type_of(kind_.compute), output = type_of(kind_.output);
  cublasLtMatmulAlgo_t handle{};
  if (cublasLtMatmulAlgoInit(library_, compute_type_of(kind_), CUDA_R_32F, operand, operand, output, output, algorithm.id, &handle) !=
      CUBLAS_STATUS_SUCCESS)
    return {};
  bool taken = true;
  each_attribute(algorithm, [&](cublasLtMatmulAlgoConfigAttributes_t attribute, const auto& value) {
    taken = taken && cublasLtMatmulAlgoConfigSetAttribute(&handle, attribute, &value, sizeof value) == CUBLAS_STATUS_SUCCESS;
  });
  cublasLtMatmulHeuristicResult_t result{};
  if (!taken ||
      cublasLtMatmulAlgoCheck(library_, product_.get(), b_.get(), a_.get(), d_.get(), d_.get(), &handle, &result) != CUBLAS_STATUS_SUCCESS)
    return {};
  if (result.workspaceSize > kMatmulWorkspaceBytes) return {};
  return handle;
}

cublasStatus_t MatmulPlan::run(const MatmulOperands& operands, float alpha, float beta, const cublasLtMatmulAlgo_t& algorithm,
                               void* workspace, cudaStream_t stream) const {
  return cublasLtMatmul(library_, product_.get(), &alpha, operands.b, b_.get(), operands.a, a_.get(), &beta, operands.d, d_.get(),
                        operands.d, d_.get(), &algorithm, workspace, kMatmulWorkspaceBytes, stream);
}

}  // namespace mpibert::cuda
