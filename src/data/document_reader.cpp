#include <algorithm>
#include <optional>
#include <stdexcept>

#include "data/json_field.h"
#include "data/line_reader.h"
#include "data/mediawiki.h"
#include "data/sentences_icu.h"
#include "mpibert/base/error.h"
#include "mpibert/base/log.h"
#include "mpibert/data/corpus.h"

namespace mpibert {

namespace {

constexpr int64_t kTextDocumentBytes = int64_t{32} << 10;
constexpr std::string_view kSoftHyphen = "\xC2\xAD";

// A line of wrapped text behind the lines before it. A hyphen at a line's end stays and takes no space behind it, as in "well-known",
// because nothing here knows which words were cut by it; a soft hyphen goes. Dashes ("--") are marks between words.
void append_wrapped(std::string_view line, std::string& paragraph) {
  while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
  while (!line.empty() && (line.back() == ' ' || line.back() == '\t')) line.remove_suffix(1);
  const size_t size = paragraph.size();
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || static_cast<unsigned char>(c) >= 0x80; };
  const bool hyphen = size >= 2 && paragraph[size - 1] == '-' && is_letter(paragraph[size - 2]) && !line.empty() && is_letter(line.front());
  if (paragraph.ends_with(kSoftHyphen)) paragraph.resize(size - kSoftHyphen.size());
  else if (size > 0 && !hyphen) paragraph += ' ';
  paragraph.append(line);
}

// WikiExtractor writes & < > as HTML has them (--html-safe).
std::string_view unescaped(std::string_view line, std::string& buffer) {
  constexpr std::pair<std::string_view, char> kEscapes[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}};
  if (line.find('&') == std::string_view::npos) return line;
  buffer.clear();
  while (!line.empty()) {
    size_t taken = 1;
    char c = line.front();
    for (const auto& [name, character] : kEscapes) {
      if (!line.starts_with(name)) continue;
      c = character;
      taken = name.size();
    }
    buffer += c;
    line.remove_prefix(taken);
  }
  return buffer;
}

}  // namespace

struct DocumentReader::Data {
  Data(CorpusUnit the_unit, CorpusOptions the_options)
      : unit(std::move(the_unit)), options(std::move(the_options)), filter(options.filter), owned(unit.begin == 0) {
    if (options.sentences == SentenceRules::kIcu) icu.emplace(options.language);
  }

  CorpusUnit unit;
  CorpusOptions options;
  std::optional<IcuSentences> icu;
  DocumentFilter filter;
  CorpusCounts counts;
  CorpusFormat format = CorpusFormat::kAuto;  // of the open file
  std::filesystem::path path;                 // of the open file
  size_t next_file = 0;
  int64_t documents = 0;  // of the open file
  bool is_open = false;
  std::optional<LineReader> lines;  // one of the two
  std::optional<MediaWikiReader> pages;
  WikiNamespaces namespaces;
  std::string_view line;
  bool line_waits = false;  // `line` was read but not used
  int64_t last_blank = 0;   // where the last blank line began; the start of the file counts as one
  bool owned;               // a blank line was seen in this piece, so that what follows belongs to it
  std::string paragraph;

  bool open_next();
  bool next_line();
  bool outside(int64_t offset) const { return unit.end >= 0 && offset >= unit.end; }
  bool next_in_paragraph(bool first);
  void split(std::string_view text, Document& document) { icu ? icu->split(text, document) : split_sentences(text, document); }
  void split_lines(std::string_view text, Document& document);
  bool next_wiki(Document& document);
  bool next_lines(Document& document);
  bool next_text(Document& document);
  bool next_json(Document& document);
  bool next_page(Document& document);
  bool next(Document& document);
  bool keeps(const Document& document);
};

DocumentReader::DocumentReader(CorpusUnit unit, CorpusOptions options)
    : data_(std::make_unique<Data>(std::move(unit), std::move(options))) {}

DocumentReader::~DocumentReader() = default;
DocumentReader::DocumentReader(DocumentReader&&) noexcept = default;

const CorpusCounts& DocumentReader::counts() const { return data_->counts; }

bool DocumentReader::Data::open_next() {
  if (is_open && documents == 0 && unit.begin == 0 && unit.end < 0)  // a piece of a file may well be all inside one document
    log_warning(path.string(), ": no document in it, read as ", name_of(format));
  lines.reset();
  pages.reset();
  line_waits = false;
  documents = 0;
  is_open = next_file < unit.files.size();
  if (!is_open) return false;
  path = unit.files[next_file];
  format = options.format == CorpusFormat::kAuto ? detect_format(path) : options.format;
  const int64_t begin = next_file == 0 ? unit.begin : 0;
  if (format == CorpusFormat::kMediaWiki) {
    namespaces = read_namespaces(path);
    pages.emplace(path, begin, unit.end);
  } else {
    lines.emplace(path, begin);
  }
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
    if (!title) split(unescaped(line, paragraph), document);
    title = false;
  }
  return true;
}

// The next line of a paragraph, which ends at a blank one. A paragraph belongs to the piece in which the blank line before it begins.
bool DocumentReader::Data::next_in_paragraph(bool first) {
  while (next_line()) {
    if (!is_blank(line)) {
      if (!owned) continue;
      return !first || !outside(last_blank);
    }
    if (!first) {
      line_waits = true;
      return false;
    }
    last_blank = lines->offset();
    owned = true;
  }
  return false;
}

bool DocumentReader::Data::next_lines(Document& document) {
  for (bool first = true; next_in_paragraph(first); first = false) document.add(line);
  return !document.empty();
}

bool DocumentReader::Data::next_text(Document& document) {
  for (int64_t bytes = 0; bytes < kTextDocumentBytes;) {
    paragraph.clear();
    for (bool first = true; next_in_paragraph(first); first = false) append_wrapped(line, paragraph);
    if (paragraph.empty()) return !document.empty();
    split(paragraph, document);
    bytes += static_cast<int64_t>(paragraph.size());
  }
  return true;
}

// Paragraphs that are lines.
void DocumentReader::Data::split_lines(std::string_view text, Document& document) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    split(text.substr(0, end), document);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

bool DocumentReader::Data::next_json(Document& document) {
  do {
    if (!next_line() || outside(lines->offset())) return false;
  } while (is_blank(line));
  const std::string fault = text_field_of(line, options.text_field, paragraph);
  MPIBERT_CHECK(fault.empty(), kCorrupt, lines->where(), ": ", fault);
  split_lines(paragraph, document);
  return true;
}

bool DocumentReader::Data::next_page(Document& document) {
  for (WikiPage page;;) {
    const MediaWikiReader::Result result = pages->next(page);
    if (result == MediaWikiReader::Result::kEnd) return false;
    if (result == MediaWikiReader::Result::kMalformed) {
      MPIBERT_CHECK(!options.strict, kCorrupt, pages->problem());
      log_warning(pages->problem(), "; it is left out");
      ++counts.malformed;
    } else if (page.ns != "0" && !page.ns.empty()) {  // dumps of before 2012 do not say it
      ++counts.other_namespaces;
    } else if (page.ns.empty() && namespaces.drops(page.title)) {
      ++counts.other_namespaces;
    } else if (page.is_redirect) {
      ++counts.redirects;
    } else {
      split_lines(plain_text_of_wikitext(page.text, namespaces), document);
      return true;
    }
  }
}

bool DocumentReader::Data::next(Document& document) {
  switch (format) {
    case CorpusFormat::kWikiExtractor:
      return next_wiki(document);
    case CorpusFormat::kLines:
      return next_lines(document);
    case CorpusFormat::kText:
      return next_text(document);
    case CorpusFormat::kJsonLines:
      return next_json(document);
    case CorpusFormat::kMediaWiki:
      return next_page(document);
    case CorpusFormat::kAuto:
      break;
  }
  throw std::logic_error("no format was found");
}

bool DocumentReader::Data::keeps(const Document& document) {
  const DocumentFilter::Verdict verdict = document.empty() ? DocumentFilter::Verdict::kKeep : filter.judge(document);
  int64_t& count = document.empty()                                   ? counts.empty
                   : verdict == DocumentFilter::Verdict::kShort       ? counts.short_documents
                   : verdict == DocumentFilter::Verdict::kOtherScript ? counts.other_script
                                                                      : counts.documents;
  ++count;
  return &count == &counts.documents;
}

bool DocumentReader::next(Document& document) {
  Data& d = *data_;
  while (d.is_open || d.open_next()) {
    document.clear();
    if (!d.next(document)) {
      if (!d.open_next()) return false;
      continue;
    }
    ++d.documents;
    if (!d.keeps(document)) continue;
    return true;
  }
  return false;
}

}  // namespace mpibert
