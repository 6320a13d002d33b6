#include "mpibert/model/heads.h"

namespace mpibert {

MultipleChoiceHead::MultipleChoiceHead(const BertConfig& config, ParameterArena& arena) : classifier_(config, arena, 1) {}

std::vector<int64_t> MultipleChoiceHead::count(const Batch& host) const { return {count_labels(host, "labels")}; }

void MultipleChoiceHead::plan(ActivationArena& arena, DType compute, const BatchLimits& limits, bool train) {
  classifier_.plan(arena, compute, limits.sequences, train);
}

void MultipleChoiceHead::forward(Backend& backend, const Batch& batch, const EncoderOutput& encoder, const Pass& pass) {
  classifier_.forward(backend, encoder.pooled, batch["sequence_keys"], pass);
  const Tensor& logits = classifier_.logits();
  const int64_t of_samples = batch.samples() * batch.choices();
  add_cross_entropy(backend, batch, "labels", 0, pass, logits.rows(0, of_samples).reshape({batch.samples(), batch.choices()}));
  // A card's fillers may be more than whole samples. No loss puts a gradient in the place of their scores.
  if (pass.train && of_samples < batch.sequences()) backend.zero(logits.rows(of_samples, batch.sequences()));
}

void MultipleChoiceHead::backward(Backend& backend, const Batch& batch, const EncoderOutput& /*encoder*/, const Pass& pass,
                                  const EncoderOutput& d_encoder) {
  classifier_.backward(backend, batch["sequence_keys"], pass, d_encoder.pooled);
}

}  // namespace mpibert
