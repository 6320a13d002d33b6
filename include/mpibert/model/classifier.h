#pragma once

#include "mpibert/model/config.h"
#include "mpibert/model/pass.h"
#include "mpibert/nn/activation_arena.h"
#include "mpibert/nn/linear.h"

namespace mpibert {

// What the heads of labels have in common: logits [rows, C] = dropout(x) W^T + b, x [rows, H]. The dropout is classifier_dropout, or
// hidden_dropout_prob where a configuration has none, as in transformers.
class Classifier {
 public:
  Classifier(const BertConfig& config, ParameterArena& arena, int64_t outputs);  // declares classifier.*
  int64_t first_offset() const { return linear_.weight().offset; }

  void plan(ActivationArena& arena, DType compute, int64_t rows, bool train);
  // keys [rows] int32 are those of the dropout: token_keys or sequence_keys of the batch. x must last until backward.
  void forward(Backend& backend, const Tensor& x, const Tensor& keys, const Pass& pass);
  // After the loss has put gradients in the logits' place. Adds to the parameters' gradients, writes d_x.
  void backward(Backend& backend, const Tensor& keys, const Pass& pass, const Tensor& d_x) const;
  const Tensor& logits() const { return logits_; }  // [rows, C] compute, of the last forward

 private:
  Dropout dropout(const Tensor& keys, const Pass& pass) const;

  int64_t hidden_size_, outputs_;
  float dropout_rate_;
  Linear linear_;
  struct Plan {
    const PlannedTensor *dropped, *logits;  // the first where the model drops and is trained
  } plan_{};
  Tensor input_, logits_;  // of the last forward; input_ is dropout(x)
};

}  // namespace mpibert
