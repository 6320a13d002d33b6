#include "mpibert/model/classifier.h"

namespace mpibert {

Classifier::Classifier(const BertConfig& config, ParameterArena& arena, int64_t outputs)
    : hidden_size_(config.hidden_size),
      outputs_(outputs),
      dropout_rate_(config.classifier_dropout.value_or(config.hidden_dropout_prob)),
      linear_(arena, "classifier", config.hidden_size, outputs) {}

void Classifier::plan(ActivationArena& arena, DType compute, int64_t rows, bool train) {
  plan_ = {
      .dropped = train && dropout_rate_ > 0 ? &arena.saved("head.dropped", compute, {rows, hidden_size_}) : nullptr,
      .logits = &arena.saved("head.logits", compute, {rows, outputs_}),
  };
}

Dropout Classifier::dropout(const Tensor& keys, const Pass& pass) const {
  if (!pass.train || dropout_rate_ == 0) return {};
  return {.rate = dropout_rate_, .site = dropout_site(DropoutSite::kClassifier), .state = pass.state, .token_keys = keys};
}

void Classifier::forward(Backend& backend, const Tensor& x, const Tensor& keys, const Pass& pass) {
  const int64_t rows = x.shape()[0];
  const Dropout drop = dropout(keys, pass);
  input_ = drop.rate > 0 ? plan_.dropped->rows(rows) : x;
  if (drop.rate > 0) backend.dropout({.input = x, .dropout = drop, .output = input_});
  logits_ = plan_.logits->rows(rows);
  linear_.forward(backend, input_, logits_);
}

void Classifier::backward(Backend& backend, const Tensor& keys, const Pass& pass, const Tensor& d_x) const {
  linear_.backward_parameters(backend, input_, logits_);
  linear_.backward_input(backend, logits_, d_x);
  const Dropout drop = dropout(keys, pass);
  if (drop.rate > 0) backend.dropout({.input = d_x, .dropout = drop, .output = d_x});
}

}  // namespace mpibert
