#include <algorithm>
#include <memory>

#include "mpibert/base/error.h"
#include "mpibert/model/heads.h"
#include "mpibert/tasks/task.h"
#include "tasks/character_index.h"
#include "tasks/pipelines/pipelines.h"

namespace mpibert {

namespace {

enum class Aggregation : uint8_t { kNone, kSimple, kFirst, kAverage, kMax };

Aggregation aggregation_named(const std::string& name, const std::string& where) {
  const std::vector<std::pair<std::string, Aggregation>> known = {{"none", Aggregation::kNone},
                                                                  {"simple", Aggregation::kSimple},
                                                                  {"first", Aggregation::kFirst},
                                                                  {"average", Aggregation::kAverage},
                                                                  {"max", Aggregation::kMax}};
  for (const auto& [each, aggregation] : known)
    if (each == name) return aggregation;
  throw Error(ErrorKind::kCorrupt,
              str_cat(where, ": aggregation_strategy is '", name, "'; there are none, simple, first, average and max"));
}

// A token of the text, or a word of several.
struct Piece {
  std::string word;
  std::vector<double> scores;  // by label
  int32_t begin = 0, end = 0;  // characters of the text
  size_t index = 0;            // in the sequence
  bool continues = false;      // the word of the token before
  size_t label = 0;            // decided by the scores, or by those of its tokens
  double score = 0;
};

void decide(Piece& piece, const std::vector<double>& scores) {
  const auto best = std::ranges::max_element(scores);
  piece.label = static_cast<size_t>(best - scores.begin());
  piece.score = *best;
}

std::vector<Piece> pieces_of(const BertTokenizer& tokenizer, const std::string& text, const Encoding& encoding,
                             std::span<const float> logits, size_t labels) {
  const CharacterIndex characters(text);
  std::vector<Piece> pieces;
  for (size_t i = 0; i < encoding.ids.size(); ++i) {
    if (encoding.special_tokens_mask[i]) continue;
    const Span place = encoding.char_offsets[i];
    Piece& piece = pieces.emplace_back(Piece{.word = tokenizer.vocabulary().token(encoding.ids[i]),
                                             .scores = softmax(logits.subspan(i * labels, labels)),
                                             .begin = place.begin,
                                             .end = place.end,
                                             .index = i});
    const bool is_unknown = encoding.ids[i] == tokenizer.vocabulary().unk_id();
    piece.continues = !is_unknown && character_count(piece.word) != place.end - place.begin;
    if (is_unknown) piece.word = characters.text(place.begin, place.end);
    decide(piece, piece.scores);
  }
  return pieces;
}

std::string joined(std::span<const Piece> pieces) {
  std::vector<std::string> words;
  for (const Piece& piece : pieces) words.push_back(piece.word);
  return join_pieces(words);
}

// A word of its tokens; its label is that of the first, of the surest, or of the mean of their scores.
Piece word_of(std::span<const Piece> tokens, Aggregation aggregation) {
  Piece word{.word = joined(tokens), .scores = {}, .begin = tokens.front().begin, .end = tokens.back().end, .index = tokens.front().index};
  const auto surest = std::ranges::max_element(tokens, {}, &Piece::score);
  if (aggregation != Aggregation::kAverage) {
    decide(word, aggregation == Aggregation::kFirst ? tokens.front().scores : surest->scores);
    return word;
  }
  std::vector<double> mean(tokens.front().scores.size());
  for (const Piece& token : tokens)
    for (size_t i = 0; i < mean.size(); ++i) mean[i] += token.scores[i] / static_cast<double>(tokens.size());
  decide(word, mean);
  return word;
}

std::vector<Piece> words_of(std::span<const Piece> tokens, Aggregation aggregation) {
  std::vector<Piece> words;
  for (size_t begin = 0, end = 0; begin < tokens.size(); begin = end) {
    end = begin + 1;
    while (end < tokens.size() && tokens[end].continues) ++end;
    words.push_back(word_of(tokens.subspan(begin, end - begin), aggregation));
  }
  return words;
}

struct TokenClassification {
  BertTokenizer tokenizer;
  std::vector<std::string> names;
  Aggregation aggregation;
  std::vector<std::string> ignored;

  // Without B- or I-.
  std::string_view type_of(size_t label) const {
    const std::string_view name = names[label];
    return name.starts_with("B-") || name.starts_with("I-") ? name.substr(2) : name;
  }
  bool is_ignored(const std::string& name) const { return std::ranges::find(ignored, name) != ignored.end(); }

  nlohmann::ordered_json tokens(std::span<const Piece> pieces) const {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const Piece& piece : pieces)
      if (!is_ignored(names[piece.label]))
        list.push_back({{"entity", names[piece.label]},
                        {"score", piece.score},
                        {"index", piece.index},
                        {"word", piece.word},
                        {"start", piece.begin},
                        {"end", piece.end}});
    return list;
  }

  // Neighbours of one type are one, unless the second begins anew. Its name is what stands behind the first's first '-'.
  nlohmann::ordered_json groups(std::span<const Piece> pieces) const {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (size_t begin = 0, end = 0; begin < pieces.size(); begin = end) {
      double score = pieces[begin].score;
      for (end = begin + 1; end < pieces.size(); ++end) {
        if (type_of(pieces[end].label) != type_of(pieces[end - 1].label) || names[pieces[end].label].starts_with("B-")) break;
        score += pieces[end].score;
      }
      const std::string& first = names[pieces[begin].label];
      const std::string name = first.substr(first.find('-') + 1);
      if (is_ignored(name)) continue;
      list.push_back({{"entity_group", name},
                      {"score", score / static_cast<double>(end - begin)},
                      {"word", joined(pieces.subspan(begin, end - begin))},
                      {"start", pieces[begin].begin},
                      {"end", pieces[end - 1].end}});
    }
    return list;
  }

  std::string result(const std::string& text, const Encoding& encoding, std::span<const float> logits) const {
    const std::vector<Piece> pieces = pieces_of(tokenizer, text, encoding, logits, names.size());
    if (aggregation == Aggregation::kNone) return json_line(tokens(pieces));
    return json_line(groups(aggregation == Aggregation::kSimple ? pieces : words_of(pieces, aggregation)));
  }
};

}  // namespace

// transformers' TokenClassificationPipeline: of each token {"entity", "score", "index", "word", "start", "end"}, or of each group
// {"entity_group", "score", "word", "start", "end"}.
Pipeline token_classification(const PipelineModel& model, const PipelineOptions& options) {
  const TokenClassification common{.tokenizer = model.tokenizer,
                                   .names = pipeline_labels(model.config),
                                   .aggregation = aggregation_named(options.aggregation_strategy, "--aggregation-strategy"),
                                   .ignored = comma_separated(options.ignore_labels)};
  const auto labels = static_cast<int64_t>(common.names.size());
  return {.head = {[labels](const BertConfig& config, ParameterArena& arena) {
                     return std::make_unique<TokenClassificationHead>(config, arena, labels);
                   },
                   false},
          .head_name = "a token classifier (BertForTokenClassification)",
          .call = [common, encode = PipelineEncoder(model, options),
                   flag = options.aggregation_strategy](const PipelineInput& input) -> PipelineCall {
            const PipelineArguments arguments(input, {"inputs", "text", "aggregation_strategy", "ignore_labels"});
            TokenClassification mine = common;
            mine.aggregation = aggregation_named(*arguments.text_or("aggregation_strategy", flag), arguments.where());
            mine.ignored = arguments.texts_or("ignore_labels", common.ignored);
            const std::string text = arguments.text({"inputs", "text"});
            Encoding encoding = encode(text, std::nullopt, arguments.where());
            return {.sequences = {{encoding}}, .result = [mine, text, encoding](std::span<const std::vector<float>> logits) {
                      return mine.result(text, encoding, logits[0]);
                    }};
          }};
}

}  // namespace mpibert
