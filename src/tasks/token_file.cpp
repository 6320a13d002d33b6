#include "tasks/token_file.h"

#include <algorithm>

#include "data/line_reader.h"
#include "mpibert/base/error.h"
#include "mpibert/tasks/entities.h"

namespace mpibert {

namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

// At every tab; or at runs of spaces.
std::vector<std::string_view> split(std::string_view line, bool tabs) {
  std::vector<std::string_view> columns;
  while (!line.empty()) {
    const size_t end = std::min(line.find(tabs ? '\t' : ' '), line.size());
    if (tabs || end > 0) columns.push_back(line.substr(0, end));
    if (tabs && end + 1 == line.size()) columns.emplace_back();
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return columns;
}

// IOB1 has B after an entity of the same type alone, and entities that begin with I.
bool is_iob1(const std::vector<TaggedSentence>& sentences) {
  bool begins_with_i = false;
  for (const TaggedSentence& sentence : sentences) {
    Tag before;
    for (const std::string& text : sentence.tags) {
      const Tag tag = parse_tag(text);
      if (tag.scheme == 'B' && (before.scheme == 'O' || before.type != tag.type)) return false;
      begins_with_i = begins_with_i || (tag.scheme == 'I' && (before.scheme == 'O' || before.type != tag.type));
      before = tag;
    }
  }
  return begins_with_i;
}

void to_iob2(TaggedSentence& sentence) {
  Tag before;
  for (std::string& text : sentence.tags) {
    const Tag tag = parse_tag(text);
    if (tag.scheme == 'I' && (before.scheme == 'O' || before.type != tag.type)) text[0] = 'B';
    before = tag;
  }
}

}  // namespace

std::vector<TaggedSentence> read_tagged_sentences(const std::filesystem::path& path) {
  LineReader reader(path);
  std::vector<TaggedSentence> sentences;
  std::string line;
  size_t expected = 0;  // columns
  bool inside = false, tabs = false;
  while (reader.next(line)) {
    if (is_blank(line) || line == kByteOrderMark || line.starts_with("-DOCSTART-")) {
      inside = false;
      continue;
    }
    if (expected == 0) tabs = line.find('\t') != std::string::npos;
    const std::vector<std::string_view> columns = split(line, tabs);
    if (expected == 0) expected = columns.size();
    MPIBERT_CHECK(columns.size() == expected, kCorrupt, reader.where(), ": ", columns.size(), columns.size() == 1 ? " column" : " columns",
                  ", expected ", expected, " between ", tabs ? "tabs" : "spaces", ", as in the first line with a word");
    MPIBERT_CHECK(!columns.front().empty() && !columns.back().empty(), kCorrupt, reader.where(), ": the ",
                  columns.front().empty() ? "word" : "tag", " is empty");
    if (!inside) sentences.push_back({.line = reader.number(), .words = {}, .tags = {}});
    inside = true;
    sentences.back().words.emplace_back(columns.front());
    if (expected > 1) sentences.back().tags.emplace_back(columns.back());
  }
  MPIBERT_CHECK(!sentences.empty(), kCorrupt, path.string(),
                " has no sentence; expected a word a line and an empty line between sentences");
  if (is_iob1(sentences)) std::ranges::for_each(sentences, to_iob2);
  return sentences;
}

}  // namespace mpibert
