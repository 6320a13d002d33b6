#include "ops/cuda/cudnn_attention.h"

#include <cudnn_frontend.h>

#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <unordered_map>

#include "mpibert/base/error.h"
#include "ops/cuda/ragged_layout.h"

namespace mpibert::cuda {
namespace {

namespace fe = cudnn_frontend;
using Attributes = fe::graph::Tensor_attributes;
using Node = std::shared_ptr<Attributes>;

void check(cudnnStatus_t status, const char* call) {
  if (status != CUDNN_STATUS_SUCCESS) throw Error(ErrorKind::kDevice, str_cat("cuDNN: ", cudnnGetErrorString(status), " in ", call));
}
void check(fe::error_t error, const char* call) {
  if (error.is_bad()) throw Error(ErrorKind::kDevice, str_cat("cuDNN: ", error.get_message(), " in ", call));
}
#define MPIBERT_CUDNN_CHECK(call) check((call), #call)

// What a plan depends on.
struct Kind {
  bool backward;
  DType dtype;
  int64_t heads, head_size, sequences, length;
  auto operator<=>(const Kind&) const = default;
};

// Names of the tensors in the graph.
enum Uid : int64_t {
  kQuery = 1,
  kKey,
  kValue,
  kContext,
  kStats,
  kGradient,
  kDQuery,
  kDKey,
  kDValue,
  kQkvOffsets,
  kContextOffsets,
  kStatsOffsets,
  kLengths
};

struct Plan {
  explicit Plan(const Kind& kind);
  void add_forward(const Kind& kind);
  void add_backward(const Kind& kind);
  Node input(const Kind& kind, Uid uid, const char* name, int64_t token_stride, const Node& offsets);
  void output(const Node& node, const Kind& kind, Uid uid, int64_t token_stride, const Node& offsets);
  Node index(Uid uid, const char* name, int64_t n);

  fe::graph::Graph graph;
  Node query, key, value, qkv_offsets, context_offsets, stats_offsets, lengths;
  int64_t qkv_stride, context_stride;  // from token to token
};

Plan::Plan(const Kind& kind) : qkv_stride(3 * kind.heads * kind.head_size), context_stride(kind.heads * kind.head_size) {
  graph.set_io_data_type(kind.dtype == DType::kBFloat16 ? fe::DataType_t::BFLOAT16 : fe::DataType_t::HALF)
      .set_intermediate_data_type(fe::DataType_t::FLOAT)
      .set_compute_data_type(fe::DataType_t::FLOAT);
  qkv_offsets = index(kQkvOffsets, "qkv_offsets", kind.sequences + 1);
  context_offsets = index(kContextOffsets, "context_offsets", kind.sequences + 1);
  stats_offsets = index(kStatsOffsets, "stats_offsets", kind.sequences + 1);
  lengths = index(kLengths, "lengths", kind.sequences);
  query = input(kind, kQuery, "query", qkv_stride, qkv_offsets);
  key = input(kind, kKey, "key", qkv_stride, qkv_offsets);
  value = input(kind, kValue, "value", qkv_stride, qkv_offsets);
  if (kind.backward) {
    add_backward(kind);
  } else {
    add_forward(kind);
  }
}

Node Plan::index(Uid uid, const char* name, int64_t n) {
  return graph.tensor(
      Attributes().set_name(name).set_uid(uid).set_dim({n, 1, 1, 1}).set_stride({1, 1, 1, 1}).set_data_type(fe::DataType_t::INT32));
}

Node Plan::input(const Kind& kind, Uid uid, const char* name, int64_t token_stride, const Node& offsets) {
  return graph.tensor(Attributes()
                          .set_name(name)
                          .set_uid(uid)
                          .set_dim({kind.sequences, kind.heads, kind.length, kind.head_size})
                          .set_stride({kind.length * token_stride, kind.head_size, token_stride, 1})
                          .set_ragged_offset(offsets));
}

void Plan::output(const Node& node, const Kind& kind, Uid uid, int64_t token_stride, const Node& offsets) {
  node->set_output(true)
      .set_uid(uid)
      .set_dim({kind.sequences, kind.heads, kind.length, kind.head_size})
      .set_stride({kind.length * token_stride, kind.head_size, token_stride, 1})
      .set_ragged_offset(offsets);
}

void Plan::add_forward(const Kind& kind) {
  auto options = fe::graph::SDPA_attributes()
                     .set_name("attention")
                     .set_generate_stats(true)
                     .set_attn_scale(1 / std::sqrt(static_cast<float>(kind.head_size)))
                     .set_padding_mask(true)
                     .set_seq_len_q(lengths)
                     .set_seq_len_kv(lengths);
  const auto [context, stats] = graph.sdpa(query, key, value, options);
  output(context, kind, kContext, context_stride, context_offsets);
  stats->set_output(true)
      .set_uid(kStats)
      .set_data_type(fe::DataType_t::FLOAT)
      .set_dim({kind.sequences, kind.heads, kind.length, 1})
      .set_stride({kind.length * kind.heads, 1, kind.heads, 1})
      .set_ragged_offset(stats_offsets);
}

void Plan::add_backward(const Kind& kind) {
  const Node context = input(kind, kContext, "context", context_stride, context_offsets);
  const Node gradient = input(kind, kGradient, "gradient", context_stride, context_offsets);
  const Node stats = graph.tensor(Attributes()
                                      .set_name("stats")
                                      .set_uid(kStats)
                                      .set_data_type(fe::DataType_t::FLOAT)
                                      .set_dim({kind.sequences, kind.heads, kind.length, 1})
                                      .set_stride({kind.length * kind.heads, 1, kind.heads, 1})
                                      .set_ragged_offset(stats_offsets));
  auto options = fe::graph::SDPA_backward_attributes()
                     .set_name("attention_backward")
                     .set_attn_scale(1 / std::sqrt(static_cast<float>(kind.head_size)))
                     .set_padding_mask(true)
                     .set_seq_len_q(lengths)
                     .set_seq_len_kv(lengths)
                     .set_deterministic_algorithm(true);
  const auto [d_query, d_key, d_value] = graph.sdpa_backward(query, key, value, context, gradient, stats, options);
  output(d_query, kind, kDQuery, qkv_stride, qkv_offsets);
  output(d_key, kind, kDKey, qkv_stride, qkv_offsets);
  output(d_value, kind, kDValue, qkv_stride, qkv_offsets);
}

class Cudnn final : public CudnnAttention {
 public:
  explicit Cudnn(const Context& context) : context_(context), layout_(context.stream), workspace_(context.stream) {
    int index = 0, major = 0;
    MPIBERT_CUDA_CHECK(cudaGetDevice(&index));
    MPIBERT_CUDA_CHECK(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, index));
    MPIBERT_CHECK(major >= 9, kDevice, "attention by cuDNN: expected a card of compute capability 9.0 or later, found ", major,
                  ".x; take --attention native");
    MPIBERT_CUDNN_CHECK(cudnnCreate(&handle_));
    MPIBERT_CUDNN_CHECK(cudnnSetStream(handle_, context.stream));
  }
  ~Cudnn() override { cudnnDestroy(handle_); }
  Cudnn(const Cudnn&) = delete;
  Cudnn& operator=(const Cudnn&) = delete;

  bool serves(const Tensor& qkv, const Dropout& dropout) const override {
    const int64_t head_size = qkv.shape()[3];
    return qkv.dtype() != DType::kFloat32 && head_size % 8 == 0 && head_size <= 128 && dropout.rate == 0;
  }

  void forward(const AttentionForward& op) override {
    run(kind_of(op, false), op, {{kContext, op.context.data()}, {kStats, op.saved.data()}});
  }

  void backward(const AttentionBackward& op) override {
    run(kind_of(op, true), op,
        {{kContext, op.context.data()},
         {kStats, op.saved.data()},
         {kGradient, op.gradient.data()},
         {kDQuery, part(op.d_qkv, 0)},
         {kDKey, part(op.d_qkv, 1)},
         {kDValue, part(op.d_qkv, 2)}});
  }

 private:
  using Pointers = std::unordered_map<int64_t, void*>;

  template <class Op>
  static Kind kind_of(const Op& op, bool backward) {
    const Shape& shape = op.qkv.shape();
    return {.backward = backward,
            .dtype = op.qkv.dtype(),
            .heads = shape[2],
            .head_size = shape[3],
            .sequences = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(op.cu_seqlens.size() - 1))),
            .length = (op.max_seq_length + 63) / 64 * 64};
  }

  // Where the queries (0), keys (1) or values (2) of the first token begin.
  static void* part(const Tensor& qkv, int number) {
    const Shape& shape = qkv.shape();
    return static_cast<std::byte*>(qkv.data()) + static_cast<size_t>(number * shape[2] * shape[3]) * bytes_of(qkv.dtype());
  }

  const std::unique_ptr<Plan>& plan_of(const Kind& kind) {
    std::unique_ptr<Plan>& plan = plans_[kind];
    if (plan) return plan;
    auto made = std::make_unique<Plan>(kind);
    MPIBERT_CUDNN_CHECK(made->graph.build(handle_, {fe::HeurMode_t::A}));
    return plan = std::move(made);
  }

  template <class Op>
  void run(const Kind& kind, const Op& op, Pointers pointers) {
    MPIBERT_CHECK(op.qkv.size() <= std::numeric_limits<int32_t>::max(), kInvalidArgument,
                  "attention by cuDNN: expected at most 2^31 - 1 numbers of qkv, found ", op.qkv.size(),
                  "; lower --micro-tokens or take --attention native");
    const std::unique_ptr<Plan>& plan = plan_of(kind);
    const RaggedLayout layout = ragged_layout(op.cu_seqlens, kind.heads, kind.head_size, kind.sequences,
                                              layout_.get<int32_t>(ragged_layout_size(kind.sequences)), context_);
    pointers.insert({{kQuery, part(op.qkv, 0)}, {kKey, part(op.qkv, 1)}, {kValue, part(op.qkv, 2)}});
    pointers.insert(
        {{kQkvOffsets, layout.qkv}, {kContextOffsets, layout.context}, {kStatsOffsets, layout.stats}, {kLengths, layout.lengths}});
    int64_t bytes = 0;
    MPIBERT_CUDNN_CHECK(plan->graph.get_workspace_size(bytes));
    MPIBERT_CUDNN_CHECK(plan->graph.execute(handle_, pointers, workspace_.get<std::byte>(bytes)));
  }

  const Context& context_;
  Workspace layout_, workspace_;
  cudnnHandle_t handle_ = nullptr;
  std::map<Kind, std::unique_ptr<Plan>> plans_;
};

}  // namespace

std::unique_ptr<CudnnAttention> make_cudnn_attention(const Context& context) { return std::make_unique<Cudnn>(context); }

std::string cudnn_version() {
  const size_t version = cudnnGetVersion();
  return str_cat(version / 10000, ".", version / 100 % 100, ".", version % 100);
}

}  // namespace mpibert::cuda
