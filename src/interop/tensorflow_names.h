#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace mpibert {

// Names of Google's BERT in TensorFlow 1, and those of transformers:
//   bert/embeddings/word_embeddings                       bert.embeddings.word_embeddings.weight        (position_, token_type_ alike)
//   bert/encoder/layer_0/attention/self/query/kernel [in, out]   bert.encoder.layer.0.attention.self.query.weight [out, in]
//   .../LayerNorm/gamma, beta                             ...LayerNorm.weight, bias
//   cls/predictions/output_bias                           cls.predictions.bias
//   cls/seq_relationship/output_weights, output_bias      cls.seq_relationship.weight, bias
//   cls/squad/output_weights, output_bias                 qa_outputs.weight, bias
//   output_weights, output_bias                           classifier.weight, bias
// Only kernels are transposed. Sources: modeling.py, run_pretraining.py, run_classifier.py, run_squad.py of google-research/bert;
// load_tf_weights_in_bert of transformers.
struct TensorflowName {
  std::string name{};
  bool is_transposed = false;
  bool operator==(const TensorflowName&) const = default;
};

// None for a name that is not of the model.
std::optional<TensorflowName> name_from_tensorflow(std::string_view name);
std::optional<TensorflowName> name_to_tensorflow(std::string_view canonical);

// Slots and counters of the optimizers that such checkpoints were trained with.
bool is_tensorflow_training_state(std::string_view name);

}  // namespace mpibert
