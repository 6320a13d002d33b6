#include "text/word_scanner.h"

#include <atomic>
#include <bit>

#include "mpibert/base/error.h"
#include "text/byte_masks.h"
#include "text/word_cache.h"

namespace mpibert {

namespace {

using ShortParts = WordCache<16, 3, 1 << 15>;  // 1 MiB of ids and 512 KiB of places a thread
using LongParts = WordCache<48, 19, 1 << 12>;  // 512 KiB and 384 KiB

struct Caches {
  ShortParts short_parts;
  LongParts long_parts;
  std::vector<PlacedToken> computed;
};

Caches& caches() {
  thread_local Caches instance;
  return instance;
}

uint32_t next_owner() {
  static std::atomic<uint32_t> last{0};
  const uint32_t owner = ++last;
  MPIBERT_CHECK(owner < 1u << 24, kInvalidArgument, "more than 16,777,214 tokenizers were made in one process");
  return owner;
}

// Takes the ids of parts, in blocks: a vector is too slow for one or two at a time.
class IdSink {
 public:
  explicit IdSink(std::vector<int32_t>& ids) : caches(mpibert::caches()), ids_(ids) {}
  IdSink(const IdSink&) = delete;
  ~IdSink() = default;

  template <class Cache>
  void add_cached(const Cache& cache, size_t slot, size_t) {
    if (block_.size() - count_ < Cache::kMaxTokens) flush();
    const typename Cache::Entry& entry = cache.entry(slot);
    std::memcpy(&block_[count_], entry.ids.data(), sizeof(entry.ids));  // all: a fixed size is quicker than a loop
    count_ += entry.count;
  }
  void add_computed(std::span<const PlacedToken> tokens, size_t, size_t, int32_t) {
    flush();
    for (const PlacedToken& token : tokens) ids_.push_back(token.id);
  }
  void flush() {
    ids_.insert(ids_.end(), block_.begin(), block_.begin() + static_cast<ptrdiff_t>(count_));
    count_ = 0;
  }

  Caches& caches;

 private:
  std::vector<int32_t>& ids_;
  size_t count_ = 0;
  std::array<int32_t, 1024> block_;
};

// Takes whole tokens. Parts come in the order of the text, and what lies between them is ASCII.
class TokenSink {
 public:
  TokenSink(Place place, int32_t word, std::vector<PlacedToken>& tokens)
      : caches(mpibert::caches()), tokens_(tokens), first_byte_(place.byte), next_character_(place.character), word_(word) {}

  template <class Cache>
  void add_cached(const Cache& cache, size_t slot, size_t begin) {
    const typename Cache::Entry& entry = cache.entry(slot);
    const typename Cache::Places& places = cache.places(slot);
    const Place at = advance(begin, entry.key.back() >> 56, places.characters);
    const int32_t word = word_;
    for (size_t i = 0; i < entry.count; ++i) {
      const auto& place = places.tokens[i];
      tokens_.push_back({entry.ids[i],
                         word + place.word,
                         {at.character + place.first_character, at.character + place.end_character},
                         {at.byte + place.first_byte, at.byte + place.end_byte}});
      word_ = word + place.word + 1;
    }
  }
  void add_computed(std::span<const PlacedToken> tokens, size_t begin, size_t length, int32_t characters) {
    const Place at = advance(begin, length, characters);
    const int32_t word = word_;
    for (const PlacedToken& token : tokens) {
      tokens_.push_back({token.id,
                         word + token.word,
                         {at.character + token.characters.begin, at.character + token.characters.end},
                         {at.byte + token.bytes.begin, at.byte + token.bytes.end}});
      word_ = word + token.word + 1;
    }
  }
  int32_t next_word() const { return word_; }

  Caches& caches;

 private:
  // Where the part begins, in the whole text.
  Place advance(size_t begin, size_t length, int32_t characters) {
    const auto first = static_cast<int32_t>(begin), end = static_cast<int32_t>(begin + length);
    const Place at = {first_byte_ + first, next_character_ + (first - done_)};
    next_character_ = at.character + characters;
    done_ = end;
    return at;
  }

  std::vector<PlacedToken>& tokens_;
  int32_t first_byte_, next_character_, done_ = 0;
  int32_t word_;
};

}  // namespace

WordScanner::WordScanner(const BasicTokenizer& basic, const WordPiece& word_piece)
    : rules_(basic.rules()), encoder_(basic, word_piece), owner_(next_owner()) {
  for (char32_t c = 0x80; c < 0x800; ++c)
    if (is_cut(c)) may_cut_[0xC0 | c >> 6] = true;
  std::fill(may_cut_.begin() + 0xE0, may_cut_.end(), true);
}

// Whether the character is a word or a gap by itself, whatever is beside it.
bool WordScanner::is_cut(char32_t character) const {
  const unicode::Properties& c = properties_[character];
  if (rules_.tokenize_chinese_chars && c.is(unicode::kIsChinese)) return true;
  constexpr int kNormalised = unicode::kIsRemoved | unicode::kIsMark | unicode::kIsDecomposed;
  return (c.flags & (unicode::kIsPunctuation | unicode::kIsSpace)) != 0 && (c.flags & kNormalised) == 0 && c.combining_class == 0 &&
         c.lower_delta == 0;
}

void WordScanner::append_ids(std::string_view text, std::vector<int32_t>& ids) const {
  IdSink sink(ids);
  scan(text, sink);
  sink.flush();
}

void WordScanner::append_tokens(std::string_view text, Place place, int32_t& word, std::vector<PlacedToken>& tokens) const {
  TokenSink sink(place, word, tokens);
  scan(text, sink);
  word = sink.next_word();
}

// Starts and ends of parts are bits of masks, in order, so taking the lowest of each in turn gives one part after the other. A part that a
// block does not end is `open` in the next.
template <class Sink>
void WordScanner::scan(std::string_view text, Sink& sink) const {
  uint64_t open = 0,
           open_joins = 0;  // the byte before the block belongs to a part; and to a part that goes on with the next letter. 0 or 1
  bool has_others = false;  // the open part has bytes that are not letters
  size_t begin = 0;
  for (size_t block = 0; block <= text.size(); block += kMaskBytes) {  // `<=`: the end of the text ends a part
    std::array<char, kMaskBytes> last;
    const char* bytes = text.data() + block;
    if (text.size() - block < kMaskBytes) {
      last.fill(' ');
      std::copy(text.begin() + static_cast<ptrdiff_t>(block), text.end(), last.begin());
      bytes = last.data();
    }
    const ByteMasks masks = byte_masks_of(bytes, !rules_.clean_text);
    const uint64_t parts = ~masks.spaces, joining = masks.letters | masks.others;
    const uint64_t joined = joining & (joining << 1 | open_joins);  // to the byte before
    uint64_t starts = parts & ~joined, ends = (parts << 1 | open) & ~joined;
    const auto next_start = [&] {
      const size_t start = block + static_cast<size_t>(std::countr_zero(starts));
      starts &= starts - 1;
      return start;
    };
    const auto next_end = [&] {
      const auto end = static_cast<size_t>(std::countr_zero(ends));
      ends &= ends - 1;
      return end;
    };
    if (open == 0) begin = next_start();
    if (masks.others == 0 && !has_others) {
      while (ends != 0) {
        look_up(text, begin, block + next_end(), sink);
        begin = next_start();
      }
    } else {
      uint64_t others = masks.others;
      while (ends != 0) {
        const size_t end = next_end();
        const uint64_t before = (uint64_t{1} << end) - 1;
        if (has_others || (others & before) != 0) cut(text, begin, block + end, sink);
        else look_up(text, begin, block + end, sink);
        others &= ~before;
        has_others = false;
        begin = next_start();
      }
      has_others = has_others || others != 0;
    }
    open = parts >> 63;
    open_joins = joining >> 63;
  }
}

// A part that is not only ASCII letters: at the characters that may be cut out.
template <class Sink>
void WordScanner::cut(std::string_view text, size_t begin, size_t end, Sink& sink) const {
  for (size_t at = begin; at < end;) {
    if (!may_cut_[static_cast<uint8_t>(text[at])]) {
      ++at;
      continue;
    }
    const unicode::Decoded decoded = unicode::decode(text.data() + at, text.data() + end);
    const size_t next = at + static_cast<size_t>(decoded.bytes);
    if (is_cut(decoded.value)) {
      if (begin < at) look_up(text, begin, at, sink);
      look_up(text, at, next, sink);
      begin = next;
    }
    at = next;
  }
  if (begin < end) look_up(text, begin, end, sink);
}

template <class Sink>
[[gnu::always_inline]] inline void WordScanner::look_up(std::string_view text, size_t begin, size_t end, Sink& sink) const {
  const std::string_view part(text.data() + begin, end - begin);
  const ShortParts& cache = sink.caches.short_parts;
  if (part.size() <= ShortParts::kMaxBytes) {
    const auto key = ShortParts::key_of(part, text.size() - begin);
    const size_t slot = ShortParts::slot_of(key, owner_);
    if (cache.holds(slot, key, owner_)) return sink.add_cached(cache, slot, begin);
  }
  look_up_long(text, begin, end, sink);
}

// Long, or of many tokens, or not there.
template <class Sink>
[[gnu::noinline]] void WordScanner::look_up_long(std::string_view text, size_t begin, size_t end, Sink& sink) const {
  const std::string_view part(text.data() + begin, end - begin);
  const size_t readable = text.size() - begin;
  auto& [short_parts, long_parts, computed] = sink.caches;
  const bool is_long = part.size() > ShortParts::kMaxBytes || static_cast<uint8_t>(part[0]) >= 0x80;
  if (is_long && part.size() <= LongParts::kMaxBytes) {
    const auto key = LongParts::key_of(part, readable);
    const size_t slot = LongParts::slot_of(key, owner_);
    if (long_parts.holds(slot, key, owner_)) return sink.add_cached(long_parts, slot, begin);
  }
  const int32_t characters = encoder_.encode(part, computed);
  sink.add_computed(computed, begin, part.size(), characters);
  const auto fits = [&](const auto& cache) { return part.size() <= cache.kMaxBytes && computed.size() <= cache.kMaxTokens; };
  if (fits(short_parts)) short_parts.add(ShortParts::key_of(part, readable), owner_, computed, characters);
  else if (is_long && fits(long_parts)) long_parts.add(LongParts::key_of(part, readable), owner_, computed, characters);
}

}  // namespace mpibert
