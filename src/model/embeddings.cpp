#include <utility>

#include "mpibert/model/layers.h"

namespace mpibert {

namespace {

const Parameter& position_table(const BertConfig& config, ParameterArena& arena) {
  const std::string name = "bert.embeddings.position_embeddings.weight";
  const Shape shape{config.max_position_embeddings, config.hidden_size};
  switch (config.position_embedding()) {
    case PositionEmbedding::kAbsolute:
      return arena.add(name, shape, Init::kNormal, true);
    case PositionEmbedding::kSinusoidal:
      return arena.add_constant(name, shape, Init::kSinusoid);
    case PositionEmbedding::kRelativeKey:
    case PositionEmbedding::kRelativeKeyQuery:
    case PositionEmbedding::kRelativeKeyValue:
      break;
  }
  return arena.add_constant(name, shape, Init::kZero);
}

}  // namespace

Embeddings::Embeddings(const BertConfig& config, ParameterArena& arena)
    : dropout_rate_(config.hidden_dropout_prob),
      hidden_size_(config.hidden_size),
      is_positioned_(!config.has_distances()),
      word_(arena.add("bert.embeddings.word_embeddings.weight", {config.vocab_size, config.hidden_size}, Init::kNormal, true)),
      position_(position_table(config, arena)),
      token_type_(
          arena.add("bert.embeddings.token_type_embeddings.weight", {config.type_vocab_size, config.hidden_size}, Init::kNormal, true)),
      norm_(config.embedding_layer_norm
                ? std::optional<LayerNorm>(std::in_place, arena, "bert.embeddings.LayerNorm", config.hidden_size, config.layer_norm_eps)
                : std::nullopt) {}

void Embeddings::plan(ActivationArena& arena, DType compute, const BatchLimits& limits) {
  plan_ = {};
  plan_.sum = &arena.saved("embeddings.sum", compute, {limits.tokens, hidden_size_});
  if (!norm_) return;
  plan_.output = &arena.saved("embeddings.output", compute, {limits.tokens, hidden_size_});
  plan_.mean = &arena.saved("embeddings.mean", DType::kFloat32, {limits.tokens});
  plan_.rstd = &arena.saved("embeddings.rstd", DType::kFloat32, {limits.tokens});
}

Dropout Embeddings::dropout(const Batch& batch, const Pass& pass) const {
  if (!pass.train || dropout_rate_ == 0) return {};
  return {.rate = dropout_rate_, .site = dropout_site(DropoutSite::kEmbeddings), .state = pass.state, .token_keys = batch["token_keys"]};
}

Tensor Embeddings::forward(Backend& backend, const Batch& batch, const Pass& pass) const {
  const int64_t tokens = batch.tokens();
  EmbeddingForward op{.input_ids = batch["input_ids"],
                      .token_type_ids = batch["token_type_ids"],
                      .position_ids = batch["position_ids"],
                      .word = word_.value,
                      .position = is_positioned_ ? position_.value : Tensor{},
                      .token_type = token_type_.value,
                      .sum = plan_.sum->rows(tokens)};
  if (norm_) {
    op.weight = norm_->weight.value;
    op.bias = norm_->bias.value;
    op.epsilon = norm_->epsilon;
    op.dropout = dropout(batch, pass);
    op.output = plan_.output->rows(tokens);
    op.mean = plan_.mean->rows(tokens);
    op.rstd = plan_.rstd->rows(tokens);
  }
  backend.embedding_forward(op);
  return norm_ ? op.output : op.sum;
}

void Embeddings::backward(Backend& backend, const Batch& batch, const Pass& pass, const Tensor& gradient, const Tensor& scratch) const {
  const int64_t tokens = batch.tokens();
  EmbeddingBackward op{.gradient = gradient,
                       .input_ids = batch["input_ids"],
                       .token_type_ids = batch["token_type_ids"],
                       .position_ids = batch["position_ids"],
                       .d_word = word_.gradient,
                       .d_position = position_.constant ? Tensor{} : position_.gradient,
                       .d_token_type = token_type_.gradient};
  if (norm_) {
    op.sum = plan_.sum->rows(tokens);
    op.mean = plan_.mean->rows(tokens);
    op.rstd = plan_.rstd->rows(tokens);
    op.weight = norm_->weight.value;
    op.dropout = dropout(batch, pass);
    op.scratch = scratch;
    op.d_weight = norm_->weight.gradient;
    op.d_bias = norm_->bias.gradient;
  }
  backend.embedding_backward(op);
}

}  // namespace mpibert
