#include "mpibert/base/error.h"
#include "mpibert/model/heads.h"

namespace mpibert {

TokenClassificationHead::TokenClassificationHead(const BertConfig& config, ParameterArena& arena, int64_t num_labels)
    : classifier_(config, arena, num_labels) {}

std::vector<int64_t> TokenClassificationHead::count(const Batch& host) const { return {count_labels(host, "labels")}; }

void TokenClassificationHead::plan(ActivationArena& arena, DType compute, const BatchLimits& limits, bool train) {
  classifier_.plan(arena, compute, limits.tokens, train);
}

void TokenClassificationHead::forward(Backend& backend, const Batch& batch, const EncoderOutput& encoder, const Pass& pass) {
  classifier_.forward(backend, encoder.hidden, batch["token_keys"], pass);
  add_cross_entropy(backend, batch, "labels", 0, pass, classifier_.logits());
}

// Nothing else adds to the gradient of the hidden states: a model with this head has no pooler.
void TokenClassificationHead::backward(Backend& backend, const Batch& batch, const EncoderOutput& /*encoder*/, const Pass& pass,
                                       const EncoderOutput& d_encoder) {
  MPIBERT_CHECK(!d_encoder.pooled, kInvalidArgument, "a token classification head reads no pooled output: make its model without a pooler");
  classifier_.backward(backend, batch["token_keys"], pass, d_encoder.hidden);
}

}  // namespace mpibert
