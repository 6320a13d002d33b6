#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mpibert/model/classifier.h"
#include "mpibert/model/config.h"
#include "mpibert/model/head.h"
#include "mpibert/nn/layer_norm.h"
#include "mpibert/nn/linear.h"

namespace mpibert {

// Masked language model, transformers' BertForMaskedLM. Only masked rows are computed:
//   logits(0) [P, V] = LN(act(hidden[masked_lm_positions] Wt^T + bt)) E^T + cls.predictions.bias,
//   E the word embeddings, or cls.predictions.decoder.weight where tie_word_embeddings is false
// Term: "mlm", labels masked_lm_ids [P]. To evaluate, a batch may have positions without ids: logits, no loss. Needs no pooler.
// Source: Devlin et al. 2018, arXiv:1810.04805, section 3.1.
class MaskedLmHead final : public Head {
 public:
  // Declares cls.predictions.*; the word embeddings must have been declared. Throws kInvalidArgument otherwise.
  MaskedLmHead(const BertConfig& config, ParameterArena& arena);

  Schema labels() const override;
  std::vector<LossTerm> terms() const override { return {{"mlm", 1, Per::kPrediction}}; }
  std::vector<int64_t> count(const Batch& host) const override;
  int64_t first_offset() const override { return transform_.weight().offset; }
  void plan(ActivationArena& arena, DType compute, const BatchLimits& limits, bool train) override;
  void forward(Backend& backend, const Batch& batch, const EncoderOutput& encoder, const Pass& pass) override;
  void backward(Backend& backend, const Batch& batch, const EncoderOutput& encoder, const Pass& pass,
                const EncoderOutput& d_encoder) override;
  Tensor logits(int /*term*/) const override { return logits_; }

 private:
  int64_t hidden_size_, vocab_size_;
  Activation activation_;
  Linear transform_;
  LayerNorm norm_;
  Linear decoder_;

  struct Plan {
    const PlannedTensor *rows, *before, *activated, *normed, *mean, *rstd, *logits, *gradient;
  } plan_{};
  Tensor logits_;
};

// Masked language model and next sentence prediction, transformers' BertForPreTraining: logits(0) and the term "mlm" as MaskedLmHead's, and
//   logits(1) [B, 2] = pooled W^T + b,  0: the second sentence follows the first
// with the term "nsp", labels next_sentence_labels [B]. A batch without next_sentence_labels has the first term alone.
// Source: Devlin et al. 2018, arXiv:1810.04805, sections 3.1 and A.2.
class PretrainingHead final : public Head {
 public:
  // Declares cls.*; the word embeddings must have been declared. Throws kInvalidArgument otherwise.
  PretrainingHead(const BertConfig& config, ParameterArena& arena);

  Schema labels() const override;
  std::vector<LossTerm> terms() const override { return {{"mlm", 1, Per::kPrediction}, {"nsp", 1, Per::kSequence}}; }
  std::vector<int64_t> count(const Batch& host) const override;
  int64_t first_offset() const override { return masked_.first_offset(); }
  void plan(ActivationArena& arena, DType compute, const BatchLimits& limits, bool train) override;
  void forward(Backend& backend, const Batch& batch, const EncoderOutput& encoder, const Pass& pass) override;
  void backward(Backend& backend, const Batch& batch, const EncoderOutput& encoder, const Pass& pass,
                const EncoderOutput& d_encoder) override;
  Tensor logits(int term) const override { return term == 0 ? masked_.logits(0) : nsp_logits_; }

 private:
  MaskedLmHead masked_;
  Linear next_sentence_;
  const PlannedTensor* planned_nsp_logits_ = nullptr;
  Tensor nsp_logits_;
};

// No head: logits(0) [T, H] are the encoder's output, transformers' last_hidden_state. For evaluation alone; it has no parameters, no loss
// and no gradient.
class EncoderHead final : public Head {
 public:
  EncoderHead(const BertConfig& /*config*/, ParameterArena& arena) : end_(arena.size()) {}

  Schema labels() const override { return {}; }
  std::vector<LossTerm> terms() const override { return {{"hidden", 0, Per::kToken}}; }
  std::vector<int64_t> count(const Batch& /*host*/) const override { return {0}; }
  int64_t first_offset() const override { return end_; }
  void plan(ActivationArena& arena, DType compute, const BatchLimits& limits, bool train) override;  // throws kInvalidArgument to train
  void forward(Backend& /*backend*/, const Batch& /*batch*/, const EncoderOutput& encoder, const Pass& /*pass*/) override {
    hidden_ = encoder.hidden;
  }
  void backward(Backend&, const Batch&, const EncoderOutput&, const Pass&, const EncoderOutput&) override {
  }  // never: it is not planned to train
  Tensor logits(int /*term*/) const override { return hidden_; }

 private:
  int64_t end_;
  Tensor hidden_;
};

// Transformers' BertForSequenceClassification: logits(0) [B, C] = dropout(pooled) W^T + b. With C = 1 it is a regression with squared error
// and fp32 labels (NaN: none), term "regression"; otherwise a classification with cross-entropy and int32 labels, term "classification".
class SequenceClassificationHead final : public Head {
 public:
  // Declares classifier.*. Throws kInvalidArgument unless num_labels >= 1.
  SequenceClassificationHead(const BertConfig& config, ParameterArena& arena, int64_t num_labels);

  Schema labels() const override;
  std::vector<LossTerm> terms() const override { return {{is_regression() ? "regression" : "classification", 1, Per::kSequence}}; }
  std::vector<int64_t> count(const Batch& host) const override;
  int64_t first_offset() const override { return classifier_.first_offset(); }
  void plan(ActivationArena& arena, DType compute, const BatchLimits& limits, bool train) override;
  void forward(Backend& backend, const Batch& batch, const EncoderOutput& encoder, const Pass& pass) override;
  void backward(Backend& backend, const Batch& batch, const EncoderOutput& encoder, const Pass& pass,
                const EncoderOutput& d_encoder) override;
  Tensor logits(int /*term*/) const override { return classifier_.logits(); }

 private:
  bool is_regression() const { return num_labels_ == 1; }

  int64_t num_labels_;
  Classifier classifier_;
};

// Transformers' BertForMultipleChoice: logits(0) [B, 1] = dropout(pooled) W^T + b, a score a sequence. The n = Batch::choices() sequences
// of a sample are its choices: term "multiple_choice", cross-entropy of their scores [B / n, n] with labels [B / n]. The number of choices
// is the data's, not the model's. Source: Zellers et al. 2018, arXiv:1808.05326; Devlin et al. 2018, arXiv:1810.04805, section 4.4.
class MultipleChoiceHead final : public Head {
 public:
  MultipleChoiceHead(const BertConfig& config, ParameterArena& arena);  // declares classifier.*

  Schema labels() const override { return {{"labels", DType::kInt32, Per::kSequence}}; }
  std::vector<LossTerm> terms() const override { return {{"multiple_choice", 1, Per::kSequence}}; }
  std::vector<int64_t> count(const Batch& host) const override;
  int64_t first_offset() const override { return classifier_.first_offset(); }
  void plan(ActivationArena& arena, DType compute, const BatchLimits& limits, bool train) override;
  void forward(Backend& backend, const Batch& batch, const EncoderOutput& encoder, const Pass& pass) override;
  void backward(Backend& backend, const Batch& batch, const EncoderOutput& encoder, const Pass& pass,
                const EncoderOutput& d_encoder) override;
  Tensor logits(int /*term*/) const override { return classifier_.logits(); }

 private:
  Classifier classifier_;
};

// Transformers' BertForTokenClassification: logits(0) [T, C] = dropout(hidden) W^T + b, labels [T], term "classification" over the tokens
// that have one. Its model has no pooler.
class TokenClassificationHead final : public Head {
 public:
  // Declares classifier.*.
  TokenClassificationHead(const BertConfig& config, ParameterArena& arena, int64_t num_labels);

  Schema labels() const override { return {{"labels", DType::kInt32, Per::kToken}}; }
  std::vector<LossTerm> terms() const override { return {{"classification", 1, Per::kToken}}; }
  std::vector<int64_t> count(const Batch& host) const override;
  int64_t first_offset() const override { return classifier_.first_offset(); }
  void plan(ActivationArena& arena, DType compute, const BatchLimits& limits, bool train) override;
  void forward(Backend& backend, const Batch& batch, const EncoderOutput& encoder, const Pass& pass) override;
  void backward(Backend& backend, const Batch& batch, const EncoderOutput& encoder, const Pass& pass,
                const EncoderOutput& d_encoder) override;
  Tensor logits(int /*term*/) const override { return classifier_.logits(); }

 private:
  Classifier classifier_;
};

// Transformers' BertForQuestionAnswering: logits(0) = logits(1) [T, 2] = hidden W^T + b, where an answer starts (column 0) and ends (column
// 1). Terms "start" and "end", each with weight 1/2: cross-entropy over the tokens of a sequence, labels start_positions and end_positions
// [B], places in the sequence. Needs no pooler. Source: Devlin et al. 2018, arXiv:1810.04805, section 4.2.
class QuestionAnsweringHead final : public Head {
 public:
  QuestionAnsweringHead(const BertConfig& config, ParameterArena& arena);  // declares qa_outputs.*

  Schema labels() const override;
  std::vector<LossTerm> terms() const override { return {{"start", 0.5f, Per::kToken}, {"end", 0.5f, Per::kToken}}; }
  std::vector<int64_t> count(const Batch& host) const override;
  int64_t first_offset() const override { return outputs_.weight().offset; }
  void plan(ActivationArena& arena, DType compute, const BatchLimits& limits, bool train) override;
  void forward(Backend& backend, const Batch& batch, const EncoderOutput& encoder, const Pass& pass) override;
  void backward(Backend& backend, const Batch& batch, const EncoderOutput& encoder, const Pass& pass,
                const EncoderOutput& d_encoder) override;
  Tensor logits(int /*term*/) const override { return logits_; }

 private:
  Linear outputs_;
  const PlannedTensor* planned_logits_ = nullptr;
  Tensor logits_;  // of the last forward
};

}  // namespace mpibert
