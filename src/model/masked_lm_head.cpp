#include "mpibert/base/error.h"
#include "mpibert/model/heads.h"

namespace mpibert {

MaskedLmHead::MaskedLmHead(const BertConfig& config, ParameterArena& arena)
    : hidden_size_(config.hidden_size),
      vocab_size_(config.vocab_size),
      activation_(config.activation()),
      transform_(arena, "cls.predictions.transform.dense", config.hidden_size, config.hidden_size),
      norm_(arena, "cls.predictions.transform.LayerNorm", config.hidden_size, config.layer_norm_eps),
      decoder_{config.tie_word_embeddings
                   ? arena.find("bert.embeddings.word_embeddings.weight")
                   : arena.add("cls.predictions.decoder.weight", {config.vocab_size, config.hidden_size}, Init::kNormal, true),
               arena.add("cls.predictions.bias", {config.vocab_size}, Init::kZero, false)} {}

Schema MaskedLmHead::labels() const {
  return {{"masked_lm_positions", DType::kInt32, Per::kPrediction}, {"masked_lm_ids", DType::kInt32, Per::kPrediction}};
}

std::vector<int64_t> MaskedLmHead::count(const Batch& host) const {
  return {host.has("masked_lm_ids") ? count_labels(host, "masked_lm_ids") : 0};
}

void MaskedLmHead::plan(ActivationArena& arena, DType compute, const BatchLimits& limits, bool train) {
  const Shape rows{limits.predictions, hidden_size_};
  plan_ = {
      .rows = &arena.saved("head.rows", compute, rows),
      .before = &arena.saved("head.before", compute, rows),
      .activated = &arena.saved("head.activated", compute, rows),
      .normed = &arena.saved("head.normed", compute, rows),
      .mean = &arena.saved("head.mean", DType::kFloat32, {limits.predictions}),
      .rstd = &arena.saved("head.rstd", DType::kFloat32, {limits.predictions}),
      .logits = &arena.saved("head.logits", compute, {limits.predictions, vocab_size_}),
      .gradient = train ? &arena.scratch("head.gradient", compute, rows) : nullptr,
  };
}

void MaskedLmHead::forward(Backend& backend, const Batch& batch, const EncoderOutput& encoder, const Pass& pass) {
  const Tensor positions = batch["masked_lm_positions"];
  const int64_t count = positions.size();
  logits_ = plan_.logits->rows(count);
  if (count == 0) return;
  const Tensor rows = plan_.rows->rows(count), activated = plan_.activated->rows(count), normed = plan_.normed->rows(count);
  backend.gather_rows({.input = encoder.hidden, .indices = positions, .output = rows});
  transform_.forward(backend, rows, plan_.before->rows(count), activation_, activated);
  backend.layer_norm_forward({.input = activated,
                              .weight = norm_.weight.value,
                              .bias = norm_.bias.value,
                              .epsilon = norm_.epsilon,
                              .output = normed,
                              .mean = plan_.mean->rows(count),
                              .rstd = plan_.rstd->rows(count)});
  decoder_.forward(backend, normed, logits_);
  add_cross_entropy(backend, batch, "masked_lm_ids", 0, pass, logits_);
}

void MaskedLmHead::backward(Backend& backend, const Batch& batch, const EncoderOutput& /*encoder*/, const Pass& /*pass*/,
                            const EncoderOutput& d_encoder) {
  if (d_encoder.pooled) backend.zero(d_encoder.pooled);
  const int64_t count = logits_.shape()[0];
  if (count == 0) return;
  const Tensor gradient = plan_.gradient->rows(count), activated = plan_.activated->rows(count), rows = plan_.rows->rows(count);
  const Tensor d_rows = plan_.normed->rows(count);  // its numbers are used up by the decoder's gradient
  decoder_.backward_parameters(backend, plan_.normed->rows(count), logits_);
  decoder_.backward_input(backend, logits_, gradient);
  backend.layer_norm_backward({.gradient = gradient,
                               .sum = activated,
                               .mean = plan_.mean->rows(count),
                               .rstd = plan_.rstd->rows(count),
                               .weight = norm_.weight.value,
                               .d_input = gradient,
                               .d_weight = norm_.weight.gradient,
                               .d_bias = norm_.bias.gradient});
  backend.activation_backward({.gradient = gradient, .input = plan_.before->rows(count), .activation = activation_, .d_input = gradient});
  transform_.backward_parameters(backend, rows, gradient);
  transform_.backward_input(backend, gradient, d_rows);
  backend.scatter_rows({.input = d_rows, .indices = batch["masked_lm_positions"], .output = d_encoder.hidden});
}

}  // namespace mpibert
