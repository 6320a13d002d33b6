#include "mpibert/data/token_shard.h"

#include <cstring>
#include <limits>

#include "data/checked_range.h"
#include "data/hdf5.h"
#include "data/shard_format.h"
#include "data/token_format.h"
#include "mpibert/base/error.h"

namespace mpibert {

using namespace token_format;

namespace {

constexpr const char* kRemedy = "; the file is damaged, prepare the data again";

}  // namespace

struct TokenShard::Data {
  explicit Data(std::filesystem::path path) : file(std::move(path)) {}
  InputFile file;
  ShardOptions options;
  int64_t documents = 0, sentences = 0, tokens = 0;
  CheckedRange document_offsets, sentence_offsets, input_ids;

  std::string where(const std::string& dataset) const { return str_cat("shard ", file.path().string(), ": dataset ", dataset); }
  int64_t read_count(const hdf5::File& header, const std::string& name) const;
  hdf5::Extent locate(const hdf5::File& header, const std::string& name, hdf5::Type type, int64_t size) const;
  std::vector<uint32_t> read_offsets(CheckedRange& range, const std::string& name, IndexRange wanted, int64_t last, int64_t total);
};

int64_t TokenShard::Data::read_count(const hdf5::File& header, const std::string& name) const {
  const int64_t count = header.read_integer(name);
  MPIBERT_CHECK(count > 0 && count < (int64_t{1} << 31), kCorrupt, "shard ", file.path().string(), ": attribute ", name, " is ", count,
                kRemedy);
  return count;
}

hdf5::Extent TokenShard::Data::locate(const hdf5::File& header, const std::string& name, hdf5::Type type, int64_t size) const {
  const hdf5::Extent extent = header.locate(name);
  MPIBERT_CHECK(extent.type == type, kCorrupt, where(name), " holds ", hdf5::name_of(extent.type), ", expected ", hdf5::name_of(type),
                kRemedy);
  MPIBERT_CHECK(extent.size == size, kCorrupt, where(name), " has ", extent.size, " elements, expected ", size, kRemedy);
  return extent;
}

TokenShard::TokenShard(std::filesystem::path path) : data_(std::make_unique<Data>(std::move(path))) {
  Data& d = *data_;
  const hdf5::File header = hdf5::File::open(d.file.path());
  const std::string name = "shard " + d.file.path().string(), format = header.read_text("format");
  MPIBERT_CHECK(format == kFormat, kCorrupt, name, ": format is '", format, "', expected '", kFormat, "'");
  const int64_t version = header.read_integer("version");
  MPIBERT_CHECK(version == kVersion, kCorrupt, name, ": version ", version, " of the format; this program reads version ", kVersion);
  d.documents = d.read_count(header, "documents");
  d.sentences = d.read_count(header, "sentences");
  d.tokens = d.read_count(header, "tokens");
  d.options.vocabulary_size = header.read_integer("vocabulary_size");
  d.options.vocabulary_sha256 = header.read_text("vocabulary_sha256");
  MPIBERT_CHECK(d.options.vocabulary_size > 0 && d.options.vocabulary_size <= std::numeric_limits<int32_t>::max(), kCorrupt, name,
                ": attribute vocabulary_size is ", d.options.vocabulary_size, kRemedy);

  const hdf5::Extent documents = d.locate(header, kDocumentOffsets, hdf5::Type::kUInt32, d.documents + 1),
                     sentences = d.locate(header, kSentenceOffsets, hdf5::Type::kUInt32, d.sentences + 1),
                     ids = d.locate(header, kInputIds, shard_format::id_type(d.options.vocabulary_size), d.tokens);
  const auto blocks = [](const hdf5::Extent& extent) { return (extent.bytes() + kBlockBytes - 1) / kBlockBytes; };
  const hdf5::Extent checksums =
      d.locate(header, kBlockChecksums, hdf5::Type::kUInt32, blocks(documents) + blocks(sentences) + blocks(ids));
  std::vector<uint32_t> all(static_cast<size_t>(checksums.size));
  d.file.read(static_cast<uint64_t>(checksums.offset), std::as_writable_bytes(std::span(all)));
  auto next = all.begin();
  const auto range = [&](const std::string& dataset, const hdf5::Extent& extent) {
    const auto first = next;
    next += blocks(extent);
    return CheckedRange(dataset, extent.offset, extent.bytes(), std::vector<uint32_t>(first, next));
  };
  d.document_offsets = range(kDocumentOffsets, documents);
  d.sentence_offsets = range(kSentenceOffsets, sentences);
  d.input_ids = range(kInputIds, ids);
}

TokenShard::~TokenShard() = default;
TokenShard::TokenShard(TokenShard&&) noexcept = default;
TokenShard& TokenShard::operator=(TokenShard&&) noexcept = default;

int64_t TokenShard::documents() const { return data_->documents; }
int64_t TokenShard::sentences() const { return data_->sentences; }
int64_t TokenShard::tokens() const { return data_->tokens; }
const ShardOptions& TokenShard::options() const { return data_->options; }

// Offsets wanted.begin .. wanted.end of `last` + 1, which end with `total`.
std::vector<uint32_t> TokenShard::Data::read_offsets(CheckedRange& range, const std::string& name, IndexRange wanted, int64_t last,
                                                     int64_t total) {
  MPIBERT_CHECK(0 <= wanted.begin && wanted.begin <= wanted.end && wanted.end <= last, kInvalidArgument, where(name), ": elements ",
                wanted.begin, " to ", wanted.end, " of ", last);
  std::vector<uint32_t> offsets(static_cast<size_t>(wanted.size()) + 1);
  range.read(file, wanted.begin * static_cast<int64_t>(sizeof(uint32_t)), std::as_writable_bytes(std::span(offsets)));
  MPIBERT_CHECK(wanted.begin > 0 || offsets.front() == 0, kCorrupt, where(name), "[0] = ", offsets.front(), ", expected 0", kRemedy);
  MPIBERT_CHECK(wanted.end < last || offsets.back() == total, kCorrupt, where(name), "[", last, "] = ", offsets.back(), ", expected ",
                total, kRemedy);
  for (size_t i = 0; i < offsets.size(); ++i)
    MPIBERT_CHECK(offsets[i] <= total && (i == 0 || offsets[i] > offsets[i - 1]), kCorrupt, where(name), "[",
                  wanted.begin + static_cast<int64_t>(i), "] = ", offsets[i], " does not ascend to ", total, kRemedy);
  return offsets;
}

std::vector<uint32_t> TokenShard::document_offsets(IndexRange documents) const {
  return data_->read_offsets(data_->document_offsets, kDocumentOffsets, documents, data_->documents, data_->sentences);
}

std::vector<uint32_t> TokenShard::sentence_offsets(IndexRange sentences) const {
  return data_->read_offsets(data_->sentence_offsets, kSentenceOffsets, sentences, data_->sentences, data_->tokens);
}

void TokenShard::append_ids(IndexRange tokens, std::vector<int32_t>& ids) const {
  Data& d = *data_;
  MPIBERT_CHECK(0 <= tokens.begin && tokens.begin <= tokens.end && tokens.end <= d.tokens, kInvalidArgument, d.where(kInputIds),
                ": tokens ", tokens.begin, " to ", tokens.end, " of ", d.tokens);
  const size_t before = ids.size(), count = static_cast<size_t>(tokens.size());
  ids.resize(before + count);
  const std::span<int32_t> wanted = std::span(ids).subspan(before);
  if (shard_format::id_type(d.options.vocabulary_size) == hdf5::Type::kInt32) {
    d.input_ids.read(d.file, tokens.begin * static_cast<int64_t>(sizeof(int32_t)), std::as_writable_bytes(wanted));
  } else {
    // Read into the upper half, widened from the front: what is overwritten has been used.
    uint16_t* const narrow = reinterpret_cast<uint16_t*>(wanted.data()) + count;
    d.input_ids.read(d.file, tokens.begin * static_cast<int64_t>(sizeof(uint16_t)), std::as_writable_bytes(std::span(narrow, count)));
    for (size_t i = 0; i < count; ++i) {
      uint16_t id = 0;
      std::memcpy(&id, narrow + i, sizeof(id));
      wanted[i] = id;
    }
  }
  for (size_t i = 0; i < count; ++i)
    MPIBERT_CHECK(wanted[i] >= 0 && wanted[i] < d.options.vocabulary_size, kCorrupt, d.where(kInputIds), "[",
                  tokens.begin + static_cast<int64_t>(i), "] = ", wanted[i], " is outside the vocabulary of ", d.options.vocabulary_size,
                  kRemedy);
}

}  // namespace mpibert
