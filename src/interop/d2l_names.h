#pragma once

#include <optional>
#include <string>

#include "mpibert/interop/weights_reader.h"

namespace mpibert {

// Names of BERT in "Dive into Deep Learning", in its MXNet form (gamma, beta) and its PyTorch one. The model differs from Devlin's: no
// layer norm behind the embeddings, ReLU, a decoder of its own (embedding_layer_norm, hidden_act and tie_word_embeddings of config.json).
//   encoder.token_embedding.weight, segment_embedding.weight     bert.embeddings.word_, token_type_embeddings.weight
//   encoder.pos_embedding [1, S, H]                              bert.embeddings.position_embeddings.weight [S, H]
//   encoder.blks.0.attention.W_q, W_k, W_v, W_o                  bert.encoder.layer.0.attention.self.query, key, value,
//                                                                attention.output.dense
//   encoder.blks.0.addnorm1.ln, ffn.dense1, ffn.dense2,          attention.output.LayerNorm, intermediate.dense, output.dense,
//       addnorm2.ln                                              output.LayerNorm
//   hidden, hidden.0                                             bert.pooler.dense
//   mlm.mlp.0, mlm.mlp.1 (PyTorch: 2), mlm.mlp.2 (3)             cls.predictions.transform.dense, transform.LayerNorm,
//                                                                decoder (its bias: cls.predictions.bias)
//   nsp.output, output                                           cls.seq_relationship, classifier
// Source: chapter_natural-language-processing-pretraining/bert.md and the chapter on natural language inference with BERT of d2l-ai/d2l-en.

// The view that transformers' name means, with this name; none for a name that is not of the model. is_gluon: of the MXNet form, whose
// ReLUs have no number.
std::optional<TensorInfo> tensor_from_d2l(const TensorInfo& tensor, bool is_gluon);

}  // namespace mpibert
