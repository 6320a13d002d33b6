#include "interop/weight_names.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <utility>

#include "interop/d2l_names.h"
#include "interop/keras_names.h"
#include "interop/tensorflow_names.h"
#include "mpibert/base/error.h"
#include "mpibert/interop/model_folder.h"

namespace mpibert {

using Role = ModelTensor::Role;

namespace {

constexpr std::string_view kDecoderWeight = "cls.predictions.decoder.weight", kWordEmbeddings = "bert.embeddings.word_embeddings.weight";

// A matrix, with strides.
TensorInfo matrix(TensorInfo tensor, const std::string& where) {
  MPIBERT_CHECK(tensor.shape.rank() == 2, kCorrupt, where, ": tensor \"", tensor.name, "\" is ", tensor.shape.text(),
                ", expected a matrix");
  if (tensor.strides.empty()) tensor.strides = {tensor.shape[1], 1};
  return tensor;
}

ModelTensor of_transformers(const TensorInfo& tensor, const std::string&) {
  const std::string name = canonical_weight_name(tensor.name);
  return {.name = name, .role = is_known_buffer(name) ? Role::kBuffer : Role::kParameter, .tensor = tensor};
}

ModelTensor of_tensorflow(const TensorInfo& tensor, const std::string& where) {
  if (is_tensorflow_training_state(tensor.name)) return {.name = tensor.name, .role = Role::kTrainingState, .tensor = tensor};
  const std::optional<TensorflowName> name = name_from_tensorflow(tensor.name);
  if (!name) return {.name = tensor.name, .role = Role::kUnknown, .tensor = tensor};
  return {.name = name->name, .tensor = name->is_transposed ? transposed(tensor, where) : tensor};
}

ModelTensor of_d2l(const TensorInfo& tensor, bool is_gluon) {
  std::optional<TensorInfo> found = tensor_from_d2l(tensor, is_gluon);
  if (!found) return {.name = tensor.name, .role = Role::kUnknown, .tensor = tensor};
  const std::string name = std::exchange(found->name, tensor.name);
  return {.name = name, .tensor = std::move(*found)};
}

// MindSpore's cells of the same model: self_attn for self, layer_norm with gamma and beta, embedding_table. Beside them lies what an
// optimizer keeps. Source: src/bert.py and src/utils.py (convert_state_dict) of cqunlp/bert; for use_relative_positions the model zoo's
// bert_model.py, where the distance of query i and key j is j - i.
ModelTensor of_mindspore(const TensorInfo& tensor, const std::string& where) {
  constexpr std::array<std::string_view, 8> kStates = {"adam_m.",  "adam_v.",     "moment1.",    "moment2.",
                                                       "moments.", "global_step", "beta1_power", "beta2_power"};
  constexpr std::array<std::string_view, 5> kCounters = {"learning_rate", "epoch_num", "step_num", "scale_sense", "current_iterator_step"};
  const bool is_state = std::any_of(kStates.begin(), kStates.end(), [&](std::string_view state) { return tensor.name.starts_with(state); });
  if (is_state || std::find(kCounters.begin(), kCounters.end(), tensor.name) != kCounters.end())
    return {.name = tensor.name, .role = Role::kTrainingState, .tensor = tensor};
  constexpr std::string_view kDistances = "._generate_relative_positions_embeddings.embeddings_table";
  TensorInfo renamed = tensor.name.ends_with(kDistances) ? reversed(tensor, where) : tensor;
  const auto replace = [&](std::string_view part, std::string_view with) {
    if (const size_t at = renamed.name.find(part); at != std::string::npos) renamed.name.replace(at, part.size(), with);
  };
  replace(".self_attn.", ".self.");
  replace(".layer_norm.gamma", ".LayerNorm.weight");
  replace(".layer_norm.beta", ".LayerNorm.bias");
  replace("_embeddings.embedding_table", "_embeddings.weight");
  replace(kDistances, ".distance_embedding.weight");
  ModelTensor found = of_transformers(renamed, where);
  found.tensor.name = tensor.name;
  return found;
}

ModelTensor of_keras(const TensorInfo& tensor, const std::string& where) {
  if (is_tensorflow_training_state(tensor.name)) return {.name = tensor.name, .role = Role::kTrainingState, .tensor = tensor};
  std::optional<TensorInfo> found = tensor_from_keras(tensor, where);
  if (!found) return {.name = tensor.name, .role = Role::kUnknown, .tensor = tensor};
  const std::string name = std::exchange(found->name, tensor.name);
  return {.name = name, .tensor = std::move(*found)};
}

// The tied embeddings may stand twice, and so may the pooler: one trained with next-sentence prediction lies beside one of the encoder that
// was not.
void drop_doubles(std::vector<ModelTensor>& tensors) {
  const auto prefers = [](std::string_view name) {
    return name.starts_with("masked_lm/embedding_table/") ? 1 : name.starts_with("next_sentence..pooler_dense/") ? 2 : 0;
  };
  for (const ModelTensor& kept : tensors) {
    if (prefers(kept.tensor.name) == 0) continue;
    for (ModelTensor& other : tensors) {
      if (&other != &kept && other.role == Role::kParameter && other.name == kept.name)
        other = {.name = other.tensor.name, .role = Role::kBuffer, .tensor = other.tensor};
    }
  }
}

}  // namespace

std::vector<ModelTensor> model_tensors(const WeightsReader& reader) {
  const std::vector<TensorInfo>& stored = reader.tensors();
  const auto any = [&](const auto& is_so) {
    return std::any_of(stored.begin(), stored.end(), [&](const TensorInfo& tensor) { return is_so(std::string_view(tensor.name)); });
  };
  const bool is_gluon = any([](std::string_view name) { return name.ends_with(".gamma"); });
  const bool is_keras = any(is_keras_name);
  std::function<ModelTensor(const TensorInfo&, const std::string&)> convention = of_transformers;
  if (is_keras) {
    convention = of_keras;
  } else if (any([](std::string_view name) { return name.starts_with("bert/"); })) {
    convention = of_tensorflow;
  } else if (any([](std::string_view name) { return name.starts_with("encoder.blks."); })) {
    convention = [=](const TensorInfo& tensor, const std::string&) { return of_d2l(tensor, is_gluon); };
  } else if (any([](std::string_view name) { return name.ends_with("_embeddings.embedding_table"); })) {
    convention = of_mindspore;
  }
  std::vector<ModelTensor> tensors;
  for (const TensorInfo& tensor : stored) tensors.push_back(convention(tensor, reader.files()[tensor.file].string()));
  if (is_keras) drop_doubles(tensors);
  return tensors;
}

bool is_decoder(std::string_view name) { return name == kDecoderWeight || name == kDecoderBias; }

void check_tied(const WeightsReader& reader, const std::vector<ModelTensor>& tensors, const ModelTensor& decoder,
                const std::string& where) {
  const std::string_view repeats = decoder.name == kDecoderWeight ? kWordEmbeddings : kPredictionsBias;
  const auto original = std::find_if(tensors.begin(), tensors.end(), [&](const ModelTensor& tensor) { return tensor.name == repeats; });
  if (original == tensors.end()) return;
  MPIBERT_CHECK(
      decoder.tensor.shape == original->tensor.shape && reader.read_floats(decoder.tensor) == reader.read_floats(original->tensor),
      kInvalidArgument, where, ": \"", decoder.tensor.name, "\" differs from \"", original->tensor.name,
      "\"; BERT ties the two, and a model that does not says \"tie_word_embeddings\": false in config.json (Google's for TensorFlow "
      "cannot)");
}

void check_finite(const WeightsReader& reader, const TensorInfo& tensor, std::span<const float> values) {
  const auto bad = std::find_if(values.begin(), values.end(), [](float value) { return !std::isfinite(value); });
  MPIBERT_CHECK(bad == values.end(), kCorrupt, reader.files()[tensor.file].string(), ": tensor \"", tensor.name, "\": number ",
                bad - values.begin(), " of ", values.size(), " is ", *bad,
                "; the training that wrote it had diverged, take an earlier checkpoint of it");
}

void refuse_unknown(const std::vector<ModelTensor>& tensors, const std::string& where) {
  std::vector<std::string> unknown;
  for (const ModelTensor& tensor : tensors) {
    if (tensor.role == Role::kUnknown) unknown.push_back(tensor.tensor.name);
  }
  MPIBERT_CHECK(unknown.empty(), kInvalidArgument, where, ": tensors that are none of BERT's: ", listed_names(unknown));
}

std::string listed_names(const std::vector<std::string>& names, size_t shown) {
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), shown); ++i) text += (i == 0 ? "" : ", ") + names[i];
  return names.size() > shown ? str_cat(text, " and ", names.size() - shown, " more") : text;
}

TensorInfo transposed(TensorInfo tensor, const std::string& where) {
  tensor = matrix(std::move(tensor), where);
  std::swap(tensor.strides[0], tensor.strides[1]);
  tensor.shape = {tensor.shape[1], tensor.shape[0]};
  return tensor;
}

TensorInfo reversed(TensorInfo tensor, const std::string& where) {
  tensor = matrix(std::move(tensor), where);
  if (tensor.shape[0] == 0) return tensor;
  tensor.begin += static_cast<uint64_t>((tensor.shape[0] - 1) * tensor.strides[0]) * bytes_of(tensor.dtype);
  tensor.strides[0] = -tensor.strides[0];
  return tensor;
}

}  // namespace mpibert
