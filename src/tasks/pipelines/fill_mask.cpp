#include <algorithm>
#include <cmath>
#include <numeric>

#include "mpibert/base/error.h"
#include "mpibert/base/log.h"
#include "mpibert/model/heads.h"
#include "tasks/pipelines/pipelines.h"

namespace mpibert {

namespace {

struct Filling {
  BertTokenizer tokenizer;
  std::vector<int32_t> ids, masked;  // of the sequence; places of [MASK] in it
  std::vector<int32_t> candidates;   // the targets' ids; empty: all
  int64_t top_k;

  // The tokens with the largest logits, largest first; of equal ones the smaller id first.
  std::vector<int32_t> best(std::span<const float> logits) const {
    std::vector<int32_t> tokens = candidates;
    if (tokens.empty()) {
      tokens.resize(logits.size());
      std::iota(tokens.begin(), tokens.end(), 0);
    }
    const auto end = tokens.begin() + std::min(top_k, static_cast<int64_t>(tokens.size()));
    const auto at = [&](int32_t token) { return logits[static_cast<size_t>(token)]; };
    std::partial_sort(tokens.begin(), end, tokens.end(), [&](int32_t a, int32_t b) { return at(a) > at(b) || (at(a) == at(b) && a < b); });
    tokens.erase(end, tokens.end());
    return tokens;
  }

  nlohmann::ordered_json proposition(int32_t place, int32_t token, double score) const {
    std::vector<int32_t> filled = ids;
    filled[static_cast<size_t>(place)] = token;
    std::erase(filled, tokenizer.vocabulary().pad_id());
    // With several masks the others stay in the text, and so do all special tokens.
    return {{"score", score},
            {"token", token},
            {"token_str", tokenizer.decode(std::span(&token, 1))},
            {"sequence", tokenizer.decode(filled, masked.size() == 1)}};
  }

  std::string result(std::span<const float> logits) const {
    const size_t vocabulary = logits.size() / masked.size();
    nlohmann::ordered_json lists = nlohmann::ordered_json::array();
    for (size_t i = 0; i < masked.size(); ++i) {
      const std::span<const float> row = logits.subspan(i * vocabulary, vocabulary);
      const double largest = *std::ranges::max_element(row);
      const double total = std::accumulate(row.begin(), row.end(), 0.0,
                                           [&](double sum, float logit) { return sum + std::exp(static_cast<double>(logit) - largest); });
      nlohmann::ordered_json list = nlohmann::ordered_json::array();
      for (const int32_t token : best(row))
        list.push_back(proposition(masked[i], token, std::exp(static_cast<double>(row[static_cast<size_t>(token)]) - largest) / total));
      lists.push_back(std::move(list));
    }
    return json_line(masked.size() == 1 ? lists[0] : lists);
  }
};

// A target that is no token of the vocabulary stands for the first token it is split into, as in transformers.
std::vector<int32_t> ids_of_targets(const std::vector<std::string>& targets, const BertTokenizer& tokenizer) {
  std::vector<int32_t> ids;
  for (const std::string& target : targets) {
    int32_t id = tokenizer.vocabulary().id(target);
    if (id < 0) {
      const std::vector<int32_t> pieces = tokenizer.ids(target);
      MPIBERT_CHECK(!pieces.empty(), kUsage, "the target '", target, "' has no tokens; give words");
      id = pieces[0];
      log_warning("the target '", target, "' is not in the vocabulary; '", tokenizer.vocabulary().token(id), "' is taken in its place");
    }
    if (std::ranges::find(ids, id) == ids.end()) ids.push_back(id);
  }
  return ids;
}

}  // namespace

// transformers' FillMaskPipeline: the top_k best tokens for a [MASK], as {"score", "token", "token_str", "sequence"}; of several masks a
// list each.
Pipeline fill_mask(const PipelineModel& model, const PipelineOptions& options) {
  constexpr int64_t kDefaultTopK = 5;
  const BertTokenizer& tokenizer = model.tokenizer;
  MPIBERT_CHECK(tokenizer.vocabulary().mask_id() >= 0, kInvalidArgument, model.folder.string(),
                ": the vocabulary has no [MASK], which fill-mask needs");
  const std::vector<int32_t> targets = ids_of_targets(options.targets, tokenizer);
  const auto checked_top_k = [vocabulary = model.config.vocab_size](int64_t top_k, ErrorKind kind, const std::string& where) {
    if (top_k < 1 || top_k > vocabulary)
      throw Error(kind, str_cat(where, ": top_k is ", top_k, "; it must be from 1 to the size of the vocabulary, ", vocabulary));
    return top_k;
  };
  const int64_t top_k = checked_top_k(options.top_k.value_or(kDefaultTopK), ErrorKind::kUsage, "--top-k");
  const auto call = [tokenizer, targets, top_k, checked_top_k,
                     encode = PipelineEncoder(model, options)](const PipelineInput& input) -> PipelineCall {
    const PipelineArguments arguments(input, {"inputs", "text", "targets", "top_k"});
    const Encoding encoding = encode(arguments.text({"inputs", "text"}), std::nullopt, arguments.where());
    Filling filling{.tokenizer = tokenizer,
                    .ids = encoding.ids,
                    .masked = {},
                    .candidates = arguments.has("targets") ? ids_of_targets(arguments.texts_or("targets", {}), tokenizer) : targets,
                    .top_k = checked_top_k(*arguments.integer_or("top_k", top_k), ErrorKind::kCorrupt, arguments.where())};
    for (size_t i = 0; i < encoding.ids.size(); ++i)
      if (encoding.ids[i] == tokenizer.vocabulary().mask_id()) filling.masked.push_back(static_cast<int32_t>(i));
    MPIBERT_CHECK(!filling.masked.empty(), kCorrupt, arguments.where(),
                  ": no [MASK] found in the input, or beyond the longest sequence; fill-mask says what stands in its place");
    return {.sequences = {{encoding, filling.masked}},
            .result = [filling](std::span<const std::vector<float>> logits) { return filling.result(logits[0]); }};
  };
  return {.head = {[](const BertConfig& config, ParameterArena& arena) { return std::make_unique<MaskedLmHead>(config, arena); }, false},
          .head_name = "a masked-LM head (BertForMaskedLM, BertForPreTraining)",
          .call = call};
}

}  // namespace mpibert
