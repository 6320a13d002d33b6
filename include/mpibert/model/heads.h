#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mpibert/model/config.h"
#include "mpibert/model/head.h"
#include "mpibert/nn/layer_norm.h"
#include "mpibert/nn/linear.h"

namespace mpibert {

// Masked language model and next sentence prediction, transformers' BertForPreTraining. Only masked rows are computed:
//   logits(0) [P, V] = LN(act(hidden[masked_lm_positions] Wt^T + bt)) E^T + cls.predictions.bias,  E the word embeddings, or cls.predictions.decoder.weight
//                       where tie_word_embeddings is false
//   logits(1) [B, 2] = pooled W^T + b,  0: the second sentence follows the first
// Terms: "mlm", labels masked_lm_ids [P]; "nsp", labels next_sentence_labels [B]. A batch without next_sentence_labels has the first term alone.
// Source: Devlin et al. 2018, arXiv:1810.04805, sections 3.1 and A.2.
class PretrainingHead final : public Head {
 public:
  // Declares cls.*; the word embeddings must have been declared. Throws kInvalidArgument otherwise.
  PretrainingHead(const BertConfig& config, ParameterArena& arena);

  Schema labels() const override;
  std::vector<LossTerm> terms() const override { return {{"mlm", 1, Per::kPrediction}, {"nsp", 1, Per::kSequence}}; }
  std::vector<int64_t> count(const Batch& host) const override;
  int64_t first_offset() const override { return transform_.weight().offset; }
  void plan(ActivationArena& arena, DType compute, const BatchLimits& limits, bool train) override;
  void forward(Backend& backend, const Batch& batch, const EncoderOutput& encoder, const Pass& pass) override;
  void backward(Backend& backend, const Batch& batch, const EncoderOutput& encoder, const Pass& pass, const EncoderOutput& d_encoder) override;
  Tensor logits(int term) const override { return term == 0 ? logits_ : nsp_logits_; }

 private:
  void forward_masked(Backend& backend, const Batch& batch, const Tensor& hidden, const Pass& pass);
  void forward_next_sentence(Backend& backend, const Batch& batch, const Tensor& pooled, const Pass& pass);
  void backward_masked(Backend& backend, const Batch& batch, const Tensor& d_hidden);

  int64_t hidden_size_, vocab_size_;
  Activation activation_;
  Linear transform_;
  LayerNorm norm_;
  Linear decoder_, next_sentence_;

  struct Plan {
    const PlannedTensor *rows, *before, *activated, *normed, *mean, *rstd, *logits, *nsp_logits, *gradient;
  } plan_{};
  Tensor logits_, nsp_logits_;
};

// Transformers' BertForSequenceClassification: logits(0) [B, C] = dropout(pooled) W^T + b. With C = 1 it is a regression with squared error and
// fp32 labels (NaN: none), term "regression"; otherwise a classification with cross-entropy and int32 labels, term "classification".
class SequenceClassificationHead final : public Head {
 public:
  // Declares classifier.*. Throws kInvalidArgument unless num_labels >= 1.
  SequenceClassificationHead(const BertConfig& config, ParameterArena& arena, int64_t num_labels);

  Schema labels() const override;
  std::vector<LossTerm> terms() const override { return {{is_regression() ? "regression" : "classification", 1, Per::kSequence}}; }
  std::vector<int64_t> count(const Batch& host) const override;
  int64_t first_offset() const override { return classifier_.weight().offset; }
  void plan(ActivationArena& arena, DType compute, const BatchLimits& limits, bool train) override;
  void forward(Backend& backend, const Batch& batch, const EncoderOutput& encoder, const Pass& pass) override;
  void backward(Backend& backend, const Batch& batch, const EncoderOutput& encoder, const Pass& pass, const EncoderOutput& d_encoder) override;
  Tensor logits(int /*term*/) const override { return logits_; }

 private:
  bool is_regression() const { return num_labels_ == 1; }
  Dropout dropout(const Batch& batch, const Pass& pass) const;

  int64_t num_labels_, hidden_size_;
  float dropout_rate_;
  Linear classifier_;
  struct Plan {
    const PlannedTensor *dropped, *logits;
  } plan_{};
  Tensor input_, logits_;  // of the last forward; input_ is dropout(pooled)
};

}  // namespace mpibert
