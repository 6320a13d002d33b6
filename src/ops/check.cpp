// Shapes, element types and devices of every operation but the optimizer's (check_optimizer.cpp), once for all backends: the public half of
// Backend.

#include "ops/check.h"

#include "ops/rules.h"

namespace mpibert {
namespace {

Shape columns_of(const Tensor& t) { return {t.shape()[-1]}; }
Shape rows_of(const Tensor& t) { return {t.shape()[0]}; }

template <class Op>
void check_distances(const Rules& rules, const Op& op) {
  const Tensor& embedding = op.distance_embedding;
  rules.that(embedding || op.distance_use == DistanceUse::kQueries, "distance_use: expected a distance_embedding with it, found none");
  if (!embedding) return;
  rules.has_rows("distance_embedding", embedding, op.qkv.dtype(), {1, op.qkv.shape()[3]});
  rules.that(embedding.shape()[0] % 2 == 1, "distance_embedding: expected an odd number of rows, found ", embedding.shape()[0]);
}

}  // namespace

void check_on_device(const char* operation, const Tensor& t, Device device) {
  MPIBERT_CHECK(t && t.device() == device, kInvalidArgument, operation, ": expected a tensor on ", text_of(device), ", found ", text_of(t));
}

void check_transfer(const char* operation, const Tensor& from, Device from_device, const Tensor& to, Device to_device) {
  check_on_device(operation, from, from_device);
  check_on_device(operation, to, to_device);
  MPIBERT_CHECK(from.dtype() == to.dtype() && from.size() == to.size(), kInvalidArgument, operation,
                ": expected as many numbers of one type, found ", text_of(from), " and ", text_of(to));
}

void Backend::matmul(const Matmul& op) {
  const Rules rules("matmul", device());
  rules.leads("a", op.a, 2);
  const DType compute = op.a.dtype();
  rules.leads("b", op.b, 2);
  const int64_t m = op.a.shape()[op.transpose_a ? 1 : 0], k = op.a.shape()[op.transpose_a ? 0 : 1],
                n = op.b.shape()[op.transpose_b ? 0 : 1];
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
  rules.leads("sum", op.sum, 2);
  const DType compute = op.sum.dtype();
  const Shape tokens = rows_of(op.sum), hidden = columns_of(op.sum);
  rules.has("input_ids", op.input_ids, DType::kInt32, tokens);
  rules.has("token_type_ids", op.token_type_ids, DType::kInt32, tokens);
  rules.has("position_ids", op.position_ids, DType::kInt32, tokens);
  rules.has_rows("word", op.word, compute, op.sum.shape());
  if (op.position) rules.has_rows("position", op.position, compute, op.sum.shape());
  rules.has_rows("token_type", op.token_type, compute, op.sum.shape());
  if (op.weight) {
    rules.has("weight", op.weight, compute, hidden);
    rules.has("bias", op.bias, compute, hidden);
    rules.epsilon(op.epsilon);
    rules.dropout(op.dropout, tokens[0]);
    rules.has("output", op.output, compute, op.sum.shape());
    rules.has("mean", op.mean, DType::kFloat32, tokens);
    rules.has("rstd", op.rstd, DType::kFloat32, tokens);
  } else {
    MPIBERT_CHECK(op.dropout.rate == 0, kInvalidArgument, "embedding_forward: dropout goes with a layer norm");
  }
  do_embedding_forward(op);
}

void Backend::embedding_backward(const EmbeddingBackward& op) {
  const Rules rules("embedding_backward", device());
  rules.leads("gradient", op.gradient, 2);
  const DType compute = op.gradient.dtype();
  const Shape tokens = rows_of(op.gradient), hidden = columns_of(op.gradient);
  rules.has("input_ids", op.input_ids, DType::kInt32, tokens);
  rules.has("token_type_ids", op.token_type_ids, DType::kInt32, tokens);
  rules.has("position_ids", op.position_ids, DType::kInt32, tokens);
  rules.has_rows("d_word", op.d_word, DType::kFloat32, op.gradient.shape());
  if (op.d_position) rules.has_rows("d_position", op.d_position, DType::kFloat32, op.gradient.shape());
  rules.has_rows("d_token_type", op.d_token_type, DType::kFloat32, op.gradient.shape());
  if (op.weight) {
    rules.has("sum", op.sum, compute, op.gradient.shape());
    rules.has("mean", op.mean, DType::kFloat32, tokens);
    rules.has("rstd", op.rstd, DType::kFloat32, tokens);
    rules.has("weight", op.weight, compute, hidden);
    rules.dropout(op.dropout, tokens[0]);
    rules.has("scratch", op.scratch, compute, op.gradient.shape());
    rules.has("d_weight", op.d_weight, DType::kFloat32, hidden);
    rules.has("d_bias", op.d_bias, DType::kFloat32, hidden);
  }
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
  check_distances(rules, op);
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
  check_distances(rules, op);
  if (op.distance_embedding) rules.has("d_distance_embedding", op.d_distance_embedding, DType::kFloat32, op.distance_embedding.shape());
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
  rules.that(op.smoothing >= 0 && op.smoothing < 1, "smoothing: expected 0 <= smoothing < 1, found ", op.smoothing);
  if (op.backward) rules.state(op.state);
  rules.has("loss_sum", op.loss_sum, DType::kFloat32, {1});
  rules.has("correct", op.correct, DType::kFloat32, {1});
  do_cross_entropy(op);
}

void Backend::span_cross_entropy(const SpanCrossEntropy& op) {
  const Rules rules("span_cross_entropy", device());
  rules.leads("logits", op.logits, 2);
  rules.that(op.column >= 0 && op.column < op.logits.shape()[1], "column: expected 0 to ", op.logits.shape()[1] - 1, ", found ", op.column);
  rules.has_rows("labels", op.labels, DType::kInt32, {1});
  rules.has("cu_seqlens", op.cu_seqlens, DType::kInt32, {op.labels.size() + 1});
  rules.term(op.term);
  if (op.backward) rules.state(op.state);
  rules.has("loss_sum", op.loss_sum, DType::kFloat32, {1});
  rules.has("correct", op.correct, DType::kFloat32, {1});
  do_span_cross_entropy(op);
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
