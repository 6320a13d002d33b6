#include <algorithm>

#include "mpibert/base/error.h"
#include "mpibert/model/heads.h"

namespace mpibert {

PretrainingHead::PretrainingHead(const BertConfig& config, ParameterArena& arena)
    : hidden_size_(config.hidden_size),
      vocab_size_(config.vocab_size),
      activation_(config.activation()),
      transform_(arena, "cls.predictions.transform.dense", config.hidden_size, config.hidden_size),
      norm_(arena, "cls.predictions.transform.LayerNorm", config.hidden_size, config.layer_norm_eps),
      decoder_{config.tie_word_embeddings ? arena.find("bert.embeddings.word_embeddings.weight")
                                          : arena.add("cls.predictions.decoder.weight", {config.vocab_size, config.hidden_size}, Init::kNormal, true),
               arena.add("cls.predictions.bias", {config.vocab_size}, Init::kZero, false)},
      next_sentence_(arena, "cls.seq_relationship", config.hidden_size, 2) {}

Schema PretrainingHead::labels() const {
  return {{"masked_lm_positions", DType::kInt32, Per::kPrediction},
          {"masked_lm_ids", DType::kInt32, Per::kPrediction},
          {"next_sentence_labels", DType::kInt32, Per::kSequence}};
}

std::vector<int64_t> PretrainingHead::count(const Batch& host) const {
  const auto labels = [&](const char* name) -> int64_t {
    return host.has(name) ? std::ranges::count_if(host[name].span<int32_t>(), [](int32_t label) { return label >= 0; }) : 0;
  };
  return {labels("masked_lm_ids"), labels("next_sentence_labels")};
}

void PretrainingHead::plan(ActivationArena& arena, DType compute, const BatchLimits& limits, bool train) {
  const Shape rows{limits.predictions, hidden_size_};
  plan_ = {
      .rows = &arena.saved("head.rows", compute, rows),
      .before = &arena.saved("head.before", compute, rows),
      .activated = &arena.saved("head.activated", compute, rows),
      .normed = &arena.saved("head.normed", compute, rows),
      .mean = &arena.saved("head.mean", DType::kFloat32, {limits.predictions}),
      .rstd = &arena.saved("head.rstd", DType::kFloat32, {limits.predictions}),
      .logits = &arena.saved("head.logits", compute, {limits.predictions, vocab_size_}),
      .nsp_logits = &arena.saved("head.nsp_logits", compute, {limits.sequences, 2}),
      .gradient = train ? &arena.scratch("head.gradient", compute, rows) : nullptr,
  };
}

void PretrainingHead::forward(Backend& backend, const Batch& batch, const EncoderOutput& encoder, const Pass& pass) {
  forward_masked(backend, batch, encoder.hidden, pass);
  forward_next_sentence(backend, batch, encoder.pooled, pass);
}

void PretrainingHead::forward_masked(Backend& backend, const Batch& batch, const Tensor& hidden, const Pass& pass) {
  const Tensor positions = batch["masked_lm_positions"];
  const int64_t count = positions.size();
  logits_ = plan_.logits->rows(count);
  if (count == 0) return;
  const Tensor rows = plan_.rows->rows(count), activated = plan_.activated->rows(count), normed = plan_.normed->rows(count);
  backend.gather_rows({.input = hidden, .indices = positions, .output = rows});
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

void PretrainingHead::forward_next_sentence(Backend& backend, const Batch& batch, const Tensor& pooled, const Pass& pass) {
  nsp_logits_ = plan_.nsp_logits->rows(batch.sequences());
  next_sentence_.forward(backend, pooled, nsp_logits_);
  if (batch.has("next_sentence_labels")) add_cross_entropy(backend, batch, "next_sentence_labels", 1, pass, nsp_logits_);
}

void PretrainingHead::backward(Backend& backend, const Batch& batch, const EncoderOutput& encoder, const Pass& /*pass*/,
                               const EncoderOutput& d_encoder) {
  if (batch.has("next_sentence_labels")) {
    next_sentence_.backward_parameters(backend, encoder.pooled, nsp_logits_);
    next_sentence_.backward_input(backend, nsp_logits_, d_encoder.pooled);
  } else {
    backend.zero(d_encoder.pooled);
  }
  if (logits_.size() > 0) backward_masked(backend, batch, d_encoder.hidden);
}

void PretrainingHead::backward_masked(Backend& backend, const Batch& batch, const Tensor& d_hidden) {
  const int64_t count = logits_.shape()[0];
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
  backend.scatter_rows({.input = d_rows, .indices = batch["masked_lm_positions"], .output = d_hidden});
}

}  // namespace mpibert
