#include "text/id_scanner.h"

#include <atomic>

#include "text/unicode.h"
#include "text/word_cache.h"

namespace mpibert {

namespace {

using ShortWords = WordCache<16, 2, 1 << 15>;  // 32 bytes an entry, 1 MiB a thread
using LongWords = WordCache<48, 10, 1 << 13>;  // 96 bytes an entry, 768 KiB a thread

uint32_t next_owner() {
  static std::atomic<uint32_t> last{0};
  return ++last;
}

template <class Cache, class Compute>
void append_cached(Cache& cache, uint32_t owner, std::string_view word, size_t readable, std::vector<int32_t>& ids, Compute&& compute) {
  const auto key = Cache::key_of(word, readable);
  auto& entry = cache.slot(key, owner);
  if (entry.owner == owner && entry.key == key) {
    ids.insert(ids.end(), entry.ids.begin(), entry.ids.begin() + entry.count);
    return;
  }
  const size_t before = ids.size();
  compute();
  Cache::fill(entry, key, owner, std::span(ids).subspan(before));
}

}  // namespace

IdScanner::IdScanner(const BasicTokenizer& basic, const WordPiece& word_piece, const TokenizerOptions& options)
    : basic_(basic), word_piece_(word_piece), owner_(next_owner()), space_chinese_(options.tokenize_chinese_chars) {
  const auto& properties = unicode::PropertyTable::instance();
  class_of_.fill(kOther);
  for (char32_t c = 0; c < 128; ++c) {
    const char byte = static_cast<char>(c);
    lower_[c] = options.do_lower_case && byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte - 'A' + 'a') : byte;
    const bool is_removed = options.clean_text && properties[c].is(unicode::kIsRemoved);  // so that VT and FF join their neighbours
    if (properties[c].is(unicode::kIsSpace) && !is_removed) class_of_[c] = kSpace;
    else if (properties[c].is(unicode::kIsPunctuation)) class_of_[c] = kPunctuation;
    else if (properties[c].is(unicode::kIsWord)) class_of_[c] = kLetter;
    if (class_of_[c] != kPunctuation) continue;
    std::vector<int32_t> ids;
    word_piece.append_ids(std::string_view(&byte, 1), ids);
    punctuation_ids_[c] = ids[0];
  }
}

// The length in bytes of the Chinese character at `at`, 0 if it is none.
size_t IdScanner::chinese_bytes(const char* at, const char* end) const {
  const auto lead = static_cast<uint8_t>(*at);
  if (lead < 0xE3 || !space_chinese_) return 0;  // the first is U+3400, E3 90 80
  const unicode::Decoded decoded = unicode::decode(at, end);
  return unicode::PropertyTable::instance()[decoded.value].is(unicode::kIsChinese) ? static_cast<size_t>(decoded.bytes) : 0;
}

void IdScanner::append_ids(std::string_view text, std::vector<int32_t>& ids) const {
  const char* const end = text.data() + text.size();
  for (const char* at = text.data(); at < end;) {
    const auto first = static_cast<uint8_t>(*at);
    if (class_of_[first] == kSpace) {
      ++at;
    } else if (class_of_[first] == kPunctuation) {
      ids.push_back(punctuation_ids_[first]);
      ++at;
    } else {
      const char* word_end = at;
      while (word_end < end && class_of_[static_cast<uint8_t>(*word_end)] == kLetter) ++word_end;
      bool is_plain = true;
      for (; word_end < end; ++word_end) {
        const uint8_t next = class_of_[static_cast<uint8_t>(*word_end)];
        if (next == kSpace || next == kPunctuation) break;
        if (next == kLetter) continue;
        if (const size_t bytes = chinese_bytes(word_end, end); bytes > 0) {
          if (word_end == at) {  // a word by itself
            word_end += bytes;
            is_plain = false;
          }
          break;
        }
        is_plain = false;
      }
      append_word({at, static_cast<size_t>(word_end - at)}, is_plain, static_cast<size_t>(end - at), ids);
      at = word_end;
    }
  }
}

void IdScanner::append_word(std::string_view word, bool is_plain, size_t readable, std::vector<int32_t>& ids) const {
  thread_local ShortWords short_words;
  thread_local LongWords long_words;
  const auto compute = [&] { compute_word(word, is_plain, ids); };
  if (word.size() > sizeof(LongWords::Key) || (!is_plain && word.find('\0') != std::string_view::npos)) compute();
  else if (word.size() <= sizeof(ShortWords::Key)) append_cached(short_words, owner_, word, readable, ids, compute);
  else append_cached(long_words, owner_, word, readable, ids, compute);
}

void IdScanner::compute_word(std::string_view word, bool is_plain, std::vector<int32_t>& ids) const {
  thread_local std::string normalised;
  if (is_plain) {
    normalised.assign(word);
    for (char& c : normalised) c = lower_[static_cast<uint8_t>(c)];
    word_piece_.append_ids(normalised, ids);
    return;
  }
  thread_local Characters characters;
  thread_local std::vector<Run> runs;
  characters.clear();
  runs.clear();
  decode_text(word, {}, characters);
  basic_.normalise(characters);
  basic_.split(characters, {0, characters.size()}, runs);
  for (const Run& run : runs) {
    normalised.clear();
    for (size_t i = run.begin; i < run.end; ++i) unicode::append_utf8(characters[i].value, normalised);
    word_piece_.append_ids(normalised, ids);
  }
}

}  // namespace mpibert
