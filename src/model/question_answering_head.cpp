#include <array>

#include "mpibert/model/heads.h"

namespace mpibert {

namespace {

const std::array<std::string, 2> kLabels = {"start_positions", "end_positions"};  // by term and by column of the logits

}  // namespace

QuestionAnsweringHead::QuestionAnsweringHead(const BertConfig& config, ParameterArena& arena)
    : outputs_(arena, "qa_outputs", config.hidden_size, 2) {}

Schema QuestionAnsweringHead::labels() const {
  return {{kLabels[0], DType::kInt32, Per::kSequence}, {kLabels[1], DType::kInt32, Per::kSequence}};
}

std::vector<int64_t> QuestionAnsweringHead::count(const Batch& host) const {
  std::vector<int64_t> counts;
  for (const std::string& name : kLabels) counts.push_back(count_labels(host, name));
  return counts;
}

void QuestionAnsweringHead::plan(ActivationArena& arena, DType compute, const BatchLimits& limits, bool /*train*/) {
  planned_logits_ = &arena.saved("head.logits", compute, {limits.tokens, 2});
}

void QuestionAnsweringHead::forward(Backend& backend, const Batch& batch, const EncoderOutput& encoder, const Pass& pass) {
  logits_ = planned_logits_->rows(batch.tokens());
  outputs_.forward(backend, encoder.hidden, logits_);
  for (int term = 0; term < 2; ++term) {
    const std::string& labels = kLabels[static_cast<size_t>(term)];
    if (!wants_loss(batch, labels, pass)) continue;
    backend.span_cross_entropy({.logits = logits_,
                                .cu_seqlens = batch["cu_seqlens"],
                                .labels = batch[labels],
                                .state = pass.state,
                                .column = term,
                                .term = term,
                                .backward = pass.train,
                                .loss_sum = pass.loss_sums.elements(term, term + 1),
                                .correct = pass.correct.elements(term, term + 1)});
  }
}

void QuestionAnsweringHead::backward(Backend& backend, const Batch& /*batch*/, const EncoderOutput& encoder, const Pass& /*pass*/,
                                     const EncoderOutput& d_encoder) {
  outputs_.backward_parameters(backend, encoder.hidden, logits_);
  outputs_.backward_input(backend, logits_, d_encoder.hidden, true);
}

}  // namespace mpibert
