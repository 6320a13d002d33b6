#include "data/bzip2_blocks.h"

#include <algorithm>
#include <array>
#include <limits>

#include "mpibert/base/error.h"

namespace mpibert {

namespace {

constexpr int kChecksumBits = 32;
constexpr int64_t kAnywhere = std::numeric_limits<int64_t>::max();
constexpr int64_t kMostBlockBits = int64_t{900'000} * 20 + (int64_t{1} << 18);  // the longest codes have 20 bits; before them tables
constexpr int64_t kSyncBytes =
    int64_t{1} << 20;      // more than a block has that a packer made: text that cannot be packed grows by a hundredth
constexpr int kTries = 3;  // ends of a block
constexpr size_t kReadBytes = size_t{1} << 18, kTextBytes = size_t{1} << 20;

// A magic number that ends s bits before the end of a byte has these bytes two before that one: by byte the s, as bits. Nearly all bytes
// are neither's.
constexpr std::array<uint8_t, 256> kShifts = [] {
  std::array<uint8_t, 256> shifts{};
  for (const uint64_t magic : {kBzip2Block, kBzip2End})
    for (int s = 0; s < 8; ++s) shifts[magic << s >> 16 & 0xFF] |= static_cast<uint8_t>(1 << s);
  return shifts;
}();

class BitWriter {
 public:
  explicit BitWriter(std::string& out) : out_(out) {}
  void put(uint64_t value, int count) {  // at most 48, the highest first
    waiting_ = waiting_ << count | value;
    for (waiting_bits_ += count; waiting_bits_ >= 8; waiting_bits_ -= 8) out_ += static_cast<char>(waiting_ >> (waiting_bits_ - 8) & 0xFF);
    waiting_ &= 0xFF;
  }
  void finish() {
    if (waiting_bits_ > 0) put(0, 8 - waiting_bits_);
  }

 private:
  std::string& out_;
  uint64_t waiting_ = 0;
  int waiting_bits_ = 0;
};

}  // namespace

Bzip2Blocks::Bzip2Blocks(const std::filesystem::path& path, int64_t begin)
    : file_(path), begin_(begin), base_(begin), is_sure_(begin == 0), codec_(make_codec(Compression::kBzip2)) {
  mark_ = find(8 * begin, kAnywhere);
}

bool Bzip2Blocks::holds(int64_t byte) {
  if (byte >= static_cast<int64_t>(file_.size())) return false;
  for (int64_t end = 0; (end = base_ + static_cast<int64_t>(bytes_.size())) <= byte;)
    bytes_ += file_.read_text(static_cast<uint64_t>(end), std::min(kReadBytes, file_.size() - static_cast<uint64_t>(end)));
  return true;
}

// The bytes before `byte` are not asked for again.
void Bzip2Blocks::forget(int64_t byte) {
  if (byte - base_ <= static_cast<int64_t>(kReadBytes)) return;
  bytes_.erase(0, static_cast<size_t>(byte - base_));
  base_ = byte;
}

// At most 48 bits, which are there.
uint64_t Bzip2Blocks::bits(int64_t at, int count) const {
  const int64_t first = at / 8, last = (at + count - 1) / 8;
  uint64_t value = 0;
  for (int64_t byte = first; byte <= last; ++byte) value = value << 8 | static_cast<uint8_t>(bytes_[static_cast<size_t>(byte - base_)]);
  return value >> (8 * (last + 1) - at - count) & ((uint64_t{1} << count) - 1);
}

// The first magic number that begins at bit `from` or later, but before `until`. Without an `until`, what is before it is forgotten.
std::optional<Bzip2Blocks::Mark> Bzip2Blocks::find(int64_t from, int64_t until) {
  for (int64_t last = (from + kBzip2MagicBits + 7) / 8 - 1; 8 * (last + 1) - kBzip2MagicBits - 7 < until && holds(last); ++last) {
    if (until == kAnywhere) forget(last - kBzip2MagicBits / 8);
    const uint8_t shifts = kShifts[static_cast<uint8_t>(bytes_[static_cast<size_t>(last - 2 - base_)])];
    for (int s = 7; shifts != 0 && s >= 0; --s) {
      const int64_t at = 8 * (last + 1) - s - kBzip2MagicBits;
      if ((shifts >> s & 1) == 0 || at < from || at >= until) continue;
      const uint64_t magic = bits(at, kBzip2MagicBits);
      if (magic == kBzip2Block || magic == kBzip2End) return Mark{at, magic == kBzip2End};
    }
  }
  return std::nullopt;
}

// The first mark of the stream behind the end of another, which begins with a whole byte; none at the end of the file. Zero bytes in
// between are passed over.
std::optional<Bzip2Blocks::Mark> Bzip2Blocks::next_stream(const Mark& end) {
  int64_t at = (end.bit + kBzip2MagicBits + kChecksumBits + 7) / 8;
  block_begin_ = at;
  if (!holds(at - 1)) throw DamagedStream("the bzip2 stream is cut off");
  while (holds(at) && bytes_[static_cast<size_t>(at - base_)] == '\0') ++at;
  if (!holds(at)) return std::nullopt;
  holds(at + static_cast<int64_t>(kCompressionBytes) - 1);
  const auto stream = std::string_view(bytes_).substr(static_cast<size_t>(at - base_), kCompressionBytes);
  const bool is_stream = compression_of(stream) == Compression::kBzip2;
  if (!is_stream && end.bit / 8 < begin_) return find(end.bit + 1, kAnywhere);  // it was no end
  block_begin_ = at;
  if (!is_stream) throw DamagedStream("something else follows the bzip2 stream");
  return find(8 * (at + 4), kAnywhere);
}

// The block between two bits, as a stream: a header, the block, the magic number of the end, and the stream's checksum, which is the
// block's.
bool Bzip2Blocks::unpack(int64_t from, int64_t to, std::string& text) {
  const auto byte = [&](int64_t i) { return static_cast<uint8_t>(bytes_[static_cast<size_t>(i - base_)]); };
  packed_ = "BZh9";
  const int shift = static_cast<int>(from % 8);
  const int64_t whole = (to - from) / 8;
  for (int64_t i = from / 8; i < from / 8 + whole; ++i)
    packed_ += static_cast<char>(shift == 0 ? byte(i) : byte(i) << shift | byte(i + 1) >> (8 - shift));
  BitWriter writer(packed_);
  if (const int rest = static_cast<int>((to - from) % 8); rest > 0) writer.put(bits(to - rest, rest), rest);
  writer.put(kBzip2End, kBzip2MagicBits);
  writer.put(bits(from + kBzip2MagicBits, kChecksumBits), kChecksumBits);
  writer.finish();

  text.clear();
  codec_->restart();
  try {
    for (size_t used = 0;;) {
      const size_t size = text.size();
      text.resize(size + kTextBytes);
      const Codec::Step step = codec_->step(std::span(packed_).subspan(used), std::span(text).subspan(size));
      text.resize(size + step.made);
      used += step.used;
      if (step.ended) return true;
      if (step.used == 0 && step.made == 0) break;
    }
    problem_ = "it has no end";
  } catch (const DamagedStream& error) {
    problem_ = error.what();
  }
  return false;
}

bool Bzip2Blocks::next(std::string& text) {
  try {
    const bool found = advance(text);
    is_sure_ = true;
    return found;
  } catch (const DamagedStream&) {
    if (is_sure_) throw;
  }
  is_sure_ = true;
  bytes_.clear();
  base_ = std::max<int64_t>(0, begin_ - kSyncBytes);
  mark_ = find(8 * base_, kAnywhere);
  return advance(text);
}

bool Bzip2Blocks::advance(std::string& text) {
  while (mark_) {
    const Mark here = *mark_;
    forget(here.bit / 8);
    if (here.ends_stream) {
      mark_ = next_stream(here);
      continue;
    }
    std::optional<Mark> end = here;
    bool is_whole = false;
    problem_ = "it is cut off";
    for (int tries = 0; tries < kTries && !is_whole; ++tries) {
      end = find(end->bit + 1, here.bit + kMostBlockBits);
      if (!end) break;
      is_whole = end->bit >= here.bit + kBzip2MagicBits + kChecksumBits && unpack(here.bit, end->bit, text);
    }
    const bool is_before = here.bit / 8 < begin_;
    block_begin_ = here.bit / 8;
    if (!is_whole && !is_before) throw DamagedStream("the bzip2 block is damaged: " + problem_);
    mark_ =
        is_whole ? end : find(here.bit + 1, kAnywhere);  // where it is not whole, it was no block, or one that another reader finds damaged
    if (is_whole && !is_before) return true;
  }
  return false;
}

}  // namespace mpibert
