#include "interop/keras_names.h"

#include <array>
#include <charconv>
#include <utility>

#include "interop/weight_names.h"
#include "mpibert/base/error.h"

namespace mpibert {

namespace {

using Pair = std::pair<std::string_view, std::string_view>;

constexpr std::string_view kEnding = "/.ATTRIBUTES/VARIABLE_VALUE";
constexpr std::string_view kLayer = "layer_with_weights-";
constexpr int kFirstEncoderLayer = 4;

constexpr std::array<Pair, 5> kWhole = {{{"masked_lm/dense", "cls.predictions.transform.dense"},
                                         {"masked_lm/layer_norm", "cls.predictions.transform.LayerNorm"},
                                         {"masked_lm", "bert.embeddings.word_embeddings"},
                                         {"next_sentence..pooler_dense", "bert.pooler.dense"},
                                         {"classification_heads/0/out_proj", "cls.seq_relationship"}}};

constexpr std::array<Pair, 9> kInLayer = {{{"_attention_layer/_query_dense", "attention.self.query"},
                                           {"_attention_layer/_key_dense", "attention.self.key"},
                                           {"_attention_layer/_value_dense", "attention.self.value"},
                                           {"_attention_layer/_output_dense", "attention.output.dense"},
                                           {"_attention_output_dense", "attention.output.dense"},
                                           {"_attention_layer_norm", "attention.output.LayerNorm"},
                                           {"_intermediate_dense", "intermediate.dense"},
                                           {"_output_dense", "output.dense"},
                                           {"_output_layer_norm", "output.LayerNorm"}}};

constexpr std::array<std::string_view, 3> kEmbeddings = {"word", "position", "token_type"};

std::optional<std::string_view> find(std::span<const Pair> pairs, std::string_view theirs) {
  for (const Pair& pair : pairs) {
    if (pair.first == theirs) return pair.second;
  }
  return std::nullopt;
}

// The layer's name; `variable` says which of its variables is meant.
std::optional<std::string> layer_name(std::string_view path, std::string_view variable) {
  if (const auto name = find(kWhole, path)) return std::string(*name);
  if (!path.starts_with(kLayer)) return std::nullopt;
  path.remove_prefix(kLayer.size());
  int number = -1;
  const auto [end, error] = std::from_chars(path.data(), path.data() + path.size(), number);
  const std::string_view rest = path.substr(static_cast<size_t>(end - path.data()));
  if (error != std::errc{} || number < 0) return std::nullopt;
  if (rest.empty() && variable == "embeddings" && number < 3)
    return str_cat("bert.embeddings.", kEmbeddings[static_cast<size_t>(number)], "_embeddings");
  if (rest.empty() && number == 3 && (variable == "gamma" || variable == "beta")) return "bert.embeddings.LayerNorm";
  if (number < kFirstEncoderLayer) return std::nullopt;
  if (rest.empty() && (variable == "kernel" || variable == "bias")) return "bert.pooler.dense";
  const auto part = rest.starts_with('/') ? find(kInLayer, rest.substr(1)) : std::nullopt;
  return part ? std::optional(str_cat("bert.encoder.layer.", number - kFirstEncoderLayer, ".", *part)) : std::nullopt;
}

// Heads apart, [H, A, D], become one dimension; of the output they are the first two, [A, D, H].
Shape without_heads(const Shape& shape, bool is_kernel, bool is_output) {
  if (!is_kernel && shape.rank() == 2) return {shape[0] * shape[1]};
  if (!is_kernel || shape.rank() != 3) return shape;
  return is_output ? Shape{shape[0] * shape[1], shape[2]} : Shape{shape[0], shape[1] * shape[2]};
}

}  // namespace

bool is_keras_name(std::string_view name) { return name.ends_with(kEnding); }

std::optional<TensorInfo> tensor_from_keras(const TensorInfo& tensor, const std::string& where) {
  std::string_view path = tensor.name;
  if (!is_keras_name(path)) return std::nullopt;
  path.remove_suffix(kEnding.size());
  for (const std::string_view root : {"encoder/", "model/"}) {
    if (path.starts_with(root)) {
      path.remove_prefix(root.size());
      break;
    }
  }
  const size_t slash = path.find_last_of('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::string_view variable = path.substr(slash + 1);
  TensorInfo found = tensor;
  if (path == "masked_lm/output_bias.Sbias") {
    found.name = "cls.predictions.bias";
    return found;
  }
  constexpr std::array<Pair, 6> kVariables = {{{"kernel", ".weight"},
                                               {"gamma", ".weight"},
                                               {"embeddings", ".weight"},
                                               {"embedding_table", ".weight"},
                                               {"bias", ".bias"},
                                               {"beta", ".bias"}}};
  const auto kind = find(kVariables, variable);
  const std::optional<std::string> layer = layer_name(path.substr(0, slash), variable);
  if (!kind || !layer) return std::nullopt;
  const bool is_kernel = variable == "kernel", is_in_attention = layer->find(".attention.") != std::string::npos;
  if (is_in_attention) found.shape = without_heads(tensor.shape, is_kernel, layer->ends_with("output.dense"));
  if (is_kernel) found = transposed(std::move(found), where);
  found.name = *layer + std::string(*kind);
  return found;
}

}  // namespace mpibert
