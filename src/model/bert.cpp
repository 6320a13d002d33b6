#include "mpibert/model/bert.h"

namespace mpibert {

namespace {

std::deque<EncoderLayer> make_layers(const BertConfig& config, ParameterArena& arena) {
  std::deque<EncoderLayer> layers;
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) layers.emplace_back(config, arena, i);
  return layers;
}

}  // namespace

BertModel::BertModel(const BertConfig& config, ParameterArena& arena, bool pooler)
    : hidden_size_(config.hidden_size), embeddings_(config, arena), layers_(make_layers(config, arena)) {
  if (pooler) pooler_.emplace(config, arena);
}

void BertModel::plan(ActivationArena& arena, const Backend& backend, DType compute, const BatchLimits& limits, bool train) {
  embeddings_.plan(arena, compute, limits);
  for (EncoderLayer& layer : layers_) layer.plan(arena, backend, compute, limits, train);
  if (pooler_) pooler_->plan(arena, compute, limits);
  scratch_ = train ? &arena.scratch("layer.d_branch", compute, {limits.tokens, hidden_size_}) : nullptr;
}

EncoderOutput BertModel::forward(Backend& backend, const Batch& batch, const Pass& pass) {
  inputs_.assign(1, embeddings_.forward(backend, batch, pass));
  for (const EncoderLayer& layer : layers_) inputs_.push_back(layer.forward(backend, batch, inputs_.back(), pass));
  return {.hidden = inputs_.back(), .pooled = pooler_ ? pooler_->forward(backend, batch, inputs_.back()) : Tensor{}};
}

void BertModel::backward(Backend& backend, const Batch& batch, const Pass& pass, const EncoderOutput& d_output,
                         const GradientReady& ready) {
  // Says that all from here on is final; the result, whether that is all that was asked for.
  const auto finished = [&](int64_t offset) {
    const bool last = offset <= pass.first_trained;
    if (ready) ready(last ? 0 : offset);
    return last;
  };
  if (pooler_) {
    pooler_->backward(backend, batch, d_output.pooled, d_output.hidden);
    if (finished(pooler_->first_offset())) return;
  }
  for (size_t i = layers_.size(); i-- > 0;) {
    layers_[i].backward(backend, batch, inputs_[i], pass, d_output.hidden);
    if (finished(layers_[i].first_offset())) return;
  }
  embeddings_.backward(backend, batch, pass, d_output.hidden, scratch_->rows(batch.tokens()));
  if (ready) ready(0);
}

}  // namespace mpibert
