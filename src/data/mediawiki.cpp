#include "data/mediawiki.h"

#include <expat.h>

#include <algorithm>
#include <functional>
#include <memory>

#include "mpibert/base/error.h"

namespace mpibert {

namespace {

constexpr std::string_view kPageBegin = "<page>", kPageEnd = "</page>", kSiteEnd = "</siteinfo>", kSiteBegin = "<siteinfo>";
constexpr size_t kReadBytes = size_t{1} << 18, kMaxPageBytes = size_t{64} << 20, kMaxSiteBytes = size_t{1} << 20;

// The texts of a small XML document's elements: on_text(path, text) when one ends, path as "page/revision/text".
class ElementReader {
 public:
  using OnText = std::function<void(std::string_view path, std::string& text)>;
  explicit ElementReader(OnText on_text) : on_text_(std::move(on_text)) {}

  // Empty, or what is wrong and where.
  std::string parse(std::string_view xml) {
    const std::unique_ptr<XML_ParserStruct, decltype(&XML_ParserFree)> parser(XML_ParserCreate("UTF-8"), &XML_ParserFree);
    MPIBERT_CHECK(parser != nullptr, kOutOfMemory, "expat got no memory to parse a page");
    XML_SetUserData(parser.get(), this);
    XML_SetElementHandler(parser.get(), &begin_element, &end_element);
    XML_SetCharacterDataHandler(parser.get(), &add_text);
    if (XML_Parse(parser.get(), xml.data(), static_cast<int>(xml.size()), 1) == XML_STATUS_OK) return {};
    return str_cat(XML_ErrorString(XML_GetErrorCode(parser.get())), " in its line ", XML_GetCurrentLineNumber(parser.get()));
  }

 private:
  static ElementReader& self(void* data) { return *static_cast<ElementReader*>(data); }
  static void begin_element(void* data, const XML_Char* name, const XML_Char** /*attributes*/) {
    ElementReader& reader = self(data);
    if (!reader.path_.empty()) reader.path_ += '/';
    reader.path_ += name;
    reader.text_.clear();
  }
  static void end_element(void* data, const XML_Char* /*name*/) {
    ElementReader& reader = self(data);
    reader.on_text_(reader.path_, reader.text_);
    reader.text_.clear();
    const size_t parent = reader.path_.rfind('/');
    reader.path_.resize(parent == std::string::npos ? 0 : parent);
  }
  static void add_text(void* data, const XML_Char* text, int length) { self(data).text_.append(text, static_cast<size_t>(length)); }

  OnText on_text_;
  std::string path_, text_;
};

}  // namespace

MediaWikiReader::MediaWikiReader(std::filesystem::path path, int64_t begin, int64_t end)
    : path_(std::move(path)), bytes_(path_, begin, end >= 0), end_(end) {
  if (bytes_.compression() != Compression::kNone) return;
  position_ = begin;
  limit_ = end;
}

// More text behind that which is there; all that was used goes.
bool MediaWikiReader::fill() {
  if (used_ >= text_.size() / 2) {
    text_.erase(0, used_);
    position_ += static_cast<int64_t>(used_);
    used_ = 0;
  }
  const size_t size = text_.size();
  text_.resize(size + kReadBytes);
  const size_t got = bytes_.read(std::span(text_).subspan(size));
  text_.resize(size + got);
  if (got > 0 && limit_ < 0 && end_ >= 0 && bytes_.begin_of_last() >= end_) limit_ = position_ + static_cast<int64_t>(size);
  return got > 0;
}

MediaWikiReader::Result MediaWikiReader::next(WikiPage& page) {
  size_t begin = text_.find(kPageBegin, used_);
  while (begin == std::string::npos) {
    used_ = std::max(used_, text_.size() - std::min(text_.size(), kPageBegin.size() - 1));
    if (limit_ >= 0 && position_ + static_cast<int64_t>(used_) >= limit_) return Result::kEnd;
    if (!fill()) return Result::kEnd;
    begin = text_.find(kPageBegin, used_);
  }
  used_ = begin;
  const int64_t at = position_ + static_cast<int64_t>(begin);
  if (limit_ >= 0 && at >= limit_) return Result::kEnd;
  page = {};
  std::string fault;
  size_t looked_at = kPageBegin.size(), end = std::string::npos;
  for (;;) {  // used_ moves with the text
    end = text_.find(kPageEnd, used_ + looked_at);
    if (end != std::string::npos) break;
    looked_at = std::max(looked_at, text_.size() - used_ - std::min(text_.size() - used_, kPageEnd.size() - 1));
    if (text_.size() - used_ > kMaxPageBytes) fault = str_cat("more than ", kMaxPageBytes, " bytes");
    else if (!fill()) fault = "the file ends in it";
    if (!fault.empty()) break;
  }
  const size_t stop = end == std::string::npos ? text_.size() : end + kPageEnd.size();
  const size_t another = text_.find(kPageBegin, used_ + kPageBegin.size());
  if (another < stop) fault = str_cat("no ", kPageEnd, " before the next page");
  const size_t length = std::min(another, stop) - used_;
  const std::string xml_fault = ElementReader([&page](std::string_view path, std::string& text) {
                                  if (path == "page/title") page.title = std::move(text);
                                  if (path == "page/ns") page.ns = std::move(text);
                                  if (path == "page/redirect") page.is_redirect = true;
                                  if (path == "page/revision/text") page.text = std::move(text);
                                }).parse(std::string_view(text_).substr(used_, std::min(length, kMaxPageBytes)));
  if (fault.empty()) fault = xml_fault;
  used_ += length;
  if (fault.empty()) return Result::kPage;
  problem_ =
      str_cat(path_.string(), ": the page at byte ", at, " of the ",
              bytes_.compression() == Compression::kNone ? "file" : "text of the piece", ", '", page.title, "', is malformed: ", fault);
  return Result::kMalformed;
}

WikiNamespaces read_namespaces(const std::filesystem::path& dump) {
  WikiNamespaces namespaces;
  Decompressor bytes(dump);
  std::string text;
  size_t end = std::string::npos;
  while (end == std::string::npos && text.size() < kMaxSiteBytes && text.find(kPageBegin) == std::string::npos) {
    const size_t size = text.size();
    text.resize(size + kReadBytes);
    const size_t got = bytes.read(std::span(text).subspan(size));
    text.resize(size + got);
    if (got == 0) break;
    end = text.find(kSiteEnd);
  }
  const size_t begin = text.find(kSiteBegin);
  if (begin == std::string::npos || end == std::string::npos || end < begin) return namespaces;
  const std::string fault = ElementReader([&namespaces](std::string_view path, const std::string& name) {
                              if (path == "siteinfo/namespaces/namespace") namespaces.add(name);
                            }).parse(std::string_view(text).substr(begin, end + kSiteEnd.size() - begin));
  MPIBERT_CHECK(fault.empty(), kCorrupt, dump.string(), ": <siteinfo> is malformed: ", fault);
  return namespaces;
}

}  // namespace mpibert
