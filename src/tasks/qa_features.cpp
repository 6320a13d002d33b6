#include <algorithm>

#include "mpibert/base/error.h"
#include "mpibert/tasks/question_answering.h"
#include "tasks/character_index.h"
#include "tasks/python_text.h"
#include "text/unicode.h"

namespace mpibert {

namespace {

void append(QaContext& context, const Encoding& encoding, int32_t shift) {
  for (const Span& place : encoding.char_offsets) context.places.push_back({place.begin + shift, place.end + shift});
  context.ids.insert(context.ids.end(), encoding.ids.begin(), encoding.ids.end());
}

// The words of a text as run_squad.py splits it; the other white space of Unicode stays inside words.
std::vector<Span> words_at_white_space(std::string_view text) {
  std::vector<Span> words;
  bool in_word = false;
  int32_t place = 0;
  for (const char *at = text.data(), *end = at + text.size(); at < end; ++place) {
    const unicode::Decoded next = unicode::decode(at, end);
    at += next.bytes;
    const bool is_space = next.value == ' ' || next.value == '\t' || next.value == '\r' || next.value == '\n' || next.value == 0x202F;
    if (!is_space && !in_word) words.push_back({place, place});
    if (!is_space) words.back().end = place + 1;
    in_word = !is_space;
  }
  return words;
}

QaContext encode_words(const BertTokenizer& tokenizer, std::string text) {
  QaContext context{.text = std::move(text), .ids = {}, .places = {}, .words = {}};
  const CharacterIndex characters(context.text);
  for (const Span& word : words_at_white_space(context.text)) {
    append(context, tokenizer.encode(characters.text(word.begin, word.end)), word.begin);
    context.words.resize(context.ids.size(), word);
  }
  return context;
}

// Of each piece, from the start of its word's first piece to the end of its last.
std::vector<Span> words_of(const Encoding& encoding) {
  std::vector<Span> words(encoding.ids.size());
  for (size_t begin = 0, end = 0; begin < words.size(); begin = end) {
    while (end < words.size() && encoding.word_ids[end] == encoding.word_ids[begin]) ++end;
    std::fill(words.begin() + static_cast<ptrdiff_t>(begin), words.begin() + static_cast<ptrdiff_t>(end),
              Span{encoding.char_offsets[begin].begin, encoding.char_offsets[end - 1].end});
  }
  return words;
}

// Windows of at most `capacity` of `pieces` pieces; each begins `step` after the one before. `step` may exceed what a window holds.
std::vector<Span> windows_of(int64_t pieces, int64_t capacity, int64_t step) {
  std::vector<Span> windows;
  for (int64_t begin = 0;; begin += std::min(capacity, step)) {
    const int64_t end = std::min(begin + capacity, pieces);
    windows.push_back({static_cast<int32_t>(begin), static_cast<int32_t>(end)});
    if (end == pieces) return windows;
  }
}

QaFeature make_feature(const Vocabulary& vocabulary, const std::vector<int32_t>& question, const QaContext& context, const Span& window) {
  QaFeature feature{.input_ids = {vocabulary.cls_id()},
                    .token_type_ids = {},
                    .first = static_cast<int32_t>(question.size()) + 2,
                    .begin = window.begin,
                    .end = window.end};
  feature.input_ids.insert(feature.input_ids.end(), question.begin(), question.end());
  feature.input_ids.push_back(vocabulary.sep_id());
  feature.input_ids.insert(feature.input_ids.end(), context.ids.begin() + window.begin, context.ids.begin() + window.end);
  feature.input_ids.push_back(vocabulary.sep_id());
  feature.token_type_ids.assign(static_cast<size_t>(feature.first), 0);
  feature.token_type_ids.resize(feature.input_ids.size(), 1);
  return feature;
}

std::optional<Span> pieces_by_offsets(const QaContext& context, const SquadAnswer& answer) {
  const auto begin = static_cast<int32_t>(answer.start), end = begin + static_cast<int32_t>(character_count(answer.text));
  const auto count = static_cast<int32_t>(context.ids.size());
  int32_t first = count - 1, last = 0;
  while (first >= 0 && context.places[static_cast<size_t>(first)].begin > begin) --first;
  while (last < count && context.places[static_cast<size_t>(last)].end < end) ++last;
  return first >= 0 && last < count ? std::optional(Span{first, last}) : std::nullopt;
}

// The words that the answer is in: {begin of the first, begin of the last}, in characters. White space belongs to the word before it.
// Nothing if they do not hold the answer's text.
std::optional<Span> words_of_answer(const std::string& context, const SquadAnswer& answer) {
  const auto begin = static_cast<int32_t>(answer.start), end = begin + static_cast<int32_t>(character_count(answer.text));
  const std::vector<Span> words = words_at_white_space(context);
  const auto word_at = [&](int32_t place) {
    return std::upper_bound(words.begin(), words.end(), place, [](int32_t at, const Span& word) { return at < word.begin; });
  };
  const auto first = word_at(begin), after = word_at(end - 1);  // one behind the word
  if (end == begin || first == words.begin()) return std::nullopt;
  const CharacterIndex characters(context);
  std::string text;
  for (auto word = first - 1; word < after; ++word)
    text += (text.empty() ? "" : " ") + std::string(characters.text(word->begin, word->end));
  if (text.find(join_python_words(answer.text)) == std::string::npos) return std::nullopt;
  return Span{(first - 1)->begin, (after - 1)->begin};
}

// The pieces of those words, or the part of them that is the answer's own pieces: "1895" of "(1895-1943)." (`_improve_answer_span`).
std::optional<Span> pieces_by_words(const BertTokenizer& tokenizer, const QaContext& context, const SquadAnswer& answer) {
  const std::optional<Span> words = words_of_answer(context.text, answer);
  if (!words) return std::nullopt;
  const auto first = static_cast<int32_t>(
      std::find_if(context.words.begin(), context.words.end(), [&](const Span& word) { return word.begin >= words->begin; }) -
      context.words.begin());
  const auto after = static_cast<int32_t>(
      std::find_if(context.words.begin(), context.words.end(), [&](const Span& word) { return word.begin > words->end; }) -
      context.words.begin());
  const std::vector<int32_t> wanted = tokenizer.ids(answer.text);
  const auto size = static_cast<int32_t>(wanted.size());
  for (int32_t start = first; size > 0 && start + size <= after; ++start)
    if (std::equal(wanted.begin(), wanted.end(), context.ids.begin() + start)) return Span{start, start + size - 1};
  return Span{first, after - 1};
}

}  // namespace

QaContext encode_context(const BertTokenizer& tokenizer, std::string text, QaConvention convention) {
  if (convention == QaConvention::kRunSquad) return encode_words(tokenizer, std::move(text));
  const Encoding encoding = tokenizer.encode(text);
  return {.text = std::move(text), .ids = encoding.ids, .places = encoding.char_offsets, .words = words_of(encoding)};
}

std::vector<QaFeature> encode_question(const BertTokenizer& tokenizer, const std::string& question, const QaContext& context,
                                       const QaOptions& options) {
  std::vector<int32_t> ids = tokenizer.ids(question);
  const bool by_words = options.convention == QaConvention::kRunSquad;
  if (by_words && static_cast<int64_t>(ids.size()) > options.max_query_length) ids.resize(static_cast<size_t>(options.max_query_length));
  const auto pieces = static_cast<int64_t>(context.ids.size());
  const int64_t capacity = options.max_seq_length - static_cast<int64_t>(ids.size()) - 3,
                step = by_words ? options.doc_stride : capacity - options.doc_stride;
  MPIBERT_CHECK(pieces <= capacity || (capacity > 0 && step > 0), kInvalidArgument, "the question \"", question.substr(0, 60), "\" has ",
                ids.size(), " tokens, which leaves ", capacity, " of max_seq_length ", options.max_seq_length, " for a context of ", pieces,
                ", with a doc_stride of ", options.doc_stride, ": expected more; take a larger max_seq_length or a smaller doc_stride");
  std::vector<QaFeature> features;
  if (by_words && pieces == 0) return features;
  for (const Span& window : windows_of(pieces, capacity, step))
    features.push_back(make_feature(tokenizer.vocabulary(), ids, context, window));
  return features;
}

int64_t drop_lost_answers(SquadData& data) {
  return static_cast<int64_t>(std::erase_if(data.questions, [&](const SquadQuestion& question) {
    return !question.impossible && !question.answers.empty() && !words_of_answer(data.contexts[question.context], question.answers.front());
  }));
}

std::optional<Span> answer_pieces(const BertTokenizer& tokenizer, const QaContext& context, const SquadAnswer& answer,
                                  QaConvention convention) {
  return convention == QaConvention::kRunQa ? pieces_by_offsets(context, answer) : pieces_by_words(tokenizer, context, answer);
}

Span positions_of(const QaFeature& feature, const std::optional<Span>& pieces) {
  if (!pieces || pieces->begin < feature.begin || pieces->end >= feature.end) return {0, 0};
  return {pieces->begin - feature.begin + feature.first, pieces->end - feature.begin + feature.first};
}

}  // namespace mpibert
