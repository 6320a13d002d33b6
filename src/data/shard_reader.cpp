#include <algorithm>
#include <limits>
#include <optional>

#include "data/hdf5.h"
#include "data/shard_format.h"
#include "mpibert/data/shard.h"

namespace mpibert {

using namespace shard_format;

namespace {

constexpr const char* kRemedy = "; the file is damaged, prepare the data again";

}  // namespace

struct ShardReader::Data {
  std::filesystem::path path;
  int64_t first_id = 0, count = 0;
  ShardOptions options;
  Schema labels;
  hdf5::Dataset input_ids, token_type_ids;
  std::vector<hdf5::Dataset> values;  // by label
  std::vector<int64_t> offsets, prediction_offsets;

  std::string where(const std::string& dataset) const { return str_cat("shard ", path.string(), ": dataset ", dataset); }
  void read_header(const hdf5::File& file);
  hdf5::Dataset open(const hdf5::File& file, const std::string& name, hdf5::Type type, std::optional<int64_t> size) const;
  std::vector<int64_t> read_offsets(const hdf5::File& file, const std::string& name, bool may_be_empty) const;
  std::vector<int32_t> read_ids(int64_t begin, int64_t end) const;
  std::vector<int32_t> read_types(int64_t begin, int64_t end) const;
  std::pair<int64_t, int64_t> extent(const Field& field, int64_t row_begin, int64_t row_end) const;
  std::vector<int32_t> read_label(size_t label, int64_t row_begin, int64_t row_end) const;
  void check_sample(const Sample& sample, int64_t row) const;
};

void ShardReader::Data::read_header(const hdf5::File& file) {
  const std::string name = path.string();
  const std::string format = file.read_text("format");
  MPIBERT_CHECK(format == kFormat, kCorrupt, "shard ", name, ": format is '", format, "', expected '", kFormat, "'");
  const int64_t version = file.read_integer("version");
  MPIBERT_CHECK(version == kVersion, kCorrupt, "shard ", name, ": version ", version, " of the format; this program reads version ",
                kVersion);
  const std::string layout = file.read_text("layout");
  MPIBERT_CHECK(layout == kLayoutFlat, kCorrupt, "shard ", name, ": layout is '", layout, "', expected '", kLayoutFlat, "'");
  count = file.read_integer("count");
  options.vocabulary_size = file.read_integer("vocabulary_size");
  options.vocabulary_sha256 = file.read_text("vocabulary_sha256");
  MPIBERT_CHECK(count >= 0 && count < (int64_t{1} << 40), kCorrupt, "shard ", name, ": attribute count is ", count, kRemedy);
  MPIBERT_CHECK(options.vocabulary_size > 0 && options.vocabulary_size <= std::numeric_limits<int32_t>::max(), kCorrupt, "shard ", name,
                ": attribute vocabulary_size is ", options.vocabulary_size, kRemedy);
  labels = schema_from_text(file.read_text("labels"), "shard " + name);
}

hdf5::Dataset ShardReader::Data::open(const hdf5::File& file, const std::string& name, hdf5::Type type, std::optional<int64_t> size) const {
  hdf5::Dataset dataset = file.open_dataset(name);
  MPIBERT_CHECK(dataset.type() == type, kCorrupt, where(name), " holds ", hdf5::name_of(dataset.type()), ", expected ", hdf5::name_of(type),
                kRemedy);
  MPIBERT_CHECK(!size || dataset.size() == *size, kCorrupt, where(name), " has ", dataset.size(), " elements, expected ", *size, kRemedy);
  return dataset;
}

std::vector<int64_t> ShardReader::Data::read_offsets(const hdf5::File& file, const std::string& name, bool may_be_empty) const {
  const std::vector<int64_t> read = open(file, name, hdf5::Type::kInt64, count + 1).read<int64_t>(0, count + 1);
  MPIBERT_CHECK(read[0] == 0, kCorrupt, where(name), "[0] = ", read[0], ", expected 0", kRemedy);
  for (size_t i = 1; i < read.size(); ++i)
    MPIBERT_CHECK(read[i] > read[i - 1] || (may_be_empty && read[i] == read[i - 1]), kCorrupt, where(name), "[", i, "] = ", read[i],
                  " does not ascend from ", read[i - 1], kRemedy);
  return read;
}

ShardReader::ShardReader(std::filesystem::path path, int64_t first_id) : data_(std::make_unique<Data>()) {
  Data& d = *data_;
  d.path = std::move(path);
  d.first_id = first_id;
  const hdf5::File file = hdf5::File::open(d.path);
  d.read_header(file);
  const int64_t tokens = file.read_integer("tokens");
  d.input_ids = d.open(file, kInputIds, id_type(d.options.vocabulary_size), tokens);
  d.token_type_ids = d.open(file, kTokenTypeIds, hdf5::Type::kUInt8, tokens);
  d.offsets = d.read_offsets(file, kOffsets, false);
  MPIBERT_CHECK(d.offsets.back() == tokens, kCorrupt, d.where(kOffsets), "[", d.count, "] = ", d.offsets.back(), ", expected ", tokens,
                " tokens", kRemedy);
  if (has_predictions(d.labels)) d.prediction_offsets = d.read_offsets(file, kPredictionOffsets, true);
  for (const Field& field : d.labels) d.values.push_back(d.open(file, field.name, label_type(field), d.extent(field, 0, d.count).second));
}

ShardReader::~ShardReader() = default;
ShardReader::ShardReader(ShardReader&&) noexcept = default;
ShardReader& ShardReader::operator=(ShardReader&&) noexcept = default;

int64_t ShardReader::size() const { return data_->count; }
int64_t ShardReader::tokens() const { return data_->offsets.back(); }
const Schema& ShardReader::labels() const { return data_->labels; }
const ShardOptions& ShardReader::options() const { return data_->options; }

int64_t ShardReader::length(int64_t row) const {
  MPIBERT_CHECK(row >= 0 && row < size(), kInvalidArgument, "row ", row, " of shard ", data_->path.string(), " of ", size());
  return data_->offsets[static_cast<size_t>(row) + 1] - data_->offsets[static_cast<size_t>(row)];
}

// Which elements of a label belong to some rows.
std::pair<int64_t, int64_t> ShardReader::Data::extent(const Field& field, int64_t row_begin, int64_t row_end) const {
  if (field.per == Per::kSequence) return {row_begin, row_end};
  const std::vector<int64_t>& of = field.per == Per::kToken ? offsets : prediction_offsets;
  return {of[static_cast<size_t>(row_begin)], of[static_cast<size_t>(row_end)]};
}

std::vector<int32_t> ShardReader::Data::read_ids(int64_t begin, int64_t end) const {
  std::vector<int32_t> ids;
  if (input_ids.type() == hdf5::Type::kInt32) {
    ids = input_ids.read<int32_t>(begin, end);
  } else {
    const std::vector<uint16_t> narrow = input_ids.read<uint16_t>(begin, end);
    ids.assign(narrow.begin(), narrow.end());
  }
  for (size_t i = 0; i < ids.size(); ++i)
    MPIBERT_CHECK(ids[i] >= 0 && ids[i] < options.vocabulary_size, kCorrupt, where(kInputIds), "[", begin + static_cast<int64_t>(i),
                  "] = ", ids[i], " is outside the vocabulary of ", options.vocabulary_size, kRemedy);
  return ids;
}

std::vector<int32_t> ShardReader::Data::read_types(int64_t begin, int64_t end) const {
  const std::vector<uint8_t> narrow = token_type_ids.read<uint8_t>(begin, end);
  for (size_t i = 0; i < narrow.size(); ++i)
    MPIBERT_CHECK(narrow[i] <= 1, kCorrupt, where(kTokenTypeIds), "[", begin + static_cast<int64_t>(i), "] = ", int{narrow[i]},
                  ", expected 0 or 1", kRemedy);
  return {narrow.begin(), narrow.end()};
}

std::vector<int32_t> ShardReader::Data::read_label(size_t label, int64_t row_begin, int64_t row_end) const {
  const auto [begin, end] = extent(labels[label], row_begin, row_end);
  return values[label].read<int32_t>(begin, end);  // floats travel as their bits
}

void ShardReader::Data::check_sample(const Sample& sample, int64_t row) const {
  for (const auto& [name, numbers] : sample.labels) {
    MPIBERT_CHECK(name != kChoiceLengths || are_choice_lengths(numbers, static_cast<int64_t>(sample.input_ids.size())), kCorrupt,
                  where(name), ": the lengths of sample ", row, " are not above 0 and together its ", sample.input_ids.size(), " tokens",
                  kRemedy);
    const bool positions = name == kMaskedPositions;
    if (!positions && name != kMaskedIds) continue;
    const int64_t limit = positions ? static_cast<int64_t>(sample.input_ids.size()) : options.vocabulary_size;
    for (size_t i = 0; i < numbers.size(); ++i) {
      MPIBERT_CHECK(numbers[i] >= 0 && numbers[i] < limit, kCorrupt, where(name), ": value ", i, " of sample ", row, " is ", numbers[i],
                    ", expected 0 to ", limit - 1, kRemedy);
      MPIBERT_CHECK(!positions || i == 0 || numbers[i] > numbers[i - 1], kCorrupt, where(name), ": value ", i, " of sample ", row, " is ",
                    numbers[i], ", which does not ascend from ", numbers[i - 1], kRemedy);
    }
  }
}

std::vector<Sample> ShardReader::read(int64_t begin, int64_t end) const {
  const Data& d = *data_;
  MPIBERT_CHECK(begin >= 0 && begin <= end && end <= d.count, kInvalidArgument, "rows ", begin, " to ", end, " of shard ", d.path.string(),
                " of ", d.count);
  const int64_t first = d.offsets[static_cast<size_t>(begin)], last = d.offsets[static_cast<size_t>(end)];
  const std::vector<int32_t> ids = d.read_ids(first, last), types = d.read_types(first, last);
  std::vector<std::vector<int32_t>> values;
  for (size_t i = 0; i < d.labels.size(); ++i) values.push_back(d.read_label(i, begin, end));
  const auto slice = [](const std::vector<int32_t>& from, std::pair<int64_t, int64_t> range, int64_t base) {
    return std::vector<int32_t>(from.begin() + (range.first - base), from.begin() + (range.second - base));
  };
  std::vector<Sample> samples(static_cast<size_t>(end - begin));
  for (int64_t row = begin; row < end; ++row) {
    Sample& sample = samples[static_cast<size_t>(row - begin)];
    const std::pair range{d.offsets[static_cast<size_t>(row)], d.offsets[static_cast<size_t>(row) + 1]};
    sample.id = d.first_id + row;
    sample.input_ids = slice(ids, range, first);
    sample.token_type_ids = slice(types, range, first);
    for (size_t i = 0; i < d.labels.size(); ++i)
      sample.labels.emplace_back(d.labels[i].name,
                                 slice(values[i], d.extent(d.labels[i], row, row + 1), d.extent(d.labels[i], begin, end).first));
    d.check_sample(sample, row);
  }
  return samples;
}

}  // namespace mpibert
