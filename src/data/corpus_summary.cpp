#include "mpibert/data/corpus_summary.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "mpibert/base/error.h"

namespace mpibert {

namespace {

using nlohmann::ordered_json;

size_t bucket_of(int64_t length) {
  return std::min<size_t>(static_cast<size_t>(std::bit_width(static_cast<uint64_t>(length))) - 1, CorpusSummary::kBuckets - 1);
}

std::string histogram(const std::array<int64_t, CorpusSummary::kBuckets>& counts, int64_t total) {
  std::string text;
  for (size_t k = 0; k < counts.size(); ++k) {
    if (counts[k] == 0) continue;
    std::array<char, 80> line{};
    std::snprintf(line.data(), line.size(), "\n  %7lld-%-7lld %12lld %6.2f %%", 1LL << k, (2LL << k) - 1, static_cast<long long>(counts[k]),
                  100.0 * static_cast<double>(counts[k]) / static_cast<double>(total));
    text += line.data();
  }
  return text;
}

}  // namespace

void CorpusSummary::add(const TokenizedDocument& document, int64_t bytes_of_text, int32_t unk_id) {
  bytes += bytes_of_text;
  ++documents;
  sentences += document.sentences();
  tokens += static_cast<int64_t>(document.ids.size());
  unknown += std::count(document.ids.begin(), document.ids.end(), unk_id);
  ++document_lengths[bucket_of(static_cast<int64_t>(document.ids.size()))];
  for (size_t i = 1; i < document.offsets.size(); ++i) ++sentence_lengths[bucket_of(document.offsets[i] - document.offsets[i - 1])];
}

CorpusSummary& CorpusSummary::operator+=(const CorpusSummary& other) {
  bytes += other.bytes;
  documents += other.documents;
  sentences += other.sentences;
  tokens += other.tokens;
  unknown += other.unknown;
  read.documents += other.read.documents;
  read.empty += other.read.empty;
  read.short_documents += other.read.short_documents;
  read.other_script += other.read.other_script;
  read.redirects += other.read.redirects;
  read.other_namespaces += other.read.other_namespaces;
  read.malformed += other.read.malformed;
  duplicates += other.duplicates;
  for (size_t k = 0; k < kBuckets; ++k) {
    sentence_lengths[k] += other.sentence_lengths[k];
    document_lengths[k] += other.document_lengths[k];
  }
  return *this;
}

std::string to_json(const CorpusSummary& s) {
  return ordered_json({{"bytes", s.bytes},
                       {"documents", s.documents},
                       {"sentences", s.sentences},
                       {"tokens", s.tokens},
                       {"unknown", s.unknown},
                       {"sentence_lengths", s.sentence_lengths},
                       {"document_lengths", s.document_lengths},
                       {"documents_read", s.read.documents},
                       {"left_out",
                        {{"duplicates", s.duplicates},
                         {"empty", s.read.empty},
                         {"short", s.read.short_documents},
                         {"other_script", s.read.other_script},
                         {"redirects", s.read.redirects},
                         {"other_namespaces", s.read.other_namespaces},
                         {"malformed", s.read.malformed}}}})
      .dump();
}

CorpusSummary corpus_summary_from_json(const std::string& text, const std::string& where) {
  CorpusSummary s;
  try {
    const ordered_json root = ordered_json::parse(text);
    s.bytes = root.at("bytes");
    s.documents = root.at("documents");
    s.sentences = root.at("sentences");
    s.tokens = root.at("tokens");
    s.unknown = root.at("unknown");
    root.at("sentence_lengths").get_to(s.sentence_lengths);
    root.at("document_lengths").get_to(s.document_lengths);
    const ordered_json& left_out = root.at("left_out");
    s.duplicates = left_out.at("duplicates");
    s.read = {.documents = root.at("documents_read"),
              .empty = left_out.at("empty"),
              .short_documents = left_out.at("short"),
              .other_script = left_out.at("other_script"),
              .redirects = left_out.at("redirects"),
              .other_namespaces = left_out.at("other_namespaces"),
              .malformed = left_out.at("malformed")};
  } catch (const ordered_json::exception& error) {
    throw Error(ErrorKind::kCorrupt, str_cat(where, ": ", error.what()));
  }
  return s;
}

std::string describe(const CorpusSummary& s) {
  const double unknown = 100.0 * static_cast<double>(s.unknown) / static_cast<double>(std::max<int64_t>(1, s.tokens));
  const int64_t left_out = s.duplicates + s.read.empty + s.read.short_documents + s.read.other_script + s.read.malformed;
  return str_cat(s.documents, " documents (", left_out, " left out), ", s.sentences, " sentences, ", s.tokens, " tokens (", unknown,
                 " % unknown), ", s.bytes, " bytes of text", "\ntokens of a sentence", histogram(s.sentence_lengths, s.sentences),
                 "\ntokens of a document", histogram(s.document_lengths, s.documents));
}

}  // namespace mpibert
