#include "mpibert/tasks/corpus_words.h"

#include <cstring>
#include <mutex>

#include "base/parallel.h"
#include "mpibert/base/error.h"
#include "mpibert/text/word_counter.h"
#include "tasks/together.h"

namespace mpibert {

namespace {

constexpr size_t kParts = 64;              // of the words, by their hash
constexpr int64_t kMostWaiting = 1 << 18;  // raw pieces that a thread holds

// The counts of a rank, into which its threads pour theirs.
class SharedCounts {
 public:
  SharedCounts() : parts_(kParts) {}
  void take(WordCounter& counter) {
    std::vector<WordCounts> sorted(kParts);  // so that a lock is taken once a part
    counter.flush([&](std::string_view word, int64_t count) { sorted[WordCounts::part_of(word, kParts)].add(word, count); });
    for (size_t i = 0; i < kParts; ++i) {
      const std::lock_guard lock(parts_[i].mutex);
      sorted[i].for_each([&](std::string_view word, int64_t count) { parts_[i].counts.add(word, count); });
    }
  }
  WordCounts release(size_t part) { return std::exchange(parts_[part].counts, WordCounts()); }

 private:
  struct Part {
    std::mutex mutex;
    WordCounts counts;
  };
  std::vector<Part> parts_;
};

// One counter for each thread that is at work.
class Counters {
 public:
  explicit Counters(const TokenizerOptions& options) : options_(options) {}
  WordCounter borrow() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) return WordCounter(options_);
    WordCounter counter = std::move(free_.back());
    free_.pop_back();
    return counter;
  }
  void give_back(WordCounter counter) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(counter));
  }
  std::vector<WordCounter>& all() { return free_; }

 private:
  const TokenizerOptions& options_;
  std::mutex mutex_;
  std::vector<WordCounter> free_;
};

void count_unit(const CorpusUnit& unit, const CorpusOptions& options, WordCounter& counter, SharedCounts& shared) {
  DocumentReader reader(unit, options);
  for (Document document; reader.next(document);) {
    for (int64_t i = 0; i < document.sentences(); ++i) counter.add(document.sentence(i));
    if (counter.waiting() > kMostWaiting) shared.take(counter);
  }
}

void count_own_units(const CorpusWordsOptions& options, const Exchange& exchange, SharedCounts& shared) {
  const std::vector<CorpusUnit> units = plan_corpus(list_corpus_files(options.inputs), options.block_bytes);
  const auto ranks = static_cast<int64_t>(exchange.size()), rank = static_cast<int64_t>(exchange.rank()),
             all = static_cast<int64_t>(units.size());
  Counters counters(options.tokenizer);
  for_each_in_parallel((all - rank + ranks - 1) / ranks, [&](int64_t i) {
    WordCounter counter = counters.borrow();
    count_unit(units[static_cast<size_t>(i * ranks + rank)], options.corpus, counter, shared);
    counters.give_back(std::move(counter));
  });
  for_each_in_parallel(static_cast<int64_t>(counters.all().size()),
                       [&](int64_t i) { shared.take(counters.all()[static_cast<size_t>(i)]); });
}

// Counts as they travel: for each word its length (4 bytes), its count (8 bytes) and its bytes.
std::string packed(const WordCounts& counts) {
  std::string bytes;
  const auto append = [&](const auto& number) { bytes.append(reinterpret_cast<const char*>(&number), sizeof number); };
  counts.for_each([&](std::string_view word, int64_t count) {
    append(static_cast<uint32_t>(word.size()));
    append(count);
    bytes += word;
  });
  return bytes;
}

void unpack(std::string_view bytes, WordCounts& counts) {
  uint32_t length = 0;
  int64_t count = 0;
  while (!bytes.empty()) {
    std::memcpy(&length, bytes.data(), sizeof length);
    std::memcpy(&count, bytes.data() + sizeof length, sizeof count);
    bytes.remove_prefix(sizeof length + sizeof count);
    counts.add(bytes.substr(0, length), count);
    bytes.remove_prefix(length);
  }
}

}  // namespace

WordCounts count_corpus_words(const CorpusWordsOptions& options, Exchange& exchange) {
  SharedCounts shared;
  together(exchange, [&] { count_own_units(options, exchange, shared); });
  WordCounts all;
  for (size_t part = 0; part < kParts; ++part) {
    const WordCounts mine = shared.release(part);
    if (exchange.rank() == 0) mine.for_each([&](std::string_view word, int64_t count) { all.add(word, count); });
    const std::vector<std::string> theirs = exchange.gather(exchange.rank() == 0 ? std::string() : packed(mine));
    for (const std::string& bytes : theirs) unpack(bytes, all);
  }
  together(exchange, [&] {
    MPIBERT_CHECK(exchange.rank() != 0 || all.size() > 0, kInvalidArgument, "no word in the input: it holds no text in the format chosen");
  });
  return all;
}

}  // namespace mpibert
