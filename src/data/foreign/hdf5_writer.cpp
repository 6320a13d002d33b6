#include <algorithm>
#include <limits>
#include <optional>

#include "data/foreign/make.h"
#include "data/foreign/sample_parts.h"
#include "data/hdf5.h"
#include "data/shard_commit.h"
#include "data/shard_format.h"
#include "mpibert/base/error.h"

namespace mpibert {

using shard_format::kInputIds;
using shard_format::kMaskedIds;
using shard_format::kMaskedPositions;

namespace {

constexpr int kGzipLevel = 4;  // h5py's

class Hdf5Writer : public ForeignWriter {
 public:
  Hdf5Writer(ForeignFormat format, std::filesystem::path path, RowWidths widths)
      : format_(format), path_(std::move(path)), widths_(widths) {}
  void add(const Sample& sample) override;
  void commit() override;

 private:
  using Part = std::span<const int32_t> SampleParts::*;
  void write(const std::filesystem::path& to) const;
  void write_padded(hdf5::File& file) const;
  void write_ragged(hdf5::File& file) const;

  ForeignFormat format_;
  std::filesystem::path path_;
  RowWidths widths_;
  std::vector<Sample> samples_;
};

void Hdf5Writer::add(const Sample& sample) {
  const SampleParts parts = parts_of(sample);
  const std::string what = str_cat(path_.string(), ": sample ", sample.id);
  if (format_ != ForeignFormat::kMlperfVarlength) check_widths(parts, widths_, what);
  if (format_ != ForeignFormat::kNvidia) {
    constexpr int32_t kMost = std::numeric_limits<int16_t>::max();
    for (const std::span<const int32_t> ids : {parts.input_ids, parts.masked_lm_ids})
      for (const int32_t id : ids)
        MPIBERT_CHECK(id <= kMost, kInvalidArgument, what, " has token ", id, "; format ", name_of(format_), " keeps ids as int16, up to ",
                      kMost, ": choose nvidia or tfrecord");
    MPIBERT_CHECK(parts.input_ids.size() <= static_cast<size_t>(kMost), kInvalidArgument, what, " has ", parts.input_ids.size(),
                  " tokens; positions are int16, up to ", kMost);
  }
  MPIBERT_CHECK(parts.masked_lm_positions.empty() || parts.masked_lm_positions[0] > 0, kInvalidArgument, what,
                " has its first token masked; position 0 is how these files end the predictions: choose tfrecord");
  samples_.push_back(sample);
}

void Hdf5Writer::write_padded(hdf5::File& file) const {
  const bool is_nvidia = format_ == ForeignFormat::kNvidia;
  const hdf5::Type wide = is_nvidia ? hdf5::Type::kInt32 : hdf5::Type::kInt16;
  const int gzip = is_nvidia ? kGzipLevel : 0;
  const int64_t rows = static_cast<int64_t>(samples_.size()), tokens = widths_.max_seq_length,
                predictions = widths_.max_predictions_per_seq;
  const auto write_table = [&](const std::string& name, hdf5::Type type, int64_t columns, const auto& values) {
    file.write_table(name, type, rows, columns, gzip, [&](int64_t begin, int64_t end) {
      std::vector<int32_t> block(static_cast<size_t>((end - begin) * columns), 0);
      for (int64_t row = begin; row < end; ++row)
        std::ranges::copy(values(parts_of(samples_[static_cast<size_t>(row)])), block.begin() + (row - begin) * columns);
      return block;
    });
  };
  write_table(kInputIds, wide, tokens, [](const SampleParts& parts) { return parts.input_ids; });
  write_table(kInputMask, hdf5::Type::kInt8, tokens,
              [](const SampleParts& parts) { return std::vector<int32_t>(parts.input_ids.size(), 1); });
  write_table(kSegmentIds, hdf5::Type::kInt8, tokens, [](const SampleParts& parts) { return parts.segment_ids; });
  write_table(kMaskedPositions, wide, predictions, [](const SampleParts& parts) { return parts.masked_lm_positions; });
  write_table(kMaskedIds, wide, predictions, [](const SampleParts& parts) { return parts.masked_lm_ids; });
}

void Hdf5Writer::write_ragged(hdf5::File& file) const {
  const auto write_rows = [&](const std::string& name, hdf5::Type type, Part part) {
    file.write_ragged_table(name, type, static_cast<int64_t>(samples_.size()),
                            [&](int64_t row) { return parts_of(samples_[static_cast<size_t>(row)]).*part; });
  };
  write_rows(kInputIds, hdf5::Type::kInt16, &SampleParts::input_ids);
  write_rows(kSegmentIds, hdf5::Type::kInt8, &SampleParts::segment_ids);
  write_rows(kMaskedPositions, hdf5::Type::kInt16, &SampleParts::masked_lm_positions);
  write_rows(kMaskedIds, hdf5::Type::kInt16, &SampleParts::masked_lm_ids);
}

void Hdf5Writer::write(const std::filesystem::path& to) const {
  hdf5::File file = hdf5::File::create(to);
  format_ == ForeignFormat::kMlperfVarlength ? write_ragged(file) : write_padded(file);
  file.write_table(kNextSentence, hdf5::Type::kInt8, static_cast<int64_t>(samples_.size()), std::nullopt,
                   format_ == ForeignFormat::kNvidia ? kGzipLevel : 0, [&](int64_t begin, int64_t end) {
                     std::vector<int32_t> labels;
                     for (int64_t row = begin; row < end; ++row)
                       labels.push_back(parts_of(samples_[static_cast<size_t>(row)]).next_sentence_label);
                     return labels;
                   });
  file.close();
}

void Hdf5Writer::commit() {
  ShardEntry not_said;
  commit_shard(
      path_, [this](const std::filesystem::path& temporary) { write(temporary); }, not_said);
}

}  // namespace

std::unique_ptr<ForeignWriter> make_hdf5_writer(ForeignFormat format, const std::filesystem::path& path, RowWidths widths) {
  return std::make_unique<Hdf5Writer>(format, path, widths);
}

}  // namespace mpibert
