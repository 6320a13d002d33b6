#include "mpibert/data/corpus.h"

#include <algorithm>
#include <array>

#include "data/line_reader.h"
#include "mpibert/base/error.h"

namespace mpibert {

namespace fs = std::filesystem;

namespace {

constexpr std::array<std::string_view, 6> kFormatNames = {"auto", "wikiextractor", "lines",
                                                          "text", "jsonl",         "mediawiki"};  // by the value of CorpusFormat
constexpr int64_t kDetectLines = 200;
constexpr int64_t kExpansion = 3;  // by decompression, about; only to make pieces of like size

// Files that hold no text as it is read here.
struct Refused {
  std::string_view first_bytes, name, remedy;
};
constexpr std::array<Refused, 5> kRefused = {{
    {"PAR1", "a Parquet file", "write its column of text as JSON lines, e.g. with pyarrow.parquet and json"},
    {"ARROW1", "an Arrow file", "write its column of text as JSON lines, e.g. with pyarrow and json"},
    {"\x89HDF", "an HDF5 file", "give the raw text"},
    {"PK\x03\x04", "a zip archive", "unpack it"},
    {"7z\xBC\xAF", "a 7z archive", "unpack it"},
}};

int64_t bytes_of_file(const fs::path& path) {
  std::error_code code;
  const uintmax_t bytes = fs::file_size(path, code);
  MPIBERT_CHECK(!code, kIo, "cannot examine ", path.string(), ": ", code.message());
  return static_cast<int64_t>(bytes);
}

bool may_be_cut(const fs::path& file, Compression compression) {
  if (compression == Compression::kNone) return true;
  return compression == Compression::kBzip2 && detect_format(file) == CorpusFormat::kMediaWiki;
}

}  // namespace

std::vector<std::string> corpus_format_names() { return {kFormatNames.begin(), kFormatNames.end()}; }

CorpusFormat corpus_format_from_name(std::string_view name) {
  const auto found = std::find(kFormatNames.begin(), kFormatNames.end(), name);
  MPIBERT_CHECK(found != kFormatNames.end(), kUsage, "unknown corpus format '", name,
                "'; there are auto, wikiextractor, lines, text, jsonl and mediawiki");
  return static_cast<CorpusFormat>(found - kFormatNames.begin());
}

std::string_view name_of(CorpusFormat format) { return kFormatNames[static_cast<size_t>(format)]; }

std::vector<std::pair<std::string, std::string>> named_options(const CorpusOptions& options) {
  const CorpusOptions defaults;
  std::vector<std::pair<std::string, std::string>> named = {{"format", std::string(name_of(options.format))}};
  const auto add = [&named](const char* name, const auto& value, const auto& usual) {
    if (value != usual) named.emplace_back(name, str_cat(value));
  };
  add("text_field", options.text_field, defaults.text_field);
  if (options.sentences == SentenceRules::kIcu) named.emplace_back("sentences", "icu " + options.language);
  add("strict", options.strict, defaults.strict);
  add("min_characters", options.filter.min_characters, defaults.filter.min_characters);
  add("script", options.filter.script, defaults.filter.script);
  add("min_script_share", options.filter.min_script_share, defaults.filter.min_script_share);
  return named;
}

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
    if (lines == 0 && (line.starts_with("<mediawiki") || line.starts_with("<?xml"))) return CorpusFormat::kMediaWiki;
    if (lines == 0 && line.starts_with("{")) return CorpusFormat::kJsonLines;
    Document parts;
    split_sentences(line + " X", parts);  // a line that ends a sentence leaves the X alone
    const int64_t ends = parts.sentence(parts.sentences() - 1) == "X" ? 1 : 0;
    ++lines;
    ending += ends;
    sentences += parts.sentences() - ends;
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
    const std::string first_bytes = first_bytes_of(file, kCompressionBytes);
    for (const Refused& refused : kRefused)
      MPIBERT_CHECK(!first_bytes.starts_with(refused.first_bytes), kInvalidArgument, file.string(), " is ", refused.name,
                    ", which is not read here; ", refused.remedy);
    const Compression compression = compression_of(first_bytes);
    const int64_t size = bytes_of_file(file), bytes = size * (compression == Compression::kNone ? 1 : kExpansion);
    if (group_bytes + bytes > block_bytes) finish_group();
    const int64_t pieces = (bytes + block_bytes / 2) / block_bytes;
    if (pieces > 1 && may_be_cut(file, compression)) {
      for (int64_t i = 0; i < pieces; ++i)
        units.push_back({.files = {file}, .begin = size * i / pieces, .end = i + 1 == pieces ? -1 : size * (i + 1) / pieces});
      continue;
    }
    group.files.push_back(file);
    group_bytes += bytes;
  }
  finish_group();
  return units;
}

}  // namespace mpibert
