#include "mpibert/train/rates.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>
#include <string_view>

#include "mpibert/base/error.h"

namespace mpibert {

namespace {

constexpr std::string_view kLayer = "bert.encoder.layer.", kEmbeddings = "bert.embeddings";

// Whether `name` is `prefix`, or lies below it.
bool is_of(std::string_view name, std::string_view prefix) {
  return name.starts_with(prefix) && (name.size() == prefix.size() || name[prefix.size()] == '.');
}

std::optional<int64_t> layer_of(std::string_view name) {
  if (!name.starts_with(kLayer)) return std::nullopt;
  int64_t layer = 0;
  std::from_chars(name.data() + kLayer.size(), name.data() + name.size(), layer);
  return layer;
}

int64_t layers_of(const ParameterArena& arena) {
  int64_t layers = 0;
  for (const Parameter& p : arena.parameters()) layers = std::max(layers, layer_of(p.name).value_or(-1) + 1);
  return layers;
}

// "bert.embeddings, bert.encoder.layer.0, ..., classifier": what a name may be, without every tensor.
std::string groups_of(const ParameterArena& arena) {
  std::set<std::string> seen;
  std::string text;
  for (const Parameter& p : arena.parameters()) {
    const size_t parts = p.name.starts_with(kLayer) ? 4 : p.name.starts_with("bert.") || p.name.starts_with("cls.") ? 2 : 1;
    size_t end = 0;
    for (size_t i = 0; i < parts && end != std::string::npos; ++i) end = p.name.find('.', end + (i > 0));
    const std::string group = p.name.substr(0, end);
    if (seen.insert(group).second) text += (text.empty() ? "" : ", ") + group;
  }
  return text;
}

}  // namespace

void set_rates(ParameterArena& arena, const RateOptions& options) {
  const int64_t layers = layers_of(arena);
  MPIBERT_CHECK(options.layer_decay > 0 && options.layer_decay <= 1, kInvalidArgument, "layer decay ", options.layer_decay,
                ": expected more than 0 and at most 1");
  MPIBERT_CHECK(options.freeze_layers >= 0 && options.freeze_layers <= layers, kInvalidArgument, "the first ", options.freeze_layers,
                " layers are to be frozen, and the model has ", layers);
  std::vector<std::string> frozen = options.freeze;
  for (const std::string& name : options.freeze)
    MPIBERT_CHECK(std::ranges::any_of(arena.parameters(), [&](const Parameter& p) { return is_of(p.name, name); }), kInvalidArgument,
                  "there is nothing named '", name, "' to freeze; expected a parameter, or one of: bert, ", groups_of(arena));
  if (options.freeze_layers > 0) frozen.emplace_back(kEmbeddings);
  for (int64_t layer = 0; layer < options.freeze_layers; ++layer) frozen.push_back(str_cat(kLayer, layer));

  for (const Parameter& p : arena.parameters()) {
    if (p.constant) continue;
    const int64_t above = is_of(p.name, kEmbeddings) ? layers + 1 : layer_of(p.name) ? layers - *layer_of(p.name) : 0;
    const bool is_frozen = std::ranges::any_of(frozen, [&](const std::string& name) { return is_of(p.name, name); });
    arena.set_rate(p.name, is_frozen ? 0.0f : static_cast<float>(std::pow(options.layer_decay, static_cast<double>(above))));
  }
  MPIBERT_CHECK(arena.first_trained() < arena.size(), kInvalidArgument, "all parameters are frozen: nothing is left to train");
}

}  // namespace mpibert
