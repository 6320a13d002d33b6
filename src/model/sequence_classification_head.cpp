#include <algorithm>
#include <cmath>

#include "mpibert/base/error.h"
#include "mpibert/model/heads.h"

namespace mpibert {

namespace {

int64_t checked_labels(int64_t num_labels) {
  MPIBERT_CHECK(num_labels >= 1, kInvalidArgument, "a classification of ", num_labels, " labels: expected at least 1");
  return num_labels;
}

}  // namespace

SequenceClassificationHead::SequenceClassificationHead(const BertConfig& config, ParameterArena& arena, int64_t num_labels)
    : num_labels_(checked_labels(num_labels)),
      hidden_size_(config.hidden_size),
      dropout_rate_(config.classifier_dropout.value_or(config.hidden_dropout_prob)),
      classifier_(arena, "classifier", config.hidden_size, num_labels) {}

Schema SequenceClassificationHead::labels() const {
  return {{"labels", is_regression() ? DType::kFloat32 : DType::kInt32, Per::kSequence}};
}

std::vector<int64_t> SequenceClassificationHead::count(const Batch& host) const {
  if (is_regression()) return {std::ranges::count_if(host["labels"].span<float>(), [](float label) { return !std::isnan(label); })};
  return {std::ranges::count_if(host["labels"].span<int32_t>(), [](int32_t label) { return label >= 0; })};
}

void SequenceClassificationHead::plan(ActivationArena& arena, DType compute, const BatchLimits& limits, bool /*train*/) {
  plan_ = {
      .dropped = &arena.saved("head.dropped", compute, {limits.sequences, hidden_size_}),
      .logits = &arena.saved("head.logits", compute, {limits.sequences, num_labels_}),
  };
}

Dropout SequenceClassificationHead::dropout(const Batch& batch, const Pass& pass) const {
  if (!pass.train || dropout_rate_ == 0) return {};
  return {.rate = dropout_rate_, .site = dropout_site(DropoutSite::kClassifier), .state = pass.state, .token_keys = batch["sequence_keys"]};
}

void SequenceClassificationHead::forward(Backend& backend, const Batch& batch, const EncoderOutput& encoder, const Pass& pass) {
  const Dropout drop = dropout(batch, pass);
  input_ = drop.rate > 0 ? plan_.dropped->rows(batch.sequences()) : encoder.pooled;
  if (drop.rate > 0) backend.dropout({.input = encoder.pooled, .dropout = drop, .output = input_});
  logits_ = plan_.logits->rows(batch.sequences());
  classifier_.forward(backend, input_, logits_);
  if (!is_regression()) return add_cross_entropy(backend, batch, "labels", 0, pass, logits_);
  if (!wants_loss(batch, "labels", pass)) return;
  backend.squared_error(
      {.logits = logits_, .labels = batch["labels"], .state = pass.state, .term = 0, .backward = pass.train, .loss_sum = pass.loss_sums.elements(0, 1)});
}

void SequenceClassificationHead::backward(Backend& backend, const Batch& batch, const EncoderOutput& /*encoder*/, const Pass& pass,
                                          const EncoderOutput& d_encoder) {
  classifier_.backward_parameters(backend, input_, logits_);
  classifier_.backward_input(backend, logits_, d_encoder.pooled);
  const Dropout drop = dropout(batch, pass);
  if (drop.rate > 0) backend.dropout({.input = d_encoder.pooled, .dropout = drop, .output = d_encoder.pooled});
}

}  // namespace mpibert
