#include <algorithm>

#include "mpibert/base/error.h"
#include "mpibert/model/heads.h"

namespace mpibert {

TokenClassificationHead::TokenClassificationHead(const BertConfig& config, ParameterArena& arena, int64_t num_labels)
    : num_labels_(num_labels),
      hidden_size_(config.hidden_size),
      dropout_rate_(config.classifier_dropout.value_or(config.hidden_dropout_prob)),
      classifier_(arena, "classifier", config.hidden_size, num_labels) {}

std::vector<int64_t> TokenClassificationHead::count(const Batch& host) const {
  return {std::ranges::count_if(host["labels"].span<int32_t>(), [](int32_t label) { return label >= 0; })};
}

void TokenClassificationHead::plan(ActivationArena& arena, DType compute, const BatchLimits& limits, bool train) {
  planned_dropped_ = train && dropout_rate_ > 0 ? &arena.saved("head.dropped", compute, {limits.tokens, hidden_size_}) : nullptr;
  planned_logits_ = &arena.saved("head.logits", compute, {limits.tokens, num_labels_});
}

Dropout TokenClassificationHead::dropout(const Batch& batch, const Pass& pass) const {
  if (!pass.train || dropout_rate_ == 0) return {};
  return {.rate = dropout_rate_, .site = dropout_site(DropoutSite::kClassifier), .state = pass.state, .token_keys = batch["token_keys"]};
}

void TokenClassificationHead::forward(Backend& backend, const Batch& batch, const EncoderOutput& encoder, const Pass& pass) {
  const Dropout drop = dropout(batch, pass);
  input_ = drop.rate > 0 ? planned_dropped_->rows(batch.tokens()) : encoder.hidden;
  if (drop.rate > 0) backend.dropout({.input = encoder.hidden, .dropout = drop, .output = input_});
  logits_ = planned_logits_->rows(batch.tokens());
  classifier_.forward(backend, input_, logits_);
  add_cross_entropy(backend, batch, "labels", 0, pass, logits_);
}

// Nothing else adds to the gradient of the hidden states: a model with this head has no pooler.
void TokenClassificationHead::backward(Backend& backend, const Batch& batch, const EncoderOutput& /*encoder*/, const Pass& pass, const EncoderOutput& d_encoder) {
  MPIBERT_CHECK(!d_encoder.pooled, kInvalidArgument, "a token classification head reads no pooled output: make its model without a pooler");
  classifier_.backward_parameters(backend, input_, logits_);
  classifier_.backward_input(backend, logits_, d_encoder.hidden);
  const Dropout drop = dropout(batch, pass);
  if (drop.rate > 0) backend.dropout({.input = d_encoder.hidden, .dropout = drop, .output = d_encoder.hidden});
}

}  // namespace mpibert
