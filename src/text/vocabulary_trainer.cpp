#include "mpibert/text/vocabulary_trainer.h"

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "mpibert/base/error.h"
#include "text/pair_queue.h"
#include "text/unicode.h"

namespace mpibert {

namespace {

constexpr uint32_t kNoToken = ~uint32_t{0};
constexpr size_t kCharacters = 0x110000;

std::string utf8(char32_t c) {
  std::string text;
  unicode::append_utf8(c, text);
  return text;
}

// vocab.txt has one token a line and drops white space at its end.
void check_special_tokens(const std::vector<std::string>& tokens) {
  for (const char* needed : {"[UNK]", "[CLS]", "[SEP]"})
    MPIBERT_CHECK(std::find(tokens.begin(), tokens.end(), needed) != tokens.end(), kInvalidArgument, "special_tokens lacks ", needed,
                  ", which every BERT vocabulary has");
  for (const std::string& token : tokens) {
    MPIBERT_CHECK(!token.empty() && unicode::is_valid_utf8(token), kInvalidArgument, "special token '", token,
                  "': expected UTF-8 text that is not empty");
    for (const char32_t c : unicode::to_utf32(token))
      MPIBERT_CHECK(!unicode::PropertyTable::instance()[c].is(unicode::kIsSpace), kInvalidArgument, "special token '", token,
                    "' has white space in it; vocab.txt has one token a line");
  }
}

void check_options(const VocabularyTrainerOptions& options) {
  MPIBERT_CHECK(options.vocab_size > 0, kInvalidArgument, "vocab_size is ", options.vocab_size, ", expected at least 1");
  MPIBERT_CHECK(options.min_frequency >= 0, kInvalidArgument, "min_frequency is ", options.min_frequency, ", expected at least 0");
  MPIBERT_CHECK(options.limit_alphabet >= 0, kInvalidArgument, "limit_alphabet is ", options.limit_alphabet, ", expected at least 0");
  MPIBERT_CHECK(unicode::is_valid_utf8(options.initial_alphabet), kInvalidArgument, "initial_alphabet is not UTF-8");
  MPIBERT_CHECK(unicode::is_valid_utf8(options.wordpieces_prefix), kInvalidArgument, "wordpieces_prefix is not UTF-8");
  check_special_tokens(options.special_tokens);
}

// The vocabulary as it grows.
class Tokens {
 public:
  uint32_t id(const std::string& token) const {
    const auto found = ids_.find(token);
    return found == ids_.end() ? kNoToken : found->second;
  }
  uint32_t add(const std::string& token) {  // one that is there keeps its id
    const auto [entry, is_new] = ids_.emplace(token, static_cast<uint32_t>(list_.size()));
    if (is_new) list_.push_back(token);
    return entry->second;
  }
  const std::string& operator[](uint32_t id) const { return list_[id]; }
  int64_t size() const { return static_cast<int64_t>(list_.size()); }
  std::vector<std::string> take() { return std::move(list_); }

 private:
  std::vector<std::string> list_;
  std::unordered_map<std::string, uint32_t> ids_;
};

// The words as code points, to begin with.
SpelledWords spell(const WordCounts& words) {
  SpelledWords spelled;
  const auto size = static_cast<size_t>(words.size());
  spelled.begins.reserve(size);
  spelled.lengths.reserve(size);
  spelled.counts.reserve(size);
  words.for_each([&](std::string_view word, int64_t count) {
    spelled.begins.push_back(spelled.symbols.size());
    const char* const end = word.data() + word.size();
    for (const char* at = word.data(); at < end;) {
      const unicode::Decoded decoded = unicode::decode(at, end);
      spelled.symbols.push_back(decoded.value);
      at += decoded.bytes;
    }
    spelled.lengths.push_back(static_cast<uint32_t>(spelled.symbols.size() - spelled.begins.back()));
    spelled.counts.push_back(count);
  });
  return spelled;
}

// The characters that become tokens, by code point: the most frequent ones, before them those of the initial alphabet.
std::vector<char32_t> choose_alphabet(const SpelledWords& words, const VocabularyTrainerOptions& options) {
  std::vector<int64_t> counts(kCharacters);
  for (size_t word = 0; word < words.counts.size(); ++word)
    for (uint32_t i = 0; i < words.lengths[word]; ++i) counts[words.symbols[words.begins[word] + i]] += words.counts[word];
  for (const char32_t c : unicode::to_utf32(options.initial_alphabet)) counts[c] = std::numeric_limits<int64_t>::max();
  std::vector<char32_t> alphabet;
  for (char32_t c = 0; c < kCharacters; ++c)
    if (counts[c] > 0) alphabet.push_back(c);
  if (static_cast<int64_t>(alphabet.size()) > options.limit_alphabet) {
    std::stable_sort(alphabet.begin(), alphabet.end(), [&](char32_t a, char32_t b) { return counts[a] > counts[b]; });
    alphabet.resize(static_cast<size_t>(options.limit_alphabet));
    std::sort(alphabet.begin(), alphabet.end());
  }
  return alphabet;
}

// Turns code points into tokens, those behind the first of a word with the prefix; leaves out characters that are no token.
class Speller {
 public:
  Speller(Tokens& tokens, const std::string& prefix)
      : tokens_(tokens), prefix_(prefix), first_(kCharacters, kNoToken), next_(kCharacters, kNoToken) {}

  void run(SpelledWords& words) {
    std::vector<bool> begins(kCharacters), continues(kCharacters);
    for_each(words, [&](char32_t c, bool is_first) { (is_first ? begins : continues)[c] = true; });
    for (char32_t c = 0; c < kCharacters; ++c)
      if (begins[c] || continues[c]) first_[c] = tokens_.id(utf8(c));
    for (char32_t c = 0; c < kCharacters; ++c)
      if (continues[c] && first_[c] != kNoToken) next_[c] = tokens_.add(prefix_ + utf8(c));
    for (size_t word = 0; word < words.lengths.size(); ++word) replace(words.symbols.data() + words.begins[word], words.lengths[word]);
  }

 private:
  template <class F>
  static void for_each(const SpelledWords& words, F&& f) {
    for (size_t word = 0; word < words.lengths.size(); ++word)
      for (uint32_t i = 0; i < words.lengths[word]; ++i) f(words.symbols[words.begins[word] + i], i == 0);
  }
  void replace(uint32_t* symbols, uint32_t& length) const {
    uint32_t to = 0;
    for (uint32_t i = 0; i < length; ++i)
      if (const uint32_t id = (i == 0 ? first_ : next_)[symbols[i]]; id != kNoToken) symbols[to++] = id;
    length = to;
  }

  Tokens& tokens_;
  const std::string& prefix_;
  std::vector<uint32_t> first_, next_;  // tokens by character
};

}  // namespace

Vocabulary train_vocabulary(const WordCounts& words, const VocabularyTrainerOptions& options) {
  check_options(options);
  MPIBERT_CHECK(words.size() > 0, kInvalidArgument, "no words to make a vocabulary of: the text is empty");
  Tokens tokens;
  for (const std::string& token : options.special_tokens) tokens.add(token);
  const int64_t specials = tokens.size();
  SpelledWords spelled = spell(words);
  for (const char32_t c : choose_alphabet(spelled, options)) tokens.add(utf8(c));
  Speller(tokens, options.wordpieces_prefix).run(spelled);
  MPIBERT_CHECK(tokens.size() <= options.vocab_size, kInvalidArgument, "vocab_size is ", options.vocab_size, ", but ", specials,
                " special tokens and ", tokens.size() - specials, " of the alphabet are ", tokens.size(),
                "; choose a larger vocab_size or a smaller limit_alphabet");

  PairQueue queue(std::move(spelled));
  while (tokens.size() < options.vocab_size) {
    const std::optional<SymbolPair> pair = queue.pop(options.min_frequency);
    if (!pair) break;
    std::string_view end = tokens[pair->second];
    if (end.starts_with(options.wordpieces_prefix)) end.remove_prefix(options.wordpieces_prefix.size());
    queue.join(tokens.add(tokens[pair->first] + std::string(end)));
  }
  return Vocabulary::from_tokens(tokens.take());
}

}  // namespace mpibert
