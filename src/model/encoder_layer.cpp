#include <algorithm>

#include "mpibert/model/layers.h"

namespace mpibert {

namespace {

std::string layer_name(int64_t index) { return "bert.encoder.layer." + std::to_string(index); }

// Query, key and value as one product: [3H, H] and [3H], the order of AttentionForward::qkv.
Linear stacked_qkv(ParameterArena& arena, const std::string& self, int64_t hidden_size) {
  const auto names = [&](const char* part) {
    return std::vector<std::string>{self + ".query." + part, self + ".key." + part, self + ".value." + part};
  };
  const Parameter& weight = arena.add_stacked(names("weight"), {hidden_size, hidden_size}, Init::kNormal, true);
  return Linear(weight, arena.add_stacked(names("bias"), {hidden_size}, Init::kZero, false));
}

const Parameter* distance_embedding(const BertConfig& config, ParameterArena& arena, const std::string& self) {
  if (!config.has_distances()) return nullptr;
  const bool is_clipped = config.distance_use() == DistanceUse::kQueriesAndValues;
  const int64_t largest = is_clipped ? kMaxRelativePosition : config.max_position_embeddings - 1;
  const Shape shape{2 * largest + 1, config.hidden_size / config.num_attention_heads};
  return &arena.add(self + ".distance_embedding.weight", shape, Init::kNormal, true);
}

}  // namespace

EncoderLayer::EncoderLayer(const BertConfig& config, ParameterArena& arena, int64_t index)
    : index_(index),
      hidden_size_(config.hidden_size),
      heads_(config.num_attention_heads),
      intermediate_size_(config.intermediate_size),
      hidden_dropout_(config.hidden_dropout_prob),
      attention_dropout_(config.attention_probs_dropout_prob),
      activation_(config.activation()),
      qkv_(stacked_qkv(arena, layer_name(index) + ".attention.self", hidden_size_)),
      distances_(distance_embedding(config, arena, layer_name(index) + ".attention.self")),
      distance_use_(config.distance_use()),
      attention_output_(arena, layer_name(index) + ".attention.output.dense", hidden_size_, hidden_size_),
      attention_norm_(arena, layer_name(index) + ".attention.output.LayerNorm", hidden_size_, config.layer_norm_eps),
      intermediate_(arena, layer_name(index) + ".intermediate.dense", hidden_size_, intermediate_size_),
      output_(arena, layer_name(index) + ".output.dense", intermediate_size_, hidden_size_),
      output_norm_(arena, layer_name(index) + ".output.LayerNorm", hidden_size_, config.layer_norm_eps) {}

void EncoderLayer::plan(ActivationArena& arena, const Backend& backend, DType compute, const BatchLimits& limits, bool train) {
  const int64_t tokens = limits.tokens, hidden = hidden_size_, inner = intermediate_size_;
  const auto saved_bytes = static_cast<int64_t>(backend.attention_saved_bytes(tokens, heads_, hidden / heads_, limits.max_seq_length));
  const auto keep = [&](const char* name, DType dtype, Shape largest) {
    return train ? &arena.saved(layer_name(index_) + "." + name, dtype, largest)
                 : &arena.scratch(std::string("layer.") + name, dtype, largest);
  };
  plan_ = {
      .qkv = keep("qkv", compute, {tokens, 3 * hidden}),
      .attention = keep("attention", DType::kUInt8, {saved_bytes}),
      .context = keep("context", compute, {tokens, hidden}),
      .sum1 = keep("sum1", compute, {tokens, hidden}),
      .norm1 = keep("norm1", compute, {tokens, hidden}),
      .mean1 = keep("mean1", DType::kFloat32, {tokens}),
      .rstd1 = keep("rstd1", DType::kFloat32, {tokens}),
      .inner = keep("inner", compute, {tokens, inner}),
      .activated = keep("activated", compute, {tokens, inner}),
      .sum2 = keep("sum2", compute, {tokens, hidden}),
      .output = keep("output", compute, {tokens, hidden}),
      .mean2 = keep("mean2", DType::kFloat32, {tokens}),
      .rstd2 = keep("rstd2", DType::kFloat32, {tokens}),
      .d_branch = train ? &arena.scratch("layer.d_branch", compute, {tokens, hidden}) : nullptr,
      .d_wide = train ? &arena.scratch("layer.d_wide", compute, {tokens, std::max(inner, 4 * hidden)}) : nullptr,
  };
}

Dropout EncoderLayer::dropout(DropoutSite site, float rate, const Batch& batch, const Pass& pass) const {
  if (!pass.train || rate == 0) return {};
  return {.rate = rate, .site = dropout_site(site, index_), .state = pass.state, .token_keys = batch["token_keys"]};
}

Tensor EncoderLayer::attention_saved(const Backend& backend, const Batch& batch) const {
  const size_t bytes = backend.attention_saved_bytes(batch.tokens(), heads_, hidden_size_ / heads_, batch.max_seq_length());
  return plan_.attention->as({static_cast<int64_t>(bytes)});
}

Tensor EncoderLayer::forward(Backend& backend, const Batch& batch, const Tensor& x, const Pass& pass) const {
  forward_attention(backend, batch, x, pass);
  return forward_feed_forward(backend, batch, pass);
}

void EncoderLayer::forward_attention(Backend& backend, const Batch& batch, const Tensor& x, const Pass& pass) const {
  const int64_t tokens = batch.tokens(), head_size = hidden_size_ / heads_;
  const Tensor qkv = plan_.qkv->rows(tokens), context = plan_.context->rows(tokens), sum = plan_.sum1->rows(tokens);
  qkv_.forward(backend, x, qkv);
  backend.attention_forward({.qkv = qkv.reshape({tokens, 3, heads_, head_size}),
                             .distance_embedding = distances_ != nullptr ? distances_->value : Tensor{},
                             .cu_seqlens = batch["cu_seqlens"],
                             .distance_use = distance_use_,
                             .max_seq_length = batch.max_seq_length(),
                             .dropout = dropout(DropoutSite::kAttentionProbabilities, attention_dropout_, batch, pass),
                             .context = context.reshape({tokens, heads_, head_size}),
                             .saved = attention_saved(backend, batch)});
  attention_output_.forward(backend, context, sum);
  backend.layer_norm_forward({.input = sum,
                              .residual = x,
                              .weight = attention_norm_.weight.value,
                              .bias = attention_norm_.bias.value,
                              .epsilon = attention_norm_.epsilon,
                              .dropout = dropout(DropoutSite::kAttentionOutput, hidden_dropout_, batch, pass),
                              .sum = sum,
                              .output = plan_.norm1->rows(tokens),
                              .mean = plan_.mean1->rows(tokens),
                              .rstd = plan_.rstd1->rows(tokens)});
}

Tensor EncoderLayer::forward_feed_forward(Backend& backend, const Batch& batch, const Pass& pass) const {
  const int64_t tokens = batch.tokens();
  const Tensor norm1 = plan_.norm1->rows(tokens), activated = plan_.activated->rows(tokens);
  const Tensor sum = plan_.sum2->rows(tokens), output = plan_.output->rows(tokens);
  intermediate_.forward(backend, norm1, plan_.inner->rows(tokens), activation_, activated);
  output_.forward(backend, activated, sum);
  backend.layer_norm_forward({.input = sum,
                              .residual = norm1,
                              .weight = output_norm_.weight.value,
                              .bias = output_norm_.bias.value,
                              .epsilon = output_norm_.epsilon,
                              .dropout = dropout(DropoutSite::kFeedForwardOutput, hidden_dropout_, batch, pass),
                              .sum = sum,
                              .output = output,
                              .mean = plan_.mean2->rows(tokens),
                              .rstd = plan_.rstd2->rows(tokens)});
  return output;
}

// `gradient` plays the residual path: it holds in turn the gradients of y, of sum2, of norm1, of sum1 and of x. Each layer norm splits it
// into itself and d_branch, and the last product of each branch is added back onto it.
void EncoderLayer::backward(Backend& backend, const Batch& batch, const Tensor& x, const Pass& pass, const Tensor& gradient) const {
  backward_feed_forward(backend, batch, pass, gradient);
  backward_attention(backend, batch, x, pass, gradient);
}

void EncoderLayer::backward_feed_forward(Backend& backend, const Batch& batch, const Pass& pass, const Tensor& gradient) const {
  const int64_t tokens = batch.tokens();
  const Tensor d_branch = plan_.d_branch->rows(tokens), d_inner = plan_.d_wide->as({tokens, intermediate_size_});
  backend.layer_norm_backward({.gradient = gradient,
                               .sum = plan_.sum2->rows(tokens),
                               .mean = plan_.mean2->rows(tokens),
                               .rstd = plan_.rstd2->rows(tokens),
                               .weight = output_norm_.weight.value,
                               .dropout = dropout(DropoutSite::kFeedForwardOutput, hidden_dropout_, batch, pass),
                               .d_input = d_branch,
                               .d_residual = gradient,
                               .d_weight = output_norm_.weight.gradient,
                               .d_bias = output_norm_.bias.gradient});
  output_.backward_parameters(backend, plan_.activated->rows(tokens), d_branch);
  output_.backward_input(backend, d_branch, activation_, plan_.inner->rows(tokens), d_inner);
  intermediate_.backward_parameters(backend, plan_.norm1->rows(tokens), d_inner);
  intermediate_.backward_input(backend, d_inner, gradient, true);
}

void EncoderLayer::backward_attention(Backend& backend, const Batch& batch, const Tensor& x, const Pass& pass,
                                      const Tensor& gradient) const {
  const int64_t tokens = batch.tokens(), head_size = hidden_size_ / heads_;
  const Tensor d_branch = plan_.d_branch->rows(tokens);
  const Tensor d_context = plan_.d_wide->as({tokens, hidden_size_}),
               d_qkv = plan_.d_wide->as({tokens, 3 * hidden_size_}, tokens * hidden_size_);
  backend.layer_norm_backward({.gradient = gradient,
                               .sum = plan_.sum1->rows(tokens),
                               .mean = plan_.mean1->rows(tokens),
                               .rstd = plan_.rstd1->rows(tokens),
                               .weight = attention_norm_.weight.value,
                               .dropout = dropout(DropoutSite::kAttentionOutput, hidden_dropout_, batch, pass),
                               .d_input = d_branch,
                               .d_residual = gradient,
                               .d_weight = attention_norm_.weight.gradient,
                               .d_bias = attention_norm_.bias.gradient});
  attention_output_.backward_parameters(backend, plan_.context->rows(tokens), d_branch);
  attention_output_.backward_input(backend, d_branch, d_context);
  backend.attention_backward({.gradient = d_context.reshape({tokens, heads_, head_size}),
                              .qkv = plan_.qkv->as({tokens, 3, heads_, head_size}),
                              .distance_embedding = distances_ != nullptr ? distances_->value : Tensor{},
                              .context = plan_.context->as({tokens, heads_, head_size}),
                              .cu_seqlens = batch["cu_seqlens"],
                              .saved = attention_saved(backend, batch),
                              .distance_use = distance_use_,
                              .max_seq_length = batch.max_seq_length(),
                              .dropout = dropout(DropoutSite::kAttentionProbabilities, attention_dropout_, batch, pass),
                              .d_qkv = d_qkv.reshape({tokens, 3, heads_, head_size}),
                              .d_distance_embedding = distances_ != nullptr ? distances_->gradient : Tensor{}});
  qkv_.backward_parameters(backend, x, d_qkv);
  qkv_.backward_input(backend, d_qkv, gradient, true);
}

}  // namespace mpibert
