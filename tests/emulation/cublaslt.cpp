#include "tests/emulation/cublaslt.h"

#include <cuda_fp16.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <vector>

#include "cublasLt.h"
#include "tests/emulation/memory.h"
#include "tests/emulation/streams.h"

struct cublasLtContext {};
struct cublasLtMatmulDescOpaque {
  cublasComputeType_t compute;
  cublasOperation_t a = CUBLAS_OP_N, b = CUBLAS_OP_N;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  void* bias = nullptr;
  int bias_type = -1;  // as d
  void* auxiliary = nullptr;
  int64_t auxiliary_leading_dimension = 0;
  int auxiliary_type = -1;  // as d
};
struct cublasLtMatrixLayoutOpaque {
  cudaDataType_t type;
  uint64_t rows, columns;
  uint64_t leading_dimension;
};
struct cublasLtMatmulPreferenceOpaque {
  uint64_t workspace_bytes = 0;
  uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_MASK;
  uint32_t alignments[4] = {256, 256, 256, 256};
};

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
      numbers[i * columns + j] =
          load(matrix, layout.type, transposed ? i * layout.leading_dimension + j : j * layout.leading_dimension + i);
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

// What cublasLtMatmulAlgo_t holds.
struct Configuration {
  int32_t id = 0, split_k = 1;
  uint32_t tile = 0, reduction = CUBLASLT_REDUCTION_SCHEME_NONE, swizzling = 0, custom_option = 0, stages = 0;
  uint16_t inner_shape = 0, cluster_shape = 0;
  bool operator==(const Configuration&) const = default;
};
static_assert(sizeof(Configuration) <= sizeof(cublasLtMatmulAlgo_t));
constexpr int kInOrder = 0, kBackwards = 1, kHalves = 2, kInPlace = 3;
constexpr Configuration kOffered[] = {
    {.id = kInPlace, .split_k = 4, .tile = 18, .reduction = CUBLASLT_REDUCTION_SCHEME_INPLACE, .stages = 8},
    {.id = kInOrder, .tile = 15, .stages = 8},
    {.id = kBackwards, .tile = 20, .swizzling = 1, .custom_option = 3, .stages = 12, .inner_shape = 2, .cluster_shape = 5},
    {.id = kHalves, .split_k = 2, .tile = 18, .reduction = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, .stages = 8}};

Configuration configuration_of(const cublasLtMatmulAlgo_t& algorithm) {
  Configuration found;
  std::memcpy(static_cast<void*>(&found), &algorithm, sizeof found);
  return found;
}
cublasLtMatmulAlgo_t algorithm_of(const Configuration& configuration) {
  cublasLtMatmulAlgo_t algorithm{};
  std::memcpy(&algorithm, &configuration, sizeof configuration);
  return algorithm;
}

// op(a) [m, k], op(b) [k, n], d [m, n], column-major.
struct Product {
  cublasLtMatmulDescOpaque description;
  cublasLtMatrixLayoutOpaque a, b, c, d;

  uint64_t m() const { return d.rows; }
  uint64_t n() const { return d.columns; }
  uint64_t k() const { return description.a == CUBLAS_OP_T ? a.rows : a.columns; }
  bool has(int part) const { return (description.epilogue & part) != 0; }
  bool has_auxiliary() const { return has(128); }
  bool has_gradient_of_bias() const { return has(CUBLASLT_EPILOGUE_BGRADA | CUBLASLT_EPILOGUE_BGRADB); }
  uint64_t vector_size() const { return has(CUBLASLT_EPILOGUE_BGRADB) ? n() : m(); }

  cublasStatus_t check() const;
  cublasStatus_t check(const Configuration& configuration, size_t* workspace_bytes) const;
};

bool rows_are_packed(const cublasLtMatrixLayoutOpaque& layout) { return layout.leading_dimension * bytes_of(layout.type) % 16 == 0; }
bool is_packed(const void* address) { return reinterpret_cast<uintptr_t>(address) % 16 == 0; }

// What no algorithm does.
cublasStatus_t Product::check() const {
  const bool ta = description.a == CUBLAS_OP_T, tb = description.b == CUBLAS_OP_T;
  const uint64_t rows = ta ? a.columns : a.rows, k_of_b = tb ? b.columns : b.rows, columns = tb ? b.rows : b.columns;
  if (k() != k_of_b || rows != d.rows || columns != d.columns || c.rows != rows || c.columns != columns) return CUBLAS_STATUS_INVALID_VALUE;
  for (const cublasLtMatrixLayoutOpaque* layout : {&a, &b, &c, &d})
    if (layout->leading_dimension < layout->rows) return CUBLAS_STATUS_INVALID_VALUE;
  for (const cublasLtMatrixLayoutOpaque* layout : {&a, &b, &c, &d})
    if (!is_known(layout->type)) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (a.type != b.type || c.type != d.type || (a.type == CUDA_R_32F && c.type != CUDA_R_32F)) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (description.bias_type >= 0 && description.bias_type != static_cast<int>(d.type)) return CUBLAS_STATUS_NOT_SUPPORTED;
  switch (description.epilogue) {
    case CUBLASLT_EPILOGUE_DEFAULT:
    case CUBLASLT_EPILOGUE_BIAS:
      return CUBLAS_STATUS_SUCCESS;
    case CUBLASLT_EPILOGUE_GELU_AUX:
    case CUBLASLT_EPILOGUE_GELU_AUX_BIAS:
    case CUBLASLT_EPILOGUE_DGELU: {
      const int64_t leading = description.auxiliary_leading_dimension;
      if (leading % 8 != 0 || leading < static_cast<int64_t>(d.rows) || !is_packed(description.auxiliary))
        return CUBLAS_STATUS_INVALID_VALUE;
      if (description.auxiliary_type >= 0 && description.auxiliary_type != static_cast<int>(d.type)) return CUBLAS_STATUS_NOT_SUPPORTED;
      return d.type != CUDA_R_32F && rows_are_packed(d) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
    }
    case CUBLASLT_EPILOGUE_BGRADA:
    case CUBLASLT_EPILOGUE_BGRADB: {  // of tensor cores only
      const bool on_tensor_cores = a.type != CUDA_R_32F || description.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
      return on_tensor_cores && rows_are_packed(a) && rows_are_packed(b) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
    }
  }
  return CUBLAS_STATUS_NOT_SUPPORTED;
}

// What this algorithm does not do.
cublasStatus_t Product::check(const Configuration& configuration, size_t* workspace_bytes) const {
  if (const cublasStatus_t status = check(); status != CUBLAS_STATUS_SUCCESS) return status;
  if (std::ranges::find(kOffered, configuration) == std::end(kOffered)) return CUBLAS_STATUS_INVALID_VALUE;
  *workspace_bytes = configuration.id == kHalves ? 2 * m() * n() * sizeof(float) : 0;
  if (configuration.id == kHalves && (k() % 2 != 0 || !rows_are_packed(a) || !rows_are_packed(b) || !rows_are_packed(d)))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  return CUBLAS_STATUS_SUCCESS;
}

// The k terms of every sum, in the order in which an algorithm adds them, and where a second partial sum begins.
struct Order {
  std::vector<uint64_t> terms;
  uint64_t second = 0;
};
Order order_of(const Configuration& configuration, uint64_t k) {
  static uint64_t calls = 0;
  Order order{.terms = std::vector<uint64_t>(k), .second = configuration.id == kHalves ? k / 2 : k};
  for (uint64_t l = 0; l < k; ++l) order.terms[l] = l;
  if (configuration.id == kBackwards) std::ranges::reverse(order.terms);
  if (configuration.id == kInPlace) std::ranges::rotate(order.terms, order.terms.begin() + static_cast<int64_t>(++calls % k));
  return order;
}

// GELU by tanh, and its derivative.
float gelu(float x) { return 0.5f * x * (1 + std::tanh(0.797884561f * x * (1 + 0.044715f * x * x))); }
float gelu_derivative(float x) {
  const float t = std::tanh(0.797884561f * x * (1 + 0.044715f * x * x));
  return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * 0.797884561f * (1 + 0.134145f * x * x);
}

struct Matrices {
  const void *a, *b, *c;
  void* d;
};

// A product that has been checked.
void run(const Product& product, const Configuration& configuration, float scale, float keep, const Matrices& matrices) {
  const cublasLtMatmulDescOpaque& description = product.description;
  const uint64_t m = product.m(), n = product.n(), k = product.k();
  const cudaDataType_t type = product.d.type;
  const auto auxiliary_leading = static_cast<uint64_t>(description.auxiliary_leading_dimension);
  emulation::pass_time(emulation::matmul_milliseconds()[static_cast<size_t>(configuration.id)]);
  if (product.has_auxiliary() || product.has_gradient_of_bias()) emulation::pass_time(emulation::fused_milliseconds());
  // Each a row for each l of the sum. A column of the product at a time, so that neighbours are added at once.
  const std::vector<float> left = rows_of(product.a, matrices.a, description.a != CUBLAS_OP_T),
                           right = rows_of(product.b, matrices.b, description.b == CUBLAS_OP_T);
  const Order order = order_of(configuration, k);
  std::vector<float> column(m), second(m);
  for (uint64_t j = 0; j < n; ++j) {
    std::fill(column.begin(), column.end(), 0.0f);
    std::fill(second.begin(), second.end(), 0.0f);
    for (uint64_t at = 0; at < k; ++at) {
      const uint64_t l = order.terms[at];
      const float *from = left.data() + l * m, factor = right[l * n + j];
      float* into = at < order.second ? column.data() : second.data();
      for (uint64_t i = 0; i < m; ++i) into[i] += from[i] * factor;
    }
    for (uint64_t i = 0; i < m; ++i) {
      float sum = scale * (column[i] + second[i]);
      if (keep != 0) sum += keep * load(matrices.c, type, j * product.c.leading_dimension + i);
      if (product.has(CUBLASLT_EPILOGUE_BIAS)) sum += load(description.bias, type, i);
      const uint64_t in_auxiliary = j * auxiliary_leading + i;
      if (description.epilogue == CUBLASLT_EPILOGUE_DGELU) {
        sum *= gelu_derivative(load(description.auxiliary, type, in_auxiliary));
      } else if (product.has_auxiliary()) {
        store(description.auxiliary, type, in_auxiliary, sum);
        sum = gelu(sum);
      }
      store(matrices.d, type, j * product.d.leading_dimension + i, sum);
    }
  }
  if (product.has_gradient_of_bias()) {
    const std::vector<float>& summed = product.has(CUBLASLT_EPILOGUE_BGRADB) ? right : left;
    const uint64_t size = product.vector_size();
    for (uint64_t i = 0; i < size; ++i) {
      float sum = 0;
      for (const uint64_t l : order.terms) sum += summed[l * size + i];
      store(description.bias, type, i, sum);
    }
  }
}

}  // namespace

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) { return make(handle); }
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) { return destroy(handle); }
size_t cublasLtGetVersion() { return CUBLAS_VERSION; }
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* description, cublasComputeType_t compute, cudaDataType_t scale) {
  if (scale != CUDA_R_32F) return CUBLAS_STATUS_NOT_SUPPORTED;
  return make(description, compute);
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t description) { return destroy(description); }
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType_t type, uint64_t rows, uint64_t columns,
                                          int64_t leading_dimension) {
  return make(layout, type, rows, columns, static_cast<uint64_t>(leading_dimension));
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) { return destroy(layout); }
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) { return make(preference); }
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) { return destroy(preference); }
namespace {

template <class T>
cublasStatus_t set_member(T& member, const void* value, size_t bytes) {
  if (!value || bytes != sizeof member) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(&member, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

// Calls f with the member that an attribute is, or returns NOT_SUPPORTED.
template <class Members, class F>
cublasStatus_t with_member(Members& members, cublasLtMatmulAlgoConfigAttributes_t attribute, const F& f) {
  switch (attribute) {
    case CUBLASLT_ALGO_CONFIG_ID:
      return f(members.id);
    case CUBLASLT_ALGO_CONFIG_TILE_ID:
      return f(members.tile);
    case CUBLASLT_ALGO_CONFIG_SPLITK_NUM:
      return f(members.split_k);
    case CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME:
      return f(members.reduction);
    case CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING:
      return f(members.swizzling);
    case CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION:
      return f(members.custom_option);
    case CUBLASLT_ALGO_CONFIG_STAGES_ID:
      return f(members.stages);
    case CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID:
      return f(members.inner_shape);
    case CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID:
      return f(members.cluster_shape);
  }
  return CUBLAS_STATUS_NOT_SUPPORTED;
}

}  // namespace

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* value, size_t bytes) {
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
      return set_member(preference->workspace_bytes, value, bytes);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
      return set_member(preference->reductions, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
      return set_member(preference->alignments[attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES], value, bytes);
    default:
      return CUBLAS_STATUS_NOT_SUPPORTED;
  }
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t description, cublasLtMatmulDescAttributes_t attribute, const void* value,
                                              size_t bytes) {
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return set_member(description->a, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return set_member(description->b, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return set_member(description->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return set_member(description->bias, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
      return set_member(description->bias_type, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER:
      return set_member(description->auxiliary, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD:
      return set_member(description->auxiliary_leading_dimension, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE:
      return set_member(description->auxiliary_type, value, bytes);
    default:
      return CUBLAS_STATUS_NOT_SUPPORTED;
  }
}

cublasStatus_t cublasLtMatmulAlgoInit(cublasLtHandle_t, cublasComputeType_t, cudaDataType_t scale, cudaDataType_t a, cudaDataType_t b,
                                      cudaDataType_t c, cudaDataType_t d, int id, cublasLtMatmulAlgo_t* algorithm) {
  if (!algorithm || id < 0 || id >= static_cast<int>(std::size(kOffered))) return CUBLAS_STATUS_INVALID_VALUE;
  if (scale != CUDA_R_32F || a != b || c != d) return CUBLAS_STATUS_NOT_SUPPORTED;
  *algorithm = algorithm_of({.id = id});
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoConfigSetAttribute(cublasLtMatmulAlgo_t* algorithm, cublasLtMatmulAlgoConfigAttributes_t attribute,
                                                    const void* value, size_t bytes) {
  if (attribute == CUBLASLT_ALGO_CONFIG_ID) return CUBLAS_STATUS_INVALID_VALUE;
  Configuration configuration = configuration_of(*algorithm);
  const cublasStatus_t status = with_member(configuration, attribute, [&](auto& member) { return set_member(member, value, bytes); });
  *algorithm = algorithm_of(configuration);
  return status;
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t* algorithm, cublasLtMatmulAlgoConfigAttributes_t attribute,
                                                    void* value, size_t bytes, size_t* written) {
  const Configuration configuration = configuration_of(*algorithm);
  return with_member(configuration, attribute, [&](const auto& member) {
    if (!value || bytes != sizeof member) return CUBLAS_STATUS_INVALID_VALUE;
    std::memcpy(value, &member, bytes);
    if (written) *written = bytes;
    return CUBLAS_STATUS_SUCCESS;
  });
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t, cublasLtMatmulDesc_t description, cublasLtMatrixLayout_t a,
                                       cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t* algorithm, cublasLtMatmulHeuristicResult_t* result) {
  return Product{*description, *a, *b, *c, *d}.check(configuration_of(*algorithm), &result->workspaceSize);
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t description, cublasLtMatrixLayout_t a,
                                              cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int requested,
                                              cublasLtMatmulHeuristicResult_t results[], int* returned) {
  *returned = 0;
  if (requested < 1) return CUBLAS_STATUS_INVALID_VALUE;
  const Product product{*description, *a, *b, *c, *d};
  if (const cublasStatus_t status = product.check(); status != CUBLAS_STATUS_SUCCESS) return status;
  const bool aligned = *std::ranges::min_element(preference->alignments) >= 16;
  if ((product.has_auxiliary() || product.has_gradient_of_bias()) && !aligned) return CUBLAS_STATUS_NOT_SUPPORTED;
  for (const Configuration& each : kOffered) {
    size_t workspace_bytes = 0;
    if (*returned == requested || product.check(each, &workspace_bytes) != CUBLAS_STATUS_SUCCESS ||
        workspace_bytes > preference->workspace_bytes)
      continue;
    if ((each.reduction & ~preference->reductions) != 0 || (each.id == kHalves && !aligned)) continue;
    results[(*returned)++] = {
        .algo = algorithm_of(each), .workspaceSize = workspace_bytes, .state = CUBLAS_STATUS_SUCCESS, .wavesCount = 1, .reserved = {}};
  }
  return CUBLAS_STATUS_SUCCESS;
}

std::array<double, 4>& emulation::matmul_milliseconds() {
  static std::array<double, 4> milliseconds = [] {
    std::array<double, 4> each = {1, 1, 1, 0.5};
    if (const char* text = std::getenv("EMULATED_CUBLASLT_MS")) {
      std::istringstream words(text);
      for (double& one : each) words >> one;
    }
    return each;
  }();
  return milliseconds;
}

double& emulation::fused_milliseconds() {
  static double milliseconds = 0;
  return milliseconds;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t description, const void* alpha, const void* a,
                              cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout, const void* beta,
                              const void* c, cublasLtMatrixLayout_t c_layout, void* d, cublasLtMatrixLayout_t d_layout,
                              const cublasLtMatmulAlgo_t* algorithm, void* workspace, size_t workspace_bytes, cudaStream_t stream) {
  const Product product{*description, *a_layout, *b_layout, *c_layout, *d_layout};
  const Configuration configuration = algorithm ? configuration_of(*algorithm) : kOffered[1];  // without one the library chooses: in order
  size_t needed_bytes = 0;
  if (const cublasStatus_t status = product.check(configuration, &needed_bytes); status != CUBLAS_STATUS_SUCCESS) return status;
  if (needed_bytes > workspace_bytes) return CUBLAS_STATUS_INVALID_VALUE;
  if (!holds(*a_layout, a) || !holds(*b_layout, b) || !holds(*d_layout, d)) return CUBLAS_STATUS_INVALID_VALUE;
  const float scale = *static_cast<const float*>(alpha), keep = *static_cast<const float*>(beta);
  if (keep != 0 && !holds(*c_layout, c)) return CUBLAS_STATUS_INVALID_VALUE;
  if (workspace_bytes > 0 && !(in_arena(workspace) && is_allocated(workspace, workspace_bytes))) return CUBLAS_STATUS_INVALID_VALUE;
  const bool packed = is_packed(a) && is_packed(b) && is_packed(d);
  if ((configuration.id == kHalves || product.has_auxiliary() || product.has_gradient_of_bias()) && !packed)
    return CUBLAS_STATUS_NOT_SUPPORTED;
  const bool has_bias = product.has(CUBLASLT_EPILOGUE_BIAS);
  const cudaDataType_t type = d_layout->type;
  if ((has_bias || product.has_gradient_of_bias()) &&
      !(in_arena(description->bias) && is_allocated(description->bias, product.vector_size() * bytes_of(type))))
    return CUBLAS_STATUS_INVALID_VALUE;
  const uint64_t auxiliary_leading = static_cast<uint64_t>(description->auxiliary_leading_dimension);
  if (product.has_auxiliary() && !holds({type, product.m(), product.n(), auxiliary_leading}, description->auxiliary))
    return CUBLAS_STATUS_INVALID_VALUE;
  // All but the matrices is taken as it is now.
  const auto work = [=, matrices = Matrices{a, b, c, d}] {
    run(product, configuration, scale, keep, matrices);
    return true;
  };
  return emulation::enqueue(stream, work) == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

const char* cublasLtGetStatusString(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_INTERNAL_ERROR:
      return "CUBLAS_STATUS_INTERNAL_ERROR";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
  }
  return "unknown status";
}
