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
    : num_labels_(checked_labels(num_labels)), classifier_(config, arena, num_labels) {}

Schema SequenceClassificationHead::labels() const {
  return {{"labels", is_regression() ? DType::kFloat32 : DType::kInt32, Per::kSequence}};
}

std::vector<int64_t> SequenceClassificationHead::count(const Batch& host) const {
  if (is_regression()) return {std::ranges::count_if(host["labels"].span<float>(), [](float label) { return !std::isnan(label); })};
  return {count_labels(host, "labels")};
}

void SequenceClassificationHead::plan(ActivationArena& arena, DType compute, const BatchLimits& limits, bool train) {
  classifier_.plan(arena, compute, limits.sequences, train);
}

void SequenceClassificationHead::forward(Backend& backend, const Batch& batch, const EncoderOutput& encoder, const Pass& pass) {
  classifier_.forward(backend, encoder.pooled, batch["sequence_keys"], pass);
  const Tensor& logits = classifier_.logits();
  if (!is_regression()) return add_cross_entropy(backend, batch, "labels", 0, pass, logits);
  if (!wants_loss(batch, "labels", pass)) return;
  backend.squared_error({.logits = logits,
                         .labels = batch["labels"],
                         .state = pass.state,
                         .term = 0,
                         .backward = pass.train,
                         .loss_sum = pass.loss_sums.elements(0, 1)});
}

void SequenceClassificationHead::backward(Backend& backend, const Batch& batch, const EncoderOutput& /*encoder*/, const Pass& pass,
                                          const EncoderOutput& d_encoder) {
  classifier_.backward(backend, batch["sequence_keys"], pass, d_encoder.pooled);
}

}  // namespace mpibert
