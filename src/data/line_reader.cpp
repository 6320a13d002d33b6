#include "data/line_reader.h"

#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <cstring>

#include "mpibert/base/error.h"

namespace mpibert {

namespace {

constexpr size_t kBufferBytes = size_t{1} << 17, kMaxLineBytes = size_t{64} << 20;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

gzFile stream(void* file) { return static_cast<gzFile>(file); }

}  // namespace

LineReader::LineReader(std::filesystem::path path, int64_t begin) : path_(std::move(path)), buffer_(kBufferBytes) {
  struct stat status {};
  const bool is_folder = ::stat(path_.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
  MPIBERT_CHECK(!is_folder, kInvalidArgument, path_.string(), " is a folder, expected a file");
  errno = 0;
  // A descriptor, not a path: standard input may be a socket, which no path opens.
  file_ = path_ == "/dev/stdin" ? gzdopen(dup(STDIN_FILENO), "rbe") : gzopen(path_.c_str(), "rbe");
  const int code = errno;
  MPIBERT_CHECK(file_ != nullptr || (code != ENOENT && code != ENOTDIR), kNotFound, "cannot open ", path_.string(), ": ", std::strerror(code));
  MPIBERT_CHECK(file_ != nullptr || code != EACCES, kPermission, "cannot open ", path_.string(), ": ", std::strerror(code));
  MPIBERT_CHECK(file_ != nullptr, kIo, "cannot open ", path_.string(), ": ", code != 0 ? std::strerror(code) : "out of memory");
  gzbuffer(stream(file_), kBufferBytes);
  if (begin == 0) return;
  try {
    MPIBERT_CHECK(gzdirect(stream(file_)) != 0, kInvalidArgument, path_.string(), " is compressed but its name does not end in .gz; rename it");
    // One byte earlier: if that is a line end, a line starts at `begin`.
    MPIBERT_CHECK(gzseek(stream(file_), begin - 1, SEEK_SET) == begin - 1, kIo, "cannot go to byte ", begin, " of ", path_.string());
    position_ = begin - 1;
    std::string rest;
    next(rest);
    number_ = 0;
  } catch (...) {
    gzclose(stream(file_));
    throw;
  }
}

LineReader::~LineReader() { gzclose(stream(file_)); }

bool LineReader::fill() {
  const int got = gzread(stream(file_), buffer_.data(), static_cast<unsigned>(buffer_.size()));
  int code = Z_OK;
  const char* text = gzerror(stream(file_), &code);
  MPIBERT_CHECK(code != Z_ERRNO, kIo, "cannot read ", path_.string(), ": ", std::strerror(errno));
  MPIBERT_CHECK(got >= 0 && (got > 0 || code == Z_OK || code == Z_STREAM_END), kCorrupt, path_.string(), ": the gzip stream is damaged or cut off after ", position_,
                " bytes of text: ", text);
  used_ = 0;
  size_ = static_cast<size_t>(got);
  return got > 0;
}

bool LineReader::next(std::string& line) {
  line.clear();
  offset_ = position_;
  bool ended = false, any = false;
  while (!ended && (used_ < size_ || fill())) {
    any = true;
    const char* begin = buffer_.data() + used_;
    const auto* end = static_cast<const char*>(std::memchr(begin, '\n', size_ - used_));
    ended = end != nullptr;
    const size_t count = ended ? static_cast<size_t>(end - begin) : size_ - used_;
    line.append(begin, count);
    used_ += count + (ended ? 1 : 0);
    position_ += static_cast<int64_t>(count) + (ended ? 1 : 0);
    MPIBERT_CHECK(line.size() <= kMaxLineBytes, kCorrupt, where(), ": a line of more than ", kMaxLineBytes, " bytes; is this text?");
  }
  if (!any) return false;
  ++number_;
  if (!line.empty() && line.back() == '\r') line.pop_back();
  if (offset_ == 0 && line.starts_with(kByteOrderMark)) line.erase(0, kByteOrderMark.size());
  return true;
}

std::string LineReader::where() const { return str_cat(path_.string(), ":", number_); }

bool is_blank(std::string_view line) {
  constexpr std::string_view kWide[] = {"\xC2\x85", "\xC2\xA0", "\xE1\x9A\x80", "\xE2\x80\xA8", "\xE2\x80\xA9", "\xE2\x80\xAF", "\xE2\x81\x9F", "\xE3\x80\x80"};
  while (!line.empty()) {
    const auto c = static_cast<unsigned char>(line[0]);
    size_t space = c == ' ' || (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F) ? 1 : 0;
    for (const std::string_view wide : kWide)
      if (line.starts_with(wide)) space = wide.size();
    if (line.starts_with("\xE2\x80") && line.size() > 2 && static_cast<unsigned char>(line[2]) >= 0x80 && static_cast<unsigned char>(line[2]) <= 0x8A) space = 3;
    if (space == 0) return false;
    line.remove_prefix(space);
  }
  return true;
}

}  // namespace mpibert
