#include "mpibert/base/error.h"
#include "mpibert/model/heads.h"

namespace mpibert {

PretrainingHead::PretrainingHead(const BertConfig& config, ParameterArena& arena)
    : masked_(config, arena), next_sentence_(arena, "cls.seq_relationship", config.hidden_size, 2) {}

Schema PretrainingHead::labels() const {
  Schema schema = masked_.labels();
  schema.push_back({"next_sentence_labels", DType::kInt32, Per::kSequence});
  return schema;
}

std::vector<int64_t> PretrainingHead::count(const Batch& host) const {
  return {masked_.count(host)[0], host.has("next_sentence_labels") ? count_labels(host, "next_sentence_labels") : 0};
}

void PretrainingHead::plan(ActivationArena& arena, DType compute, const BatchLimits& limits, bool train) {
  masked_.plan(arena, compute, limits, train);
  planned_nsp_logits_ = &arena.saved("head.nsp_logits", compute, {limits.sequences, 2});
}

void PretrainingHead::forward(Backend& backend, const Batch& batch, const EncoderOutput& encoder, const Pass& pass) {
  masked_.forward(backend, batch, encoder, pass);
  nsp_logits_ = planned_nsp_logits_->rows(batch.sequences());
  next_sentence_.forward(backend, encoder.pooled, nsp_logits_);
  if (batch.has("next_sentence_labels")) add_cross_entropy(backend, batch, "next_sentence_labels", 1, pass, nsp_logits_);
}

void PretrainingHead::backward(Backend& backend, const Batch& batch, const EncoderOutput& encoder, const Pass& pass,
                               const EncoderOutput& d_encoder) {
  masked_.backward(backend, batch, encoder, pass, d_encoder);  // leaves zeros in d_encoder.pooled
  if (!batch.has("next_sentence_labels")) return;
  next_sentence_.backward_parameters(backend, encoder.pooled, nsp_logits_);
  next_sentence_.backward_input(backend, nsp_logits_, d_encoder.pooled);
}

}  // namespace mpibert
