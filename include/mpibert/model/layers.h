#pragma once

#include <optional>
#include <string>

#include "mpibert/data/batch.h"
#include "mpibert/model/config.h"
#include "mpibert/model/pass.h"
#include "mpibert/nn/activation_arena.h"
#include "mpibert/nn/layer_norm.h"
#include "mpibert/nn/linear.h"

// The three layers a BertModel is made of. Each declares its parameters when built, reserves its activations in plan(), and in backward
// adds to its parameters' gradients. Names of parameters are transformers'.

namespace mpibert {

// x [T, H] = dropout(LN(word[input_ids] + position[position_ids] + token_type[token_type_ids])), or the sum itself without
// embedding_layer_norm; no position where layers have distances, whose checkpoints have the table all the same (transformers' too).
class Embeddings {
 public:
  Embeddings(const BertConfig& config, ParameterArena& arena);
  void plan(ActivationArena& arena, DType compute, const BatchLimits& limits);
  Tensor forward(Backend& backend, const Batch& batch, const Pass& pass) const;  // returns x
  // `scratch` [T, H] compute may hold anything.
  void backward(Backend& backend, const Batch& batch, const Pass& pass, const Tensor& gradient, const Tensor& scratch) const;

 private:
  Dropout dropout(const Batch& batch, const Pass& pass) const;

  float dropout_rate_;
  int64_t hidden_size_;
  bool is_positioned_;  // the table of positions is used
  const Parameter &word_, &position_, &token_type_;
  std::optional<LayerNorm> norm_;
  struct Plan {
    const PlannedTensor *sum, *output, *mean, *rstd;
  } plan_{};
};

// One encoder layer, post-norm as in the paper; eight operations forward:
//   qkv       = x Wqkv^T + bqkv                                   matmul
//   context   = attention(qkv)                                    attention
//   norm1     = LN(dropout(context Wo^T + bo) + x)                matmul, layer norm
//   activated = act(norm1 W1^T + b1)                              matmul with activation
//   y         = LN(dropout(activated W2^T + b2) + norm1)          matmul, layer norm
// Sources: Vaswani et al. 2017, arXiv:1706.03762; Devlin et al. 2018, arXiv:1810.04805.
class EncoderLayer {
 public:
  EncoderLayer(const BertConfig& config, ParameterArena& arena, int64_t index);
  // Without `train` nothing is kept for backward: all layers share their activations.
  void plan(ActivationArena& arena, const Backend& backend, DType compute, const BatchLimits& limits, bool train);
  Tensor forward(Backend& backend, const Batch& batch, const Tensor& x, const Pass& pass) const;  // x, y [T, H]; returns y
  // In place: `gradient` is that of y, and then that of x. x must still hold what forward was given.
  void backward(Backend& backend, const Batch& batch, const Tensor& x, const Pass& pass, const Tensor& gradient) const;
  int64_t first_offset() const { return qkv_.weight().offset; }

 private:
  Dropout dropout(DropoutSite site, float rate, const Batch& batch, const Pass& pass) const;
  Tensor attention_saved(const Backend& backend, const Batch& batch) const;
  void forward_attention(Backend& backend, const Batch& batch, const Tensor& x, const Pass& pass) const;
  Tensor forward_feed_forward(Backend& backend, const Batch& batch, const Pass& pass) const;
  void backward_feed_forward(Backend& backend, const Batch& batch, const Pass& pass, const Tensor& gradient) const;
  void backward_attention(Backend& backend, const Batch& batch, const Tensor& x, const Pass& pass, const Tensor& gradient) const;

  int64_t index_, hidden_size_, heads_, intermediate_size_;
  float hidden_dropout_, attention_dropout_;
  Activation activation_;
  Linear qkv_;
  const Parameter* distances_;  // null unless BertConfig::has_distances()
  DistanceUse distance_use_;
  Linear attention_output_;
  LayerNorm attention_norm_;
  Linear intermediate_, output_;
  LayerNorm output_norm_;

  struct Plan {
    const PlannedTensor *qkv, *attention, *context, *sum1, *norm1, *mean1, *rstd1, *inner, *activated, *sum2, *output, *mean2, *rstd2;
    const PlannedTensor *d_branch, *d_wide;  // scratch [T, H], [T, max(I, 4 H)]
  } plan_{};
};

// pooled [B, H] = tanh(x[first token of each sequence] W^T + b)
class Pooler {
 public:
  Pooler(const BertConfig& config, ParameterArena& arena);
  void plan(ActivationArena& arena, DType compute, const BatchLimits& limits);
  Tensor forward(Backend& backend, const Batch& batch, const Tensor& x) const;
  // Adds to d_x; `d_pooled` is overwritten.
  void backward(Backend& backend, const Batch& batch, const Tensor& d_pooled, const Tensor& d_x) const;
  int64_t first_offset() const { return dense_.weight().offset; }

 private:
  int64_t hidden_size_;
  Linear dense_;
  struct Plan {
    const PlannedTensor *first, *before, *pooled, *d_first;
  } plan_{};
};

}  // namespace mpibert
