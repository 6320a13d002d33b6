// Shapes, element types and devices of every operation, once for all backends: the public half of Backend.

#include "ops/check.h"

#include <string>
#include <string_view>

#include "mpibert/base/error.h"

namespace mpibert {
namespace {

std::string text_of(Device device) { return device.type == DeviceType::kCpu ? "cpu" : str_cat("cuda:", device.index); }

std::string text_of(const Tensor& t) {
  return t ? str_cat(t.shape().text(), " ", name_of(t.dtype()), " on ", text_of(t.device())) : std::string("left out");
}

// The rules of one call. Every message names the operation and the operand, and says what was expected and what was found.
class Rules {
 public:
  Rules(std::string_view operation, Device device) : operation_(operation), device_(device) {}

  // The operand that the others are compared with: fp32, bf16 or, on a card, fp16, of `rank` dimensions (kAnyRank: any).
  static constexpr int kAnyRank = -1;
  void leads(std::string_view name, const Tensor& t, int rank) const {
    const bool on_cpu = device_.type == DeviceType::kCpu;
    const bool right = t && t.device() == device_ && is_float(t.dtype()) && !(on_cpu && t.dtype() == DType::kFloat16) &&
                       (rank == kAnyRank || t.shape().rank() == rank);
    MPIBERT_CHECK(right, kInvalidArgument, operation_, ": ", name, ": expected ", on_cpu ? "fp32 or bf16" : "fp32, bf16 or fp16", dimensions(rank), " on ", text_of(device_),
                  ", found ", text_of(t));
  }

  void has(std::string_view name, const Tensor& t, DType dtype, const Shape& shape) const {
    const bool right = t && t.device() == device_ && t.dtype() == dtype && t.shape() == shape;
    MPIBERT_CHECK(right, kInvalidArgument, operation_, ": ", name, ": expected ", shape.text(), " ", name_of(dtype), " on ", text_of(device_),
                  ", found ", text_of(t));
  }

  void may_have(std::string_view name, const Tensor& t, DType dtype, const Shape& shape) const {
    if (t) has(name, t, dtype, shape);
  }

  // An operand of one type whose number of rows is its own: [rows, ...rest of shape].
  void has_rows(std::string_view name, const Tensor& t, DType dtype, const Shape& shape) const {
    const bool ranked = t && t.shape().rank() == shape.rank();
    has(name, t, dtype, ranked ? shape.with_rows(t.shape()[0]) : shape);
  }

  template <class... Parts>
  void that(bool holds, const Parts&... parts) const {
    MPIBERT_CHECK(holds, kInvalidArgument, operation_, ": ", parts...);
  }

  void state(const Tensor& t) const { has("state", t, DType::kUInt8, {kStepStateBytes}); }

  void dropout(const Dropout& d, int64_t rows) const {
    that(d.rate >= 0 && d.rate < 1, "dropout.rate: expected 0 <= rate < 1, found ", d.rate);
    if (d.rate == 0) return;
    that(d.site < 0x80000000u, "dropout.site: expected less than 2^31, found ", d.site);
    has("dropout.state", d.state, DType::kUInt8, {kStepStateBytes});
    has("dropout.token_keys", d.token_keys, DType::kInt32, {rows});
  }

  void activation(Activation a) const { that(a <= Activation::kTanh, "activation: expected one of Activation, found ", static_cast<int>(a)); }

  void epsilon(float e) const { that(e >= 0, "epsilon: expected 0 or more, found ", e); }

  // The member of StepState::loss_weights that a loss uses.
  void term(int t) const {
    constexpr int kTerms = static_cast<int>(std::tuple_size_v<decltype(StepState::loss_weights)>);
    that(t >= 0 && t < kTerms, "term: expected 0 to ", kTerms - 1, ", found ", t);
  }

  void moments(double beta1, double beta2, float eps, float weight_decay) const {
    that(beta1 >= 0 && beta1 < 1, "beta1: expected 0 <= beta1 < 1, found ", beta1);
    that(beta2 >= 0 && beta2 < 1, "beta2: expected 0 <= beta2 < 1, found ", beta2);
    epsilon(eps);
    that(weight_decay >= 0, "weight_decay: expected 0 or more, found ", weight_decay);
  }

  // Ranges of one step are updated together.
  template <class Op>
  void of_one_step(const Op& op, const Op& first, bool alike) const {
    that(alike && op.state.data() == first.state.data(), "ranges: expected tensors and weight decay to be all that differs between the ranges of a step");
  }

 private:
  static std::string dimensions(int rank) { return rank == kAnyRank ? "" : str_cat(" of ", rank, rank == 1 ? " dimension" : " dimensions"); }

  std::string_view operation_;
  Device device_;
};

// Whether two values have one type, and are either both their masters or both not.
bool alike(const Tensor& value, const Tensor& master, const Tensor& other_value, const Tensor& other_master) {
  return value.dtype() == other_value.dtype() && (value.data() == master.data()) == (other_value.data() == other_master.data());
}

Shape columns_of(const Tensor& t) { return {t.shape()[-1]}; }
Shape rows_of(const Tensor& t) { return {t.shape()[0]}; }

}  // namespace

void check_on_device(const char* operation, const Tensor& t, Device device) {
  MPIBERT_CHECK(t && t.device() == device, kInvalidArgument, operation, ": expected a tensor on ", text_of(device), ", found ", text_of(t));
}

void check_transfer(const char* operation, const Tensor& from, Device from_device, const Tensor& to, Device to_device) {
  check_on_device(operation, from, from_device);
  check_on_device(operation, to, to_device);
  MPIBERT_CHECK(from.dtype() == to.dtype() && from.size() == to.size(), kInvalidArgument, operation, ": expected as many numbers of one type, found ",
                text_of(from), " and ", text_of(to));
}

void Backend::matmul(const Matmul& op) {
  const Rules rules("matmul", device());
  rules.leads("a", op.a, 2);
  const DType compute = op.a.dtype();
  rules.leads("b", op.b, 2);
  const int64_t m = op.a.shape()[op.transpose_a ? 1 : 0], k = op.a.shape()[op.transpose_a ? 0 : 1], n = op.b.shape()[op.transpose_b ? 0 : 1];
  rules.has("b", op.b, compute, op.transpose_b ? Shape{n, k} : Shape{k, n});
  rules.may_have("bias", op.bias, compute, {n});
  rules.leads("c", op.c, 2);
  rules.has("c", op.c, op.c.dtype() == DType::kFloat32 ? DType::kFloat32 : compute, {m, n});
  rules.activation(op.activation);
  rules.may_have("derivative_at", op.derivative_at, compute, {m, n});
  rules.may_have("activated", op.activated, compute, {m, n});
  rules.that(!(op.derivative_at && op.activated), "expected at most one of derivative_at and activated, found both");
  rules.may_have("row_sums", op.row_sums, DType::kFloat32, {m});
  rules.that(!op.row_sums || op.transpose_a, "row_sums: expected transpose_a, found a that is not transposed");
  const bool uses = op.derivative_at || op.activated;
  rules.that(uses || op.activation == Activation::kNone, "activation: expected kNone without derivative_at and activated, found ",
             static_cast<int>(op.activation));
  do_matmul(op);
}

void Backend::activation_backward(const ActivationBackward& op) {
  const Rules rules("activation_backward", device());
  rules.leads("gradient", op.gradient, Rules::kAnyRank);
  rules.has("input", op.input, op.gradient.dtype(), op.gradient.shape());
  rules.activation(op.activation);
  rules.has("d_input", op.d_input, op.gradient.dtype(), op.gradient.shape());
  do_activation_backward(op);
}

void Backend::embedding_forward(const EmbeddingForward& op) {
  const Rules rules("embedding_forward", device());
  rules.leads("output", op.output, 2);
  const DType compute = op.output.dtype();
  const Shape tokens = rows_of(op.output), hidden = columns_of(op.output);
  rules.has("input_ids", op.input_ids, DType::kInt32, tokens);
  rules.has("token_type_ids", op.token_type_ids, DType::kInt32, tokens);
  rules.has("position_ids", op.position_ids, DType::kInt32, tokens);
  rules.has_rows("word", op.word, compute, op.output.shape());
  rules.has_rows("position", op.position, compute, op.output.shape());
  rules.has_rows("token_type", op.token_type, compute, op.output.shape());
  rules.has("weight", op.weight, compute, hidden);
  rules.has("bias", op.bias, compute, hidden);
  rules.epsilon(op.epsilon);
  rules.dropout(op.dropout, tokens[0]);
  rules.has("sum", op.sum, compute, op.output.shape());
  rules.has("mean", op.mean, DType::kFloat32, tokens);
  rules.has("rstd", op.rstd, DType::kFloat32, tokens);
  do_embedding_forward(op);
}

void Backend::embedding_backward(const EmbeddingBackward& op) {
  const Rules rules("embedding_backward", device());
  rules.leads("gradient", op.gradient, 2);
  const DType compute = op.gradient.dtype();
  const Shape tokens = rows_of(op.gradient), hidden = columns_of(op.gradient);
  rules.has("sum", op.sum, compute, op.gradient.shape());
  rules.has("mean", op.mean, DType::kFloat32, tokens);
  rules.has("rstd", op.rstd, DType::kFloat32, tokens);
  rules.has("input_ids", op.input_ids, DType::kInt32, tokens);
  rules.has("token_type_ids", op.token_type_ids, DType::kInt32, tokens);
  rules.has("position_ids", op.position_ids, DType::kInt32, tokens);
  rules.has("weight", op.weight, compute, hidden);
  rules.dropout(op.dropout, tokens[0]);
  rules.has("scratch", op.scratch, compute, op.gradient.shape());
  rules.has_rows("d_word", op.d_word, DType::kFloat32, op.gradient.shape());
  rules.has_rows("d_position", op.d_position, DType::kFloat32, op.gradient.shape());
  rules.has_rows("d_token_type", op.d_token_type, DType::kFloat32, op.gradient.shape());
  rules.has("d_weight", op.d_weight, DType::kFloat32, hidden);
  rules.has("d_bias", op.d_bias, DType::kFloat32, hidden);
  do_embedding_backward(op);
}

void Backend::layer_norm_forward(const LayerNormForward& op) {
  const Rules rules("layer_norm_forward", device());
  rules.leads("input", op.input, 2);
  const DType compute = op.input.dtype();
  const Shape tokens = rows_of(op.input), hidden = columns_of(op.input);
  rules.may_have("residual", op.residual, compute, op.input.shape());
  rules.has("weight", op.weight, compute, hidden);
  rules.has("bias", op.bias, compute, hidden);
  rules.epsilon(op.epsilon);
  rules.dropout(op.dropout, tokens[0]);
  if (op.residual || op.dropout.rate > 0) rules.has("sum", op.sum, compute, op.input.shape());
  rules.may_have("sum", op.sum, compute, op.input.shape());
  rules.has("output", op.output, compute, op.input.shape());
  rules.has("mean", op.mean, DType::kFloat32, tokens);
  rules.has("rstd", op.rstd, DType::kFloat32, tokens);
  do_layer_norm_forward(op);
}

void Backend::layer_norm_backward(const LayerNormBackward& op) {
  const Rules rules("layer_norm_backward", device());
  rules.leads("gradient", op.gradient, 2);
  const DType compute = op.gradient.dtype();
  const Shape tokens = rows_of(op.gradient), hidden = columns_of(op.gradient);
  rules.has("sum", op.sum, compute, op.gradient.shape());
  rules.has("mean", op.mean, DType::kFloat32, tokens);
  rules.has("rstd", op.rstd, DType::kFloat32, tokens);
  rules.has("weight", op.weight, compute, hidden);
  rules.dropout(op.dropout, tokens[0]);
  rules.has("d_input", op.d_input, compute, op.gradient.shape());
  rules.may_have("d_residual", op.d_residual, compute, op.gradient.shape());
  rules.that(op.dropout.rate == 0 || op.d_input.data() != op.d_residual.data(),
             "d_residual: expected other memory than d_input with dropout, found the same");
  rules.has("d_weight", op.d_weight, DType::kFloat32, hidden);
  rules.has("d_bias", op.d_bias, DType::kFloat32, hidden);
  do_layer_norm_backward(op);
}

void Backend::attention_forward(const AttentionForward& op) {
  const Rules rules("attention_forward", device());
  rules.leads("context", op.context, 3);
  const Shape& context = op.context.shape();
  const int64_t tokens = context[0], heads = context[1], head_size = context[2];
  rules.has("qkv", op.qkv, op.context.dtype(), {tokens, 3, heads, head_size});
  rules.has_rows("cu_seqlens", op.cu_seqlens, DType::kInt32, {2});
  rules.that(op.cu_seqlens.size() > 0, "cu_seqlens: expected at least one number, found none");
  rules.that(op.max_seq_length >= 0 && op.max_seq_length <= 65536, "max_seq_length: expected 0 to 65536, found ", op.max_seq_length);
  rules.dropout(op.dropout, tokens);
  rules.has("saved", op.saved, DType::kUInt8, {static_cast<int64_t>(attention_saved_bytes(tokens, heads, head_size, op.max_seq_length))});
  do_attention_forward(op);
}

void Backend::attention_backward(const AttentionBackward& op) {
  const Rules rules("attention_backward", device());
  rules.leads("gradient", op.gradient, 3);
  const DType compute = op.gradient.dtype();
  const Shape& context = op.gradient.shape();
  const int64_t tokens = context[0], heads = context[1], head_size = context[2];
  const Shape qkv = {tokens, 3, heads, head_size};
  rules.has("qkv", op.qkv, compute, qkv);
  rules.has("context", op.context, compute, context);
  rules.has_rows("cu_seqlens", op.cu_seqlens, DType::kInt32, {2});
  rules.that(op.cu_seqlens.size() > 0, "cu_seqlens: expected at least one number, found none");
  rules.that(op.max_seq_length >= 0 && op.max_seq_length <= 65536, "max_seq_length: expected 0 to 65536, found ", op.max_seq_length);
  rules.dropout(op.dropout, tokens);
  rules.has("saved", op.saved, DType::kUInt8, {static_cast<int64_t>(attention_saved_bytes(tokens, heads, head_size, op.max_seq_length))});
  rules.has("d_qkv", op.d_qkv, compute, qkv);
  do_attention_backward(op);
}

void Backend::dropout(const DropoutApply& op) {
  const Rules rules("dropout", device());
  rules.leads("input", op.input, 2);
  rules.dropout(op.dropout, op.input.shape()[0]);
  rules.has("output", op.output, op.input.dtype(), op.input.shape());
  do_dropout(op);
}

void Backend::gather_rows(const GatherRows& op) {
  const Rules rules("gather_rows", device());
  rules.leads("input", op.input, 2);
  rules.has_rows("output", op.output, op.input.dtype(), op.input.shape());
  rules.has("indices", op.indices, DType::kInt32, rows_of(op.output));
  do_gather_rows(op);
}

void Backend::scatter_rows(const ScatterRows& op) {
  const Rules rules("scatter_rows", device());
  rules.leads("input", op.input, 2);
  rules.has_rows("output", op.output, op.input.dtype(), op.input.shape());
  rules.has("indices", op.indices, DType::kInt32, rows_of(op.input));
  do_scatter_rows(op);
}

void Backend::cross_entropy(const CrossEntropy& op) {
  const Rules rules("cross_entropy", device());
  rules.leads("logits", op.logits, 2);
  rules.that(op.logits.shape()[1] > 0, "logits: expected at least one column, found ", op.logits.shape().text());
  rules.has("labels", op.labels, DType::kInt32, rows_of(op.logits));
  rules.term(op.term);
  if (op.backward) rules.state(op.state);
  rules.has("loss_sum", op.loss_sum, DType::kFloat32, {1});
  rules.has("correct", op.correct, DType::kFloat32, {1});
  do_cross_entropy(op);
}

void Backend::squared_error(const SquaredError& op) {
  const Rules rules("squared_error", device());
  rules.leads("logits", op.logits, 2);
  rules.has_rows("logits", op.logits, op.logits.dtype(), {1, 1});
  rules.has("labels", op.labels, DType::kFloat32, rows_of(op.logits));
  rules.term(op.term);
  if (op.backward) rules.state(op.state);
  rules.has("loss_sum", op.loss_sum, DType::kFloat32, {1});
  do_squared_error(op);
}

void Backend::column_sum(const ColumnSum& op) {
  const Rules rules("column_sum", device());
  rules.leads("input", op.input, 2);
  rules.has("output", op.output, DType::kFloat32, columns_of(op.input));
  do_column_sum(op);
}

void Backend::square_sums(const SquareSums& op) {
  const Rules rules("square_sums", device());
  rules.has_rows("input", op.input, DType::kFloat32, {1});
  rules.has_rows("ranges", op.ranges, DType::kUInt8, {1});
  const auto bytes = static_cast<int64_t>(sizeof(Range));
  rules.that(op.ranges.size() % bytes == 0, "ranges: expected a multiple of ", bytes, " bytes, found ", op.ranges.size());
  rules.has("output", op.output, DType::kFloat64, {op.ranges.size() / bytes});
  do_square_sums(op);
}

void Backend::step_decision(const StepDecision& op) {
  const Rules rules("step_decision", device());
  rules.has_rows("squares", op.squares, DType::kFloat64, {1});
  rules.that(op.rule.max_grad_norm >= 0, "max_grad_norm: expected 0 or more, found ", op.rule.max_grad_norm);
  rules.moments(op.rule.beta1, op.rule.beta2, 0, 0);
  rules.state(op.state);
  do_step_decision(op);
}

void Backend::adam_step(std::span<const AdamStep> ranges) {
  const Rules rules("adam_step", device());
  for (const AdamStep& op : ranges) {
    rules.leads("value", op.value, Rules::kAnyRank);
    const Shape& shape = op.value.shape();
    rules.has("gradient", op.gradient, DType::kFloat32, shape);
    rules.state(op.state);
    rules.that(op.kind <= AdamKind::kAdamWHf, "kind: expected one of AdamKind, found ", static_cast<int>(op.kind));
    rules.moments(op.beta1, op.beta2, op.epsilon, op.weight_decay);
    rules.has("exp_avg", op.exp_avg, DType::kFloat32, shape);
    rules.has("exp_avg_sq", op.exp_avg_sq, DType::kFloat32, shape);
    rules.has("master", op.master, DType::kFloat32, shape);
    const AdamStep& first = ranges.front();
    rules.of_one_step(op, first, op.kind == first.kind && op.beta1 == first.beta1 && op.beta2 == first.beta2 && op.epsilon == first.epsilon && alike(op.value, op.master, first.value, first.master));
  }
  if (!ranges.empty()) do_adam_step(ranges);
}

void Backend::lamb_direction(std::span<const LambDirection> ranges) {
  const Rules rules("lamb_direction", device());
  for (const LambDirection& op : ranges) {
    rules.leads("gradient", op.gradient, Rules::kAnyRank);
    const Shape& shape = op.gradient.shape();
    rules.has("gradient", op.gradient, DType::kFloat32, shape);
    rules.state(op.state);
    rules.moments(op.beta1, op.beta2, op.epsilon, op.weight_decay);
    rules.has("exp_avg", op.exp_avg, DType::kFloat32, shape);
    rules.has("exp_avg_sq", op.exp_avg_sq, DType::kFloat32, shape);
    rules.has("master", op.master, DType::kFloat32, shape);
    const LambDirection& first = ranges.front();
    rules.of_one_step(op, first, op.beta1 == first.beta1 && op.beta2 == first.beta2 && op.epsilon == first.epsilon);
  }
  if (!ranges.empty()) do_lamb_direction(ranges);
}

void Backend::trust_ratios(const TrustRatios& op) {
  const Rules rules("trust_ratios", device());
  rules.has_rows("ratios", op.ratios, DType::kFloat32, {1});
  rules.has_rows("weights", op.weights, DType::kFloat64, {1});
  rules.has("directions", op.directions, DType::kFloat64, op.weights.shape());
  rules.has("first_cells", op.first_cells, DType::kInt64, {op.ratios.size() + 1});
  rules.has("adapts", op.adapts, DType::kUInt8, op.ratios.shape());
  do_trust_ratios(op);
}

void Backend::lamb_apply(std::span<const LambApply> ranges) {
  const Rules rules("lamb_apply", device());
  for (const LambApply& op : ranges) {
    rules.leads("value", op.value, Rules::kAnyRank);
    rules.has("direction", op.direction, DType::kFloat32, op.value.shape());
    rules.state(op.state);
    rules.has("trust_ratio", op.trust_ratio, DType::kFloat32, {1});
    rules.has("master", op.master, DType::kFloat32, op.value.shape());
    rules.of_one_step(op, ranges.front(), alike(op.value, op.master, ranges.front().value, ranges.front().master));
  }
  if (!ranges.empty()) do_lamb_apply(ranges);
}

void Backend::add(const Add& op) {
  const Rules rules("add", device());
  rules.leads("a", op.a, Rules::kAnyRank);
  rules.has("a", op.a, DType::kFloat32, op.a.shape());
  rules.has("b", op.b, DType::kFloat32, op.a.shape());
  rules.has("c", op.c, DType::kFloat32, op.a.shape());
  do_add(op);
}

void Backend::cast(const Cast& op) {
  const Rules rules("cast", device());
  rules.leads("input", op.input, Rules::kAnyRank);
  rules.leads("output", op.output, Rules::kAnyRank);
  rules.has("output", op.output, op.output.dtype(), op.input.shape());
  do_cast(op);
}

}  // namespace mpibert
