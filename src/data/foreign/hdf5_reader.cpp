#include <algorithm>
#include <map>

#include "data/foreign/make.h"
#include "data/foreign/sample_parts.h"
#include "data/hdf5.h"
#include "data/shard_format.h"
#include "mpibert/base/error.h"

namespace mpibert {

using shard_format::kInputIds;
using shard_format::kMaskedIds;
using shard_format::kMaskedPositions;

namespace {

const std::string kInputLengths = "packed_input_len", kPredictionCounts = "packed_masked_lm_len";
constexpr int64_t kRowsAtATime = 1024;
constexpr const char* kRemedy = "; expected what the scripts of NVIDIA or MLPerf make, see datasets/pretraining/README.md";

// The block of rows of each dataset that is being read.
using Block = std::map<std::string, hdf5::Rows, std::less<>>;

class Hdf5Reader : public ForeignReader {
 public:
  Hdf5Reader(const std::filesystem::path& path, int64_t vocabulary_size);
  ForeignFormat format() const override { return format_; }
  RowWidths widths() const override { return widths_; }
  bool next(Sample& sample) override;

 private:
  bool is_padded() const { return format_ == ForeignFormat::kNvidia || format_ == ForeignFormat::kMlperf; }
  void read_block();
  std::span<const int32_t> values(std::string_view name, int64_t row) const { return block_.find(name)->second.row(row); }
  void append_padded(int64_t row);
  void append_sequences(int64_t row);
  std::string where(int64_t row) const { return str_cat(path_.string(), ": row ", begin_ + row); }

  std::filesystem::path path_;
  int64_t vocabulary_size_;
  ForeignFormat format_ = ForeignFormat::kNvidia;
  RowWidths widths_;
  std::map<std::string, hdf5::Table, std::less<>> tables_;
  int64_t rows_ = 0, begin_ = 0, end_ = 0;  // of the block
  Block block_;
  std::vector<Sample> samples_;  // of the block
  size_t next_ = 0;
  int64_t given_ = 0;
};

ForeignFormat format_of(const hdf5::File& file) {
  const hdf5::Table ids = file.open_table(kInputIds);
  if (ids.columns() == 0) return file.has(kInputLengths) ? ForeignFormat::kMlperfPacked : ForeignFormat::kMlperfVarlength;
  return ids.type() == hdf5::Type::kInt16 || ids.type() == hdf5::Type::kUInt16 ? ForeignFormat::kMlperf : ForeignFormat::kNvidia;
}

Hdf5Reader::Hdf5Reader(const std::filesystem::path& path, int64_t vocabulary_size) : path_(path), vocabulary_size_(vocabulary_size) {
  const hdf5::File file = hdf5::File::open(path);
  MPIBERT_CHECK(!file.has(shard_format::kOffsets), kInvalidArgument, path.string(),
                " is a shard of mpibert; give its folder, which has the manifest");
  MPIBERT_CHECK(file.has(kInputIds), kCorrupt, path.string(), ": no dataset ", kInputIds, kRemedy);
  format_ = format_of(file);
  const bool is_packed = format_ == ForeignFormat::kMlperfPacked;
  const auto add = [&](const std::string& name, bool is_vector = false) {
    MPIBERT_CHECK(file.has(name), kCorrupt, path_.string(), ": no dataset ", name, ", which format ", name_of(format_), " has", kRemedy);
    const hdf5::Table& table = tables_.emplace(name, file.open_table(name)).first->second;
    const bool agrees = is_vector ? table.columns() == 1 && !table.is_matrix() : is_padded() ? table.is_matrix() : table.columns() == 0;
    MPIBERT_CHECK(agrees, kCorrupt, path_.string(), ": dataset ", name, " is not ",
                  is_vector     ? "a vector"
                  : is_padded() ? "a table"
                                : "rows of variable length",
                  kRemedy);
  };
  for (const std::string& name : {kInputIds, std::string(kSegmentIds), kMaskedPositions, kMaskedIds}) add(name);
  if (is_padded()) add(kInputMask);
  add(kNextSentence, !is_packed);
  if (is_packed) add(kInputLengths);
  if (is_packed) add(kPredictionCounts);

  rows_ = tables_.at(kInputIds).rows();
  for (const auto& [name, table] : tables_)
    MPIBERT_CHECK(table.rows() == rows_, kCorrupt, path_.string(), ": dataset ", name, " has ", table.rows(), " rows, ", kInputIds, " has ",
                  rows_, "; the file is not whole");
  if (!is_padded()) return;
  widths_ = {.max_seq_length = tables_.at(kInputIds).columns(), .max_predictions_per_seq = tables_.at(kMaskedPositions).columns()};
  for (const auto& [name, expected] : {std::pair{std::string(kSegmentIds), widths_.max_seq_length},
                                       {kInputMask, widths_.max_seq_length},
                                       {kMaskedIds, widths_.max_predictions_per_seq}})
    MPIBERT_CHECK(tables_.at(name).columns() == expected, kCorrupt, path_.string(), ": dataset ", name, " has ", tables_.at(name).columns(),
                  " columns, expected ", expected);
}

void Hdf5Reader::append_padded(int64_t row) {
  const std::string place = where(row);
  const size_t tokens = tokens_of_mask(values(kInputMask, row), place);
  const std::span<const int32_t> positions = values(kMaskedPositions, row);
  const auto end = std::find(positions.begin(), positions.end(), 0);
  const auto beyond = std::find_if(end, positions.end(), [](int32_t position) { return position != 0; });
  MPIBERT_CHECK(beyond == positions.end(), kCorrupt, place, ": ", kMaskedPositions, "[", beyond - positions.begin(), "] = ", *beyond,
                " behind the 0 that ends the predictions");
  const auto predictions = static_cast<size_t>(end - positions.begin());
  samples_.push_back(make_sample({.input_ids = values(kInputIds, row).first(tokens),
                                  .segment_ids = values(kSegmentIds, row).first(tokens),
                                  .masked_lm_positions = positions.first(predictions),
                                  .masked_lm_ids = values(kMaskedIds, row).first(predictions),
                                  .next_sentence_label = values(kNextSentence, row)[0]},
                                 vocabulary_size_, place));
}

// The one sequence of a row of variable length, or the several of a packed one.
void Hdf5Reader::append_sequences(int64_t row) {
  const bool is_packed = format_ == ForeignFormat::kMlperfPacked;
  const std::string place = where(row);
  SampleParts rest{.input_ids = values(kInputIds, row),
                   .segment_ids = values(kSegmentIds, row),
                   .masked_lm_positions = values(kMaskedPositions, row),
                   .masked_lm_ids = values(kMaskedIds, row)};
  if (!is_packed) {
    rest.next_sentence_label = values(kNextSentence, row)[0];
    samples_.push_back(make_sample(rest, vocabulary_size_, place));
    return;
  }
  const std::span<const int32_t> lengths = values(kInputLengths, row), counts = values(kPredictionCounts, row),
                                 labels = values(kNextSentence, row);
  MPIBERT_CHECK(!lengths.empty() && counts.size() == lengths.size() && labels.size() == lengths.size(), kCorrupt, place, ": ",
                lengths.size(), " ", kInputLengths, ", ", counts.size(), " ", kPredictionCounts, " and ", labels.size(), " ", kNextSentence,
                "; expected as many of each, at least one");
  int32_t offset = 0;
  const auto take = [&](std::span<const int32_t>& from, int32_t count, const std::string& counted_by) {
    MPIBERT_CHECK(count >= 0 && static_cast<size_t>(count) <= from.size(), kCorrupt, place, ": ", counted_by, " says ", count, " where ",
                  from.size(), " are left");
    const std::span<const int32_t> taken = from.first(static_cast<size_t>(count));
    from = from.subspan(static_cast<size_t>(count));
    return taken;
  };
  for (size_t i = 0; i < lengths.size(); ++i) {
    SampleParts parts{.input_ids = take(rest.input_ids, lengths[i], kInputLengths),
                      .segment_ids = take(rest.segment_ids, lengths[i], kInputLengths)};
    const std::span<const int32_t> in_row = take(rest.masked_lm_positions, counts[i], kPredictionCounts);
    std::vector<int32_t> positions(in_row.begin(), in_row.end());
    for (int32_t& position : positions) position -= offset;
    parts.masked_lm_positions = positions;
    parts.masked_lm_ids = take(rest.masked_lm_ids, counts[i], kPredictionCounts);
    parts.next_sentence_label = labels[i];
    samples_.push_back(make_sample(parts, vocabulary_size_, str_cat(place, ", sequence ", i)));
    offset += lengths[i];
  }
  MPIBERT_CHECK(rest.input_ids.empty() && rest.segment_ids.empty() && rest.masked_lm_positions.empty() && rest.masked_lm_ids.empty(),
                kCorrupt, place, ": ", rest.input_ids.size(), " ", kInputIds, ", ", rest.segment_ids.size(), " ", kSegmentIds, ", ",
                rest.masked_lm_positions.size(), " ", kMaskedPositions, " and ", rest.masked_lm_ids.size(), " ", kMaskedIds,
                " belong to no sequence");
}

void Hdf5Reader::read_block() {
  begin_ = end_;
  end_ = std::min(begin_ + kRowsAtATime, rows_);
  block_.clear();
  samples_.clear();
  next_ = 0;
  for (const auto& [name, table] : tables_) block_.emplace(name, table.read(begin_, end_));
  for (int64_t row = 0; row < end_ - begin_; ++row) is_padded() ? append_padded(row) : append_sequences(row);
}

bool Hdf5Reader::next(Sample& sample) {
  if (next_ == samples_.size()) {
    if (end_ == rows_) return false;
    read_block();
  }
  sample = std::move(samples_[next_++]);
  sample.id = given_++;
  return true;
}

}  // namespace

std::unique_ptr<ForeignReader> open_hdf5_samples(const std::filesystem::path& path, int64_t vocabulary_size) {
  return std::make_unique<Hdf5Reader>(path, vocabulary_size);
}

}  // namespace mpibert
