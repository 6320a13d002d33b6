#include "data/line_reader.h"

#include <cstring>

#include "mpibert/base/error.h"

namespace mpibert {

namespace {

constexpr size_t kBufferBytes = size_t{1} << 18, kMaxLineBytes = size_t{64} << 20;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

// One byte earlier: if that is a line end, a line starts at `begin`.
LineReader::LineReader(std::filesystem::path path, int64_t begin)
    : path_(std::move(path)), bytes_(path_, begin > 0 ? begin - 1 : 0), buffer_(kBufferBytes) {
  if (begin == 0) return;
  MPIBERT_CHECK(bytes_.compression() == Compression::kNone, kInvalidArgument, path_.string(), " cannot be read from byte ", begin,
                ": it is compressed by ", name_of(bytes_.compression()));
  position_ = begin - 1;
  std::string_view rest;
  next(rest);
  number_ = 0;
}

// More text behind that which waits.
bool LineReader::fill() {
  if (used_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + used_, size_ - used_);
    size_ -= used_;
    used_ = 0;
  }
  if (size_ == buffer_.size()) buffer_.resize(2 * buffer_.size());
  const size_t got = bytes_.read(std::span(buffer_).subspan(size_));
  size_ += got;
  return got > 0;
}

bool LineReader::next(std::string_view& line) {
  offset_ = position_;
  const char* end = nullptr;
  for (size_t looked_at = 0; end == nullptr;) {
    end = static_cast<const char*>(std::memchr(buffer_.data() + used_ + looked_at, '\n', size_ - used_ - looked_at));
    looked_at = size_ - used_;
    if (end != nullptr) break;
    MPIBERT_CHECK(looked_at <= kMaxLineBytes, kCorrupt, path_.string(), ":", number_ + 1, ": a line of more than ", kMaxLineBytes,
                  " bytes; is this text?");
    if (!fill()) break;
  }
  if (end == nullptr && used_ == size_) return false;
  const size_t length = end != nullptr ? static_cast<size_t>(end - (buffer_.data() + used_)) : size_ - used_,
               taken = length + (end != nullptr ? 1 : 0);
  line = {buffer_.data() + used_, length};
  used_ += taken;
  position_ += static_cast<int64_t>(taken);
  ++number_;
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (offset_ == 0 && line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
  return true;
}

bool LineReader::next(std::string& line) {
  std::string_view view;
  const bool found = next(view);
  line.assign(view);
  return found;
}

std::string LineReader::where() const { return str_cat(path_.string(), ":", number_); }

bool is_blank(std::string_view line) {
  constexpr std::string_view kWide[] = {"\xC2\x85",     "\xC2\xA0",     "\xE1\x9A\x80", "\xE2\x80\xA8",
                                        "\xE2\x80\xA9", "\xE2\x80\xAF", "\xE2\x81\x9F", "\xE3\x80\x80"};
  while (!line.empty()) {
    const auto c = static_cast<unsigned char>(line[0]);
    size_t space = c == ' ' || (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F) ? 1 : 0;
    if (space == 0 && c < 0x80) return false;
    for (const std::string_view wide : kWide)
      if (line.starts_with(wide)) space = wide.size();
    if (line.starts_with("\xE2\x80") && line.size() > 2 && static_cast<unsigned char>(line[2]) >= 0x80 &&
        static_cast<unsigned char>(line[2]) <= 0x8A)
      space = 3;
    if (space == 0) return false;
    line.remove_prefix(space);
  }
  return true;
}

}  // namespace mpibert
