#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mpibert/ops/ops.h"

namespace mpibert {

// How tokens know their places:
//   kAbsolute     a trained vector of each position is added to the embeddings
//   kSinusoidal   so is one of Init::kSinusoid, which is not trained. Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.5
//   kRelativeKey  nothing is added; every layer has trained embeddings of the distances between two tokens
//                 (AttentionForward::distance_embedding), up to the longest sequence
//   kRelativeKeyQuery  likewise, with DistanceUse::kQueriesAndKeys
//   kRelativeKeyValue  likewise, with DistanceUse::kQueriesAndValues and distances up to kMaxRelativePosition
enum class PositionEmbedding : uint8_t { kAbsolute, kSinusoidal, kRelativeKey, kRelativeKeyQuery, kRelativeKeyValue };

inline constexpr int64_t kMaxRelativePosition = 16;  // of MindSpore's BERT, which has it as a constant too

// config.json of a BERT model folder: names, meanings and defaults of transformers' BertConfig.
struct BertConfig {
  int64_t vocab_size = 30522;
  int64_t hidden_size = 768;  // a multiple of num_attention_heads
  int64_t num_hidden_layers = 12;
  int64_t num_attention_heads = 12;
  int64_t intermediate_size = 3072;
  int64_t max_position_embeddings = 512;  // longest sequence in tokens
  int64_t type_vocab_size = 2;
  std::string hidden_act = "gelu";                   // gelu (erf), gelu_new or gelu_pytorch_tanh (tanh), relu
  std::string position_embedding_type = "absolute";  // or sinusoidal, relative_key, relative_key_query, relative_key_value
  float hidden_dropout_prob = 0.1f;
  float attention_probs_dropout_prob = 0.1f;
  std::optional<float> classifier_dropout{};  // of classification heads; absent: hidden_dropout_prob
  float layer_norm_eps = 1e-12f;
  float initializer_range = 0.02f;
  bool tie_word_embeddings = true;   // false: the decoder of masked words has a matrix of its own
  bool embedding_layer_norm = true;  // false: no layer norm and no dropout behind the sum of the embeddings, as in "Dive into Deep
                                     // Learning"; no key of transformers

  // Keys of config.json that mean nothing here (id2label, architectures, ...), each with its value as JSON text. Written back as they were.
  std::map<std::string, std::string> other{};

  Activation activation() const;                 // of hidden_act
  PositionEmbedding position_embedding() const;  // of position_embedding_type
  bool has_distances() const;                    // relative_key, relative_key_query or relative_key_value
  DistanceUse distance_use() const;              // of those
  bool operator==(const BertConfig&) const = default;
};

// Throws kInvalidArgument naming the field: sizes from 1 (num_hidden_layers from 0), hidden_size a multiple of num_attention_heads, dropout
// in [0, 1), known hidden_act and position_embedding_type.
void check(const BertConfig& config);

// `text` is JSON; a missing key has its default, and so has a missing model_type (Google's bert_config.json has none). `where` names the
// source in errors. Throws kCorrupt on text that is not JSON or a value of the wrong kind; kInvalidArgument on another model_type than
// bert, is_decoder, pruned heads, and on what check() refuses. MindSpore's use_relative_positions means relative_key_value; with another
// position_embedding_type beside it that is kInvalidArgument too.
BertConfig config_from_json(std::string_view text, std::string_view where = "config.json");
std::string config_to_json(const BertConfig& config);  // indented, keys in order of the alphabet, a newline at the end
BertConfig read_config(const std::filesystem::path& path);
// Label names of a classifier's config.json (id2label), in order of number; empty if it has none.
std::vector<std::string> label_names_of(const BertConfig& config);

// Floating-point operations of one training step, forward and backward; padding and what is not a matrix product do not count:
//   L (24 H^2 T + 12 H I T + 12 H sum s^2) + 6 P (H^2 + H V),    for I = 4 H: L (72 H^2 T + 12 H sum s^2) + 6 P (H^2 + H V)
// With relative_key 18 H sum s^2 in the place of 12: a product of queries and distances beside those with keys and with values; 24 with
// relative_key_query and relative_key_value. T tokens, s the length of each sequence, P masked positions.
double training_flops(const BertConfig& config, int64_t tokens, double sum_of_squared_lengths, int64_t predictions);

}  // namespace mpibert
