#include <algorithm>
#include <limits>
#include <span>

#include "base/crc32c.h"
#include "data/hdf5.h"
#include "data/shard_commit.h"
#include "data/shard_format.h"
#include "data/token_format.h"
#include "mpibert/base/error.h"
#include "mpibert/data/token_shard.h"

namespace mpibert {

using namespace token_format;

constexpr int64_t kMaxTokens = int64_t{1} << 31;

struct TokenShardWriter::Data {
  std::filesystem::path path;
  ShardOptions options;
  std::vector<uint32_t> document_offsets{0}, sentence_offsets{0};
  std::vector<uint16_t> narrow_ids;  // one of the two is used
  std::vector<int32_t> wide_ids;
  int64_t longest = 0;

  bool is_narrow() const { return shard_format::id_type(options.vocabulary_size) == hdf5::Type::kUInt16; }
  int64_t tokens() const { return sentence_offsets.back(); }
  void write(const std::filesystem::path& to) const;
};

TokenShardWriter::TokenShardWriter(std::filesystem::path path, ShardOptions options) : data_(std::make_unique<Data>()) {
  MPIBERT_CHECK(options.vocabulary_size > 0 && options.vocabulary_size <= std::numeric_limits<int32_t>::max(), kInvalidArgument,
                path.string(), ": a vocabulary of ", options.vocabulary_size, " tokens");
  data_->path = std::move(path);
  data_->options = std::move(options);
}

TokenShardWriter::~TokenShardWriter() = default;
TokenShardWriter::TokenShardWriter(TokenShardWriter&&) noexcept = default;
TokenShardWriter& TokenShardWriter::operator=(TokenShardWriter&&) noexcept = default;

int64_t TokenShardWriter::documents() const { return static_cast<int64_t>(data_->document_offsets.size()) - 1; }
int64_t TokenShardWriter::tokens() const { return data_->tokens(); }

void TokenShardWriter::add(const TokenizedDocument& document) {
  Data& d = *data_;
  const auto tokens = static_cast<int64_t>(document.ids.size());
  const bool is_document =
      document.sentences() > 0 && document.offsets.front() == 0 && document.offsets.back() == tokens &&
      std::adjacent_find(document.offsets.begin(), document.offsets.end(), std::greater_equal<>()) == document.offsets.end();
  MPIBERT_CHECK(is_document, kInvalidArgument, d.path.string(), ": document ", documents(), " has ", document.sentences(), " sentences of ",
                tokens, " tokens; a document has at least one sentence and a sentence one token");
  MPIBERT_CHECK(d.tokens() + tokens < kMaxTokens, kInvalidArgument, d.path.string(), ": a shard of ", d.tokens() + tokens,
                " tokens, expected less than ", kMaxTokens);
  const auto [lowest, highest] = std::minmax_element(document.ids.begin(), document.ids.end());
  MPIBERT_CHECK(*lowest >= 0 && *highest < d.options.vocabulary_size, kInvalidArgument, d.path.string(), ": document ", documents(),
                " has a token outside the vocabulary of ", d.options.vocabulary_size);
  const auto before = static_cast<uint32_t>(d.tokens());
  for (size_t i = 1; i < document.offsets.size(); ++i) d.sentence_offsets.push_back(before + static_cast<uint32_t>(document.offsets[i]));
  d.document_offsets.push_back(static_cast<uint32_t>(d.sentence_offsets.size() - 1));
  if (d.is_narrow())
    for (const int32_t id : document.ids) d.narrow_ids.push_back(static_cast<uint16_t>(id));
  else d.wide_ids.insert(d.wide_ids.end(), document.ids.begin(), document.ids.end());
  d.longest = std::max(d.longest, tokens);
}

namespace {

void append_checksums(std::span<const std::byte> bytes, std::vector<uint32_t>& checksums) {
  for (; !bytes.empty(); bytes = bytes.subspan(std::min<size_t>(kBlockBytes, bytes.size())))
    checksums.push_back(crc32c(bytes.first(std::min<size_t>(kBlockBytes, bytes.size()))));
}

}  // namespace

void TokenShardWriter::Data::write(const std::filesystem::path& to) const {
  static_assert(std::endian::native == std::endian::little, "the bytes that are checksummed are those of the file");
  const auto bytes_of = [](const auto& values) { return std::as_bytes(std::span(values)); };
  std::vector<uint32_t> checksums;
  append_checksums(bytes_of(document_offsets), checksums);
  append_checksums(bytes_of(sentence_offsets), checksums);
  append_checksums(is_narrow() ? bytes_of(narrow_ids) : bytes_of(wide_ids), checksums);

  hdf5::File file = hdf5::File::create(to);
  file.write_text("format", kFormat);
  file.write_integer("version", kVersion);
  file.write_integer("documents", static_cast<int64_t>(document_offsets.size()) - 1);
  file.write_integer("sentences", static_cast<int64_t>(sentence_offsets.size()) - 1);
  file.write_integer("tokens", tokens());
  file.write_integer("vocabulary_size", options.vocabulary_size);
  file.write_text("vocabulary_sha256", options.vocabulary_sha256);
  const auto write = [&](const std::string& name, hdf5::Type type, const void* values, size_t count) {
    file.write_contiguous(name, type, values, static_cast<int64_t>(count));
  };
  write(kDocumentOffsets, hdf5::Type::kUInt32, document_offsets.data(), document_offsets.size());
  write(kSentenceOffsets, hdf5::Type::kUInt32, sentence_offsets.data(), sentence_offsets.size());
  if (is_narrow()) write(kInputIds, hdf5::Type::kUInt16, narrow_ids.data(), narrow_ids.size());
  else write(kInputIds, hdf5::Type::kInt32, wide_ids.data(), wide_ids.size());
  write(kBlockChecksums, hdf5::Type::kUInt32, checksums.data(), checksums.size());
  file.close();
}

ShardEntry TokenShardWriter::commit() {
  ShardEntry entry{.count = documents(), .tokens = tokens(), .longest = data_->longest};
  commit_shard(
      data_->path, [this](const std::filesystem::path& to) { data_->write(to); }, entry);
  return entry;
}

}  // namespace mpibert
