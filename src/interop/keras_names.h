#pragma once

#include <optional>
#include <string_view>

#include "mpibert/interop/weights_reader.h"

namespace mpibert {

// Names of BERT in TensorFlow 2, as the checkpoints of the TensorFlow model garden have them (tf_model_garden/nlp/bert,
// cloud-tpu-checkpoints/bert/keras_bert), each with
// "/.ATTRIBUTES/VARIABLE_VALUE" behind it. The first part is "encoder", "model" or absent:
//   encoder/layer_with_weights-0, 1, 2 /embeddings        bert.embeddings.word_, position_, token_type_embeddings.weight
//   encoder/layer_with_weights-3/gamma, beta              bert.embeddings.LayerNorm.weight, bias
//   encoder/layer_with_weights-(4 + i)/                   bert.encoder.layer.i.
//     _attention_layer/_query_dense/kernel [H, A, D]        attention.self.query.weight [H, H]       (key, value alike; biases are [A, D])
//     _attention_layer/_output_dense, or
//     _attention_output_dense/kernel [A, D, H]              attention.output.dense.weight [H, H]
//     _attention_layer_norm, _intermediate_dense,           attention.output.LayerNorm, intermediate.dense,
//         _output_dense, _output_layer_norm                 output.dense, output.LayerNorm
//   encoder/layer_with_weights-(4 + L)/kernel, bias, or
//   next_sentence..pooler_dense/kernel, bias              bert.pooler.dense.weight, bias
//   masked_lm/dense, layer_norm,                            cls.predictions.transform.dense, transform.LayerNorm,
//       embedding_table, output_bias.Sbias                  the word embeddings, cls.predictions.bias
//   model/classification_heads/0/out_proj/kernel, bias    cls.seq_relationship.weight, bias
// Sources: bert_pretrainer.py of the model garden; keras-hub's convert_bert.py; transformers'
// convert_bert_original_tf2_checkpoint_to_pytorch.py.
bool is_keras_name(std::string_view name);

// The view that transformers' name means, with this name; none for a name that is not of the model.
std::optional<TensorInfo> tensor_from_keras(const TensorInfo& tensor, const std::string& where);

}  // namespace mpibert
