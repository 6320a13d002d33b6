#include "interop/d2l_names.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <span>
#include <utility>

namespace mpibert {

namespace {

using Pair = std::pair<std::string_view, std::string_view>;

constexpr std::array<Pair, 7> kLayers = {{{"encoder.token_embedding", "bert.embeddings.word_embeddings"},
                                          {"encoder.segment_embedding", "bert.embeddings.token_type_embeddings"},
                                          {"hidden", "bert.pooler.dense"},
                                          {"hidden.0", "bert.pooler.dense"},
                                          {"mlm.mlp.0", "cls.predictions.transform.dense"},
                                          {"nsp.output", "cls.seq_relationship"},
                                          {"output", "classifier"}}};

constexpr std::array<Pair, 8> kInBlock = {{{"attention.W_q", "attention.self.query"},
                                           {"attention.W_k", "attention.self.key"},
                                           {"attention.W_v", "attention.self.value"},
                                           {"attention.W_o", "attention.output.dense"},
                                           {"addnorm1.ln", "attention.output.LayerNorm"},
                                           {"ffn.dense1", "intermediate.dense"},
                                           {"ffn.dense2", "output.dense"},
                                           {"addnorm2.ln", "output.LayerNorm"}}};

std::string found_in(std::span<const Pair> pairs, std::string_view theirs) {
  const auto pair = std::find_if(pairs.begin(), pairs.end(), [&](const Pair& each) { return each.first == theirs; });
  return pair == pairs.end() ? "" : std::string(pair->second);
}

std::string layer_name(std::string_view layer) {
  constexpr std::string_view kBlocks = "encoder.blks.";
  if (!layer.starts_with(kBlocks)) return found_in(kLayers, layer);
  layer.remove_prefix(kBlocks.size());
  const size_t digits = std::min(layer.find('.'), layer.size());
  const bool is_number = digits > 0 && std::all_of(layer.begin(), layer.begin() + static_cast<ptrdiff_t>(digits),
                                                   [](unsigned char c) { return std::isdigit(c) != 0; });
  const std::string part = is_number && digits < layer.size() ? found_in(kInBlock, layer.substr(digits + 1)) : "";
  return part.empty() ? "" : "bert.encoder.layer." + std::string(layer.substr(0, digits)) + "." + part;
}

}  // namespace

std::optional<TensorInfo> tensor_from_d2l(const TensorInfo& tensor, bool is_gluon) {
  TensorInfo found = tensor;
  if (tensor.name == "encoder.pos_embedding") {
    if (tensor.shape.rank() != 3 || tensor.shape[0] != 1 || !tensor.strides.empty()) return std::nullopt;
    found.name = "bert.embeddings.position_embeddings.weight";
    found.shape = {tensor.shape[1], tensor.shape[2]};
    return found;
  }
  const size_t dot = tensor.name.find_last_of('.');
  if (dot == std::string::npos) return std::nullopt;
  const std::string_view name(tensor.name), layer = name.substr(0, dot), variable = name.substr(dot + 1);
  const bool is_norm = variable == "gamma" || variable == "beta";
  if (!is_norm && variable != "weight" && variable != "bias") return std::nullopt;
  const std::string ending = variable == "weight" || variable == "gamma" ? ".weight" : ".bias";
  const bool is_decoder = layer == (is_gluon ? "mlm.mlp.2" : "mlm.mlp.3");
  const std::string ours = layer == (is_gluon ? "mlm.mlp.1" : "mlm.mlp.2") ? "cls.predictions.transform.LayerNorm" : layer_name(layer);
  if (ours.empty() && !is_decoder) return std::nullopt;
  found.name = is_decoder ? (variable == "weight" ? "cls.predictions.decoder.weight" : "cls.predictions.bias") : ours + ending;
  return found;
}

}  // namespace mpibert
