#include "mpibert/data/corpus.h"

#include <algorithm>
#include <array>
#include <optional>

#include "data/line_reader.h"
#include "mpibert/base/error.h"
#include "mpibert/base/log.h"

namespace mpibert {

namespace fs = std::filesystem;

namespace {

constexpr std::array<std::string_view, 4> kFormatNames = {"auto", "wikiextractor", "lines", "text"};  // by the value of CorpusFormat
constexpr int64_t kTextDocumentBytes = int64_t{32} << 10;
constexpr int64_t kDetectLines = 200;
constexpr int64_t kExpansion = 3;  // of gzip, about; only to make pieces of like size

bool is_gzip_name(const fs::path& path) { return path.extension() == ".gz"; }

int64_t bytes_of_file(const fs::path& path) {
  std::error_code code;
  const uintmax_t bytes = fs::file_size(path, code);
  MPIBERT_CHECK(!code, kIo, "cannot examine ", path.string(), ": ", code.message());
  return static_cast<int64_t>(bytes);
}

}  // namespace

CorpusFormat corpus_format_from_name(std::string_view name) {
  const auto found = std::find(kFormatNames.begin(), kFormatNames.end(), name);
  MPIBERT_CHECK(found != kFormatNames.end(), kUsage, "unknown corpus format '", name, "'; there are auto, wikiextractor, lines and text");
  return static_cast<CorpusFormat>(found - kFormatNames.begin());
}

std::string_view name_of(CorpusFormat format) { return kFormatNames[static_cast<size_t>(format)]; }

std::vector<fs::path> list_corpus_files(std::span<const fs::path> paths) {
  std::vector<fs::path> files;
  for (const fs::path& path : paths) {
    MPIBERT_CHECK(fs::exists(path), kNotFound, "input ", path.string(), " is not there");
    if (!fs::is_directory(path)) {
      files.push_back(path);
      continue;
    }
    std::vector<fs::path> inside;
    try {
      for (auto entry = fs::recursive_directory_iterator(path); entry != fs::recursive_directory_iterator(); ++entry) {
        const bool hidden = entry->path().filename().string().starts_with(".");
        if (hidden && entry->is_directory()) entry.disable_recursion_pending();
        if (!hidden && entry->is_regular_file()) inside.push_back(entry->path());
      }
    } catch (const fs::filesystem_error& error) {
      throw Error(ErrorKind::kIo, str_cat("cannot list ", path.string(), ": ", error.what()));
    }
    std::sort(inside.begin(), inside.end(), [](const fs::path& a, const fs::path& b) { return a.generic_string() < b.generic_string(); });
    files.insert(files.end(), inside.begin(), inside.end());
  }
  MPIBERT_CHECK(!files.empty(), kInvalidArgument, "no file of text in the inputs", paths.empty() ? "" : ", the first of which is ",
                paths.empty() ? std::string() : paths[0].string());
  return files;
}

CorpusFormat detect_format(const fs::path& file) {
  LineReader reader(file);
  int64_t lines = 0, ending = 0, sentences = 0;
  for (std::string line; lines < kDetectLines && reader.next(line);) {
    if (is_blank(line)) continue;
    if (lines == 0 && line.starts_with("<doc ")) return CorpusFormat::kWikiExtractor;
    std::vector<std::string> parts;
    split_sentences(line + " X", parts);  // a line that ends a sentence leaves the X alone
    const int64_t ends = parts.back() == "X" ? 1 : 0;
    ++lines;
    ending += ends;
    sentences += static_cast<int64_t>(parts.size()) - ends;
  }
  return 10 * ending >= 7 * lines && 2 * sentences < 3 * lines ? CorpusFormat::kLines : CorpusFormat::kText;
}

std::vector<CorpusUnit> plan_corpus(std::span<const fs::path> files, int64_t block_bytes) {
  MPIBERT_CHECK(block_bytes > 0, kInvalidArgument, "block_bytes is ", block_bytes, ", expected at least 1");
  std::vector<CorpusUnit> units;
  CorpusUnit group;
  int64_t group_bytes = 0;
  const auto finish_group = [&] {
    if (!group.files.empty()) units.push_back(std::move(group));
    group = {};
    group_bytes = 0;
  };
  for (const fs::path& file : files) {
    const int64_t bytes = bytes_of_file(file) * (is_gzip_name(file) ? kExpansion : 1);
    if (group_bytes + bytes > block_bytes) finish_group();
    const int64_t pieces = is_gzip_name(file) ? 1 : (bytes + block_bytes / 2) / block_bytes;
    if (pieces > 1) {
      for (int64_t i = 0; i < pieces; ++i) units.push_back({.files = {file}, .begin = bytes * i / pieces, .end = i + 1 == pieces ? -1 : bytes * (i + 1) / pieces});
      continue;
    }
    group.files.push_back(file);
    group_bytes += bytes;
  }
  finish_group();
  return units;
}

struct DocumentReader::Data {
  CorpusUnit unit;
  CorpusFormat asked, format = CorpusFormat::kAuto;  // format: of the open file
  size_t next_file = 0;
  int64_t documents = 0;  // of the open file
  std::optional<LineReader> lines;
  std::string line;
  bool line_waits = false;  // `line` was read but not used
  int64_t last_blank = 0;   // where the last blank line began; the start of the file counts as one
  bool owned = true;        // a blank line was seen in this piece, so that what follows belongs to it

  bool open_next();
  bool next_line();
  bool outside(int64_t offset) const { return unit.end >= 0 && offset >= unit.end; }
  bool next_wiki(Document& document);
  bool next_paragraph(std::vector<std::string>& wrapped);
  bool next_lines(Document& document);
  bool next_text(Document& document);
};

DocumentReader::DocumentReader(CorpusUnit unit, CorpusFormat format) : data_(std::make_unique<Data>()) {
  data_->unit = std::move(unit);
  data_->asked = format;
  data_->owned = data_->unit.begin == 0;
}

DocumentReader::~DocumentReader() = default;
DocumentReader::DocumentReader(DocumentReader&&) noexcept = default;

bool DocumentReader::Data::open_next() {
  if (lines && documents == 0 && unit.begin == 0)  // a later piece of a file may well be all inside one document
    log_warning(lines->path().string(), ": no document in it, read as ", name_of(format));
  lines.reset();
  line_waits = false;
  documents = 0;
  if (next_file == unit.files.size()) return false;
  format = asked == CorpusFormat::kAuto ? detect_format(unit.files[next_file]) : asked;
  lines.emplace(unit.files[next_file], next_file == 0 ? unit.begin : 0);
  ++next_file;
  last_blank = 0;
  return true;
}

bool DocumentReader::Data::next_line() {
  if (line_waits) {
    line_waits = false;
    return true;
  }
  return lines->next(line);
}

// A document begins with a line "<doc ..." in this piece. Its first line is the title.
bool DocumentReader::Data::next_wiki(Document& document) {
  do {
    if (!next_line()) return false;
  } while (!line.starts_with("<doc "));
  if (outside(lines->offset())) return false;
  bool title = true;
  while (next_line() && !line.starts_with("</doc>")) {
    if (line.starts_with("<doc ")) {  // the end of the one before is missing
      line_waits = true;
      break;
    }
    if (is_blank(line)) continue;
    if (!title) split_sentences(line, document);
    title = false;
  }
  return true;
}

// The lines up to the next blank one. A paragraph belongs to the piece in which the blank line before it begins.
bool DocumentReader::Data::next_paragraph(std::vector<std::string>& wrapped) {
  while (next_line()) {
    if (is_blank(line)) {
      if (!wrapped.empty()) {
        line_waits = true;
        return true;
      }
      last_blank = lines->offset();
      owned = true;
    } else if (owned) {
      if (outside(last_blank)) return false;
      wrapped.push_back(line);
    }
  }
  return !wrapped.empty();
}

bool DocumentReader::Data::next_lines(Document& document) { return next_paragraph(document); }

bool DocumentReader::Data::next_text(Document& document) {
  int64_t bytes = 0;
  while (bytes < kTextDocumentBytes) {
    std::vector<std::string> wrapped;
    if (!next_paragraph(wrapped)) return !document.empty();
    std::string paragraph;
    for (const std::string& part : wrapped) paragraph += part + " ";
    split_sentences(paragraph, document);
    bytes += static_cast<int64_t>(paragraph.size());
  }
  return true;
}

bool DocumentReader::next(Document& document) {
  Data& d = *data_;
  for (;;) {
    document.clear();
    while (d.lines) {
      const bool found = d.format == CorpusFormat::kWikiExtractor ? d.next_wiki(document) : d.format == CorpusFormat::kLines ? d.next_lines(document) : d.next_text(document);
      if (!found) break;
      if (document.empty()) continue;
      ++d.documents;
      return true;
    }
    if (!d.open_next()) return false;
  }
}

}  // namespace mpibert
