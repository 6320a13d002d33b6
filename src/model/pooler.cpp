#include "mpibert/model/layers.h"

namespace mpibert {

Pooler::Pooler(const BertConfig& config, ParameterArena& arena)
    : hidden_size_(config.hidden_size), dense_(arena, "bert.pooler.dense", config.hidden_size, config.hidden_size) {}

void Pooler::plan(ActivationArena& arena, DType compute, const BatchLimits& limits) {
  const Shape largest{limits.sequences, hidden_size_};
  plan_ = {
      .first = &arena.saved("pooler.first", compute, largest),
      .before = &arena.saved("pooler.before", compute, largest),
      .pooled = &arena.saved("pooler.pooled", compute, largest),
      .d_first = &arena.saved("pooler.d_first", compute, largest),
  };
}

Tensor Pooler::forward(Backend& backend, const Batch& batch, const Tensor& x) const {
  const int64_t sequences = batch.sequences();
  const Tensor first = plan_.first->rows(sequences), pooled = plan_.pooled->rows(sequences);
  backend.gather_rows({.input = x, .indices = batch["cu_seqlens"].elements(0, sequences), .output = first});
  dense_.forward(backend, first, plan_.before->rows(sequences), Activation::kTanh, pooled);
  return pooled;
}

void Pooler::backward(Backend& backend, const Batch& batch, const Tensor& d_pooled, const Tensor& d_x) const {
  const int64_t sequences = batch.sequences();
  const Tensor d_first = plan_.d_first->rows(sequences);
  backend.activation_backward(
      {.gradient = d_pooled, .input = plan_.before->rows(sequences), .activation = Activation::kTanh, .d_input = d_pooled});
  dense_.backward_parameters(backend, plan_.first->rows(sequences), d_pooled);
  dense_.backward_input(backend, d_pooled, d_first);
  backend.scatter_rows({.input = d_first, .indices = batch["cu_seqlens"].elements(0, sequences), .output = d_x});
}

}  // namespace mpibert
