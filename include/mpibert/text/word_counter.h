#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

#include "mpibert/text/tokenizer.h"
#include "mpibert/text/word_counts.h"

namespace mpibert {

// The words of texts as BertTokenizer sees them before WordPiece — normalised, split at white space and punctuation — and how often each
// occurs. Special and added tokens are text like any other, as in the trainers of the tokenizers crate. What stands between ASCII white
// space, ASCII punctuation and Chinese characters is counted as it is and normalised once, however often it occurs. Not thread-safe: one a
// thread.
class WordCounter {
 public:
  explicit WordCounter(const TokenizerOptions& options);  // of which only the ones of normalisation matter
  ~WordCounter();
  WordCounter(WordCounter&&) noexcept;

  void add(std::string_view text);
  int64_t waiting() const;  // distinct raw pieces that are held
  // Calls sink(word, count) for what was added since the last time; a word may come several times.
  template <class Sink>
  void flush(Sink&& sink) {
    normalise().for_each(sink);
    forget();
  }

 private:
  const WordCounts& normalise();
  void forget();
  struct Data;
  std::unique_ptr<Data> data_;
};

}  // namespace mpibert
