#include "interop/tensorflow_names.h"

#include <algorithm>
#include <array>
#include <utility>

namespace mpibert {

namespace {

using Pair = std::pair<std::string_view, std::string_view>;

// Whole names that follow no rule: TensorFlow's, transformers'.
constexpr std::array<Pair, 7> kWhole = {{{"cls/predictions/output_bias", "cls.predictions.bias"},
                                         {"cls/seq_relationship/output_weights", "cls.seq_relationship.weight"},
                                         {"cls/seq_relationship/output_bias", "cls.seq_relationship.bias"},
                                         {"cls/squad/output_weights", "qa_outputs.weight"},
                                         {"cls/squad/output_bias", "qa_outputs.bias"},
                                         {"output_weights", "classifier.weight"},
                                         {"output_bias", "classifier.bias"}}};

// Endings, the longer first.
constexpr std::array<Pair, 7> kEndings = {{{"/LayerNorm/gamma", ".LayerNorm.weight"},
                                           {"/LayerNorm/beta", ".LayerNorm.bias"},
                                           {"/word_embeddings", ".word_embeddings.weight"},
                                           {"/position_embeddings", ".position_embeddings.weight"},
                                           {"/token_type_embeddings", ".token_type_embeddings.weight"},
                                           {"/kernel", ".weight"},
                                           {"/bias", ".bias"}}};

constexpr std::array<std::string_view, 3> kRoots = {"bert/", "cls/predictions/transform/", "cls/seq_relationship/"};
constexpr std::string_view kLayer = "/layer_", kDottedLayer = ".layer.";

void replace_first(std::string& text, std::string_view part, std::string_view with) {
  if (const size_t at = text.find(part); at != std::string::npos) text.replace(at, part.size(), with);
}

}  // namespace

std::optional<TensorflowName> name_from_tensorflow(std::string_view name) {
  for (const auto& [theirs, ours] : kWhole) {
    if (name == theirs) return TensorflowName{.name = std::string(ours)};
  }
  if (std::none_of(kRoots.begin(), kRoots.end(), [&](std::string_view root) { return name.starts_with(root); })) return std::nullopt;
  for (const auto& [theirs, ours] : kEndings) {
    if (!name.ends_with(theirs)) continue;
    std::string stem(name.substr(0, name.size() - theirs.size()));
    replace_first(stem, kLayer, kDottedLayer);
    std::replace(stem.begin(), stem.end(), '/', '.');
    return TensorflowName{.name = stem + std::string(ours), .is_transposed = theirs == "/kernel"};
  }
  return std::nullopt;
}

std::optional<TensorflowName> name_to_tensorflow(std::string_view canonical) {
  if (canonical.ends_with(".distance_embedding.weight")) return std::nullopt;  // of transformers' relative_key: Google's models have none
  for (const auto& [theirs, ours] : kWhole) {
    if (canonical == ours) return TensorflowName{.name = std::string(theirs)};
  }
  for (const auto& [theirs, ours] : kEndings) {
    if (!canonical.ends_with(ours)) continue;
    std::string stem(canonical.substr(0, canonical.size() - ours.size()));
    replace_first(stem, kDottedLayer, kLayer);
    std::replace(stem.begin(), stem.end(), '.', '/');
    TensorflowName name{.name = stem + std::string(theirs), .is_transposed = theirs == "/kernel"};
    // Another head's "classifier.dense.weight" has no name there.
    const std::optional<TensorflowName> back = name_from_tensorflow(name.name);
    return back && back->name == canonical ? std::optional(name) : std::nullopt;
  }
  return std::nullopt;
}

bool is_tensorflow_training_state(std::string_view name) {
  constexpr std::array<std::string_view, 8> kSlots = {
      "adam_m", "adam_v", "lamb_m", "lamb_v", "Adam", "Adam_1", "AdamWeightDecayOptimizer", "AdamWeightDecayOptimizer_1"};
  constexpr std::array<std::string_view, 5> kCounters = {"global_step", "beta1_power", "beta2_power", "save_counter",
                                                         "_CHECKPOINTABLE_OBJECT_GRAPH"};
  // tf.train.Checkpoint keeps slots below the variable, and the optimizer's own variables below "optimizer".
  if (name.find("/.OPTIMIZER_SLOT/") != std::string_view::npos || name.starts_with("optimizer/") || name.starts_with("save_counter/"))
    return true;
  const std::string_view last = name.substr(name.find_last_of('/') + 1);
  return std::find(kSlots.begin(), kSlots.end(), last) != kSlots.end() ||
         std::find(kCounters.begin(), kCounters.end(), name) != kCounters.end();
}

}  // namespace mpibert
