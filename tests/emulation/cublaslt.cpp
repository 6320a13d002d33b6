#include "cublasLt.h"

#include <cuda_fp16.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "tests/emulation/memory.h"

struct cublasLtContext {};
struct cublasLtMatmulDescOpaque {
  cublasOperation_t a = CUBLAS_OP_N, b = CUBLAS_OP_N;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void* bias = nullptr;
  int bias_type = -1;  // as d
};
struct cublasLtMatrixLayoutOpaque {
  cudaDataType_t type;
  uint64_t rows, columns;
  uint64_t leading_dimension;
};
struct cublasLtMatmulPreferenceOpaque {};

namespace {

using emulation::in_arena;
using emulation::is_allocated;

size_t bytes_of(cudaDataType_t type) { return type == CUDA_R_32F ? 4 : 2; }
bool is_known(cudaDataType_t type) { return type == CUDA_R_32F || type == CUDA_R_16BF || type == CUDA_R_16F; }

float load(const void* matrix, cudaDataType_t type, uint64_t i) {
  if (type == CUDA_R_32F) return static_cast<const float*>(matrix)[i];
  const uint16_t bits = static_cast<const uint16_t*>(matrix)[i];
  return type == CUDA_R_16F ? __half2float(__ushort_as_half(bits)) : std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

void store(void* matrix, cudaDataType_t type, uint64_t i, float x) {
  if (type == CUDA_R_32F) {
    static_cast<float*>(matrix)[i] = x;
    return;
  }
  uint16_t& to = static_cast<uint16_t*>(matrix)[i];
  if (type == CUDA_R_16F) {
    to = __half_as_ushort(__float2half_rn(x));
    return;
  }
  const uint32_t u = std::bit_cast<uint32_t>(x);
  const bool is_nan = (u & 0x7fffffffu) > 0x7f800000u;
  to = static_cast<uint16_t>(is_nan ? (u >> 16) | 0x40u : (u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

bool holds(const cublasLtMatrixLayoutOpaque& layout, const void* matrix) {
  const uint64_t numbers = layout.columns == 0 ? 0 : (layout.columns - 1) * layout.leading_dimension + layout.rows;
  return in_arena(matrix) && is_allocated(matrix, numbers * bytes_of(layout.type));
}

// op(matrix) with op's rows one after another, so that a product is a sum over neighbours.
std::vector<float> rows_of(const cublasLtMatrixLayoutOpaque& layout, const void* matrix, bool transposed) {
  const uint64_t rows = transposed ? layout.columns : layout.rows, columns = transposed ? layout.rows : layout.columns;
  std::vector<float> numbers(rows * columns);
  for (uint64_t i = 0; i < rows; ++i)
    for (uint64_t j = 0; j < columns; ++j)
      numbers[i * columns + j] = load(matrix, layout.type, transposed ? i * layout.leading_dimension + j : j * layout.leading_dimension + i);
  return numbers;
}

template <class Handle, class... Arguments>
cublasStatus_t make(Handle* handle, const Arguments&... arguments) {
  *handle = new std::remove_pointer_t<Handle>{arguments...};
  return CUBLAS_STATUS_SUCCESS;
}
template <class Handle>
cublasStatus_t destroy(Handle handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t check_shapes(const cublasLtMatmulDescOpaque& description, const cublasLtMatrixLayoutOpaque& a, const cublasLtMatrixLayoutOpaque& b,
                            const cublasLtMatrixLayoutOpaque& c, const cublasLtMatrixLayoutOpaque& d) {
  const bool ta = description.a == CUBLAS_OP_T, tb = description.b == CUBLAS_OP_T;
  const uint64_t m = ta ? a.columns : a.rows, k = ta ? a.rows : a.columns, k_of_b = tb ? b.columns : b.rows, n = tb ? b.rows : b.columns;
  if (k != k_of_b || m != d.rows || n != d.columns || c.rows != m || c.columns != n) return CUBLAS_STATUS_INVALID_VALUE;
  for (const cublasLtMatrixLayoutOpaque* layout : {&a, &b, &c, &d})
    if (layout->leading_dimension < layout->rows) return CUBLAS_STATUS_INVALID_VALUE;
  for (const cublasLtMatrixLayoutOpaque* layout : {&a, &b, &c, &d})
    if (!is_known(layout->type)) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (a.type != b.type || c.type != d.type || (a.type == CUDA_R_32F && c.type != CUDA_R_32F)) return CUBLAS_STATUS_NOT_SUPPORTED;
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) { return make(handle); }
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) { return destroy(handle); }
size_t cublasLtGetVersion() { return CUBLAS_VERSION; }
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* description, cublasComputeType_t, cudaDataType_t scale) {
  if (scale != CUDA_R_32F) return CUBLAS_STATUS_NOT_SUPPORTED;
  return make(description);
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t description) { return destroy(description); }
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType_t type, uint64_t rows, uint64_t columns, int64_t leading_dimension) {
  return make(layout, type, rows, columns, static_cast<uint64_t>(leading_dimension));
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) { return destroy(layout); }
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) { return make(preference); }
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) { return destroy(preference); }
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t, cublasLtMatmulPreferenceAttributes_t, const void*, size_t) {
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t description, cublasLtMatmulDescAttributes_t attribute, const void* value, size_t bytes) {
  const auto set = [&](auto& member) {
    if (bytes != sizeof member) return CUBLAS_STATUS_INVALID_VALUE;
    std::memcpy(&member, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
  };
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA: return set(description->a);
    case CUBLASLT_MATMUL_DESC_TRANSB: return set(description->b);
    case CUBLASLT_MATMUL_DESC_EPILOGUE: return set(description->epilogue);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: return set(description->bias);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE: return set(description->bias_type);
    default: return CUBLAS_STATUS_NOT_SUPPORTED;
  }
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t description, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t, int requested,
                                              cublasLtMatmulHeuristicResult_t results[], int* returned) {
  *returned = 0;
  if (requested < 1) return CUBLAS_STATUS_INVALID_VALUE;
  const cublasStatus_t status = check_shapes(*description, *a, *b, *c, *d);
  if (status != CUBLAS_STATUS_SUCCESS) return status;
  results[0] = {.algo = {}, .workspaceSize = 0, .state = CUBLAS_STATUS_SUCCESS, .wavesCount = 1, .reserved = {}};
  *returned = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t description, const void* alpha, const void* a, cublasLtMatrixLayout_t a_layout,
                              const void* b, cublasLtMatrixLayout_t b_layout, const void* beta, const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t*, void* workspace, size_t workspace_bytes, cudaStream_t stream) {
  if (const cublasStatus_t status = check_shapes(*description, *a_layout, *b_layout, *c_layout, *d_layout); status != CUBLAS_STATUS_SUCCESS) return status;
  if (cudaStreamSynchronize(stream) != cudaSuccess) return CUBLAS_STATUS_INVALID_VALUE;
  if (!holds(*a_layout, a) || !holds(*b_layout, b) || !holds(*d_layout, d)) return CUBLAS_STATUS_INVALID_VALUE;
  const float scale = *static_cast<const float*>(alpha), keep = *static_cast<const float*>(beta);
  if (keep != 0 && !holds(*c_layout, c)) return CUBLAS_STATUS_INVALID_VALUE;
  if (workspace_bytes > 0 && !(in_arena(workspace) && is_allocated(workspace, workspace_bytes))) return CUBLAS_STATUS_INVALID_VALUE;
  const uint64_t m = d_layout->rows, n = d_layout->columns, k = description->a == CUBLAS_OP_T ? a_layout->rows : a_layout->columns;
  const bool has_bias = description->epilogue == CUBLASLT_EPILOGUE_BIAS;
  const cudaDataType_t bias_type = description->bias_type < 0 ? d_layout->type : static_cast<cudaDataType_t>(description->bias_type);
  if (has_bias && !(in_arena(description->bias) && is_allocated(description->bias, m * bytes_of(bias_type)))) return CUBLAS_STATUS_INVALID_VALUE;
  // Each a row for each l of the sum. A column of the product at a time, so that neighbours are added at once.
  const std::vector<float> left = rows_of(*a_layout, a, description->a != CUBLAS_OP_T), right = rows_of(*b_layout, b, description->b == CUBLAS_OP_T);
  std::vector<float> column(m);
  for (uint64_t j = 0; j < n; ++j) {
    std::fill(column.begin(), column.end(), 0.0f);
    for (uint64_t l = 0; l < k; ++l) {
      const float *from = left.data() + l * m, factor = right[l * n + j];
      for (uint64_t i = 0; i < m; ++i) column[i] += from[i] * factor;
    }
    for (uint64_t i = 0; i < m; ++i) {
      float sum = scale * column[i];
      if (keep != 0) sum += keep * load(c, c_layout->type, j * c_layout->leading_dimension + i);
      if (has_bias) sum += load(description->bias, bias_type, i);
      store(d, d_layout->type, j * d_layout->leading_dimension + i, sum);
    }
  }
  return CUBLAS_STATUS_SUCCESS;
}

const char* cublasLtGetStatusString(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED: return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED: return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_EXECUTION_FAILED: return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_INTERNAL_ERROR: return "CUBLAS_STATUS_INTERNAL_ERROR";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
  }
  return "unknown status";
}
