#include <algorithm>
#include <bit>
#include <limits>

#include "data/hdf5.h"
#include "data/shard_commit.h"
#include "data/shard_format.h"
#include "mpibert/data/shard.h"

namespace mpibert {

using namespace shard_format;

struct ShardWriter::Data {
  std::filesystem::path path;
  Schema labels;
  ShardOptions options;
  std::vector<int64_t> offsets{0}, prediction_offsets{0};
  std::vector<uint16_t> narrow_ids;  // one of the two is used
  std::vector<int32_t> wide_ids;
  std::vector<uint8_t> token_type_ids;
  std::vector<std::vector<int32_t>> values;  // by label
  int64_t longest = 0;

  void check(const Sample& sample) const;
  void write(const std::filesystem::path& to) const;
};

ShardWriter::ShardWriter(std::filesystem::path path, Schema labels, ShardOptions options) : data_(std::make_unique<Data>()) {
  MPIBERT_CHECK(options.vocabulary_size > 0 && options.vocabulary_size <= std::numeric_limits<int32_t>::max(), kInvalidArgument,
                path.string(), ": a vocabulary of ", options.vocabulary_size, " tokens");
  for (const Field& field : labels)
    MPIBERT_CHECK(field.dtype == DType::kInt32 || field.dtype == DType::kFloat32, kInvalidArgument, path.string(), ": label '", field.name,
                  "' is int32 or fp32, not ", name_of(field.dtype));
  schema_from_text(schema_text(labels), path.string());  // names that the format cannot hold
  data_->path = std::move(path);
  data_->values.resize(labels.size());
  data_->labels = std::move(labels);
  data_->options = std::move(options);
}

ShardWriter::~ShardWriter() = default;
ShardWriter::ShardWriter(ShardWriter&&) noexcept = default;
ShardWriter& ShardWriter::operator=(ShardWriter&&) noexcept = default;

int64_t ShardWriter::size() const { return static_cast<int64_t>(data_->offsets.size()) - 1; }

void ShardWriter::Data::check(const Sample& sample) const {
  const size_t tokens = sample.input_ids.size();
  MPIBERT_CHECK(tokens > 0 && sample.token_type_ids.size() == tokens, kInvalidArgument, path.string(), ": sample ", sample.id, " has ",
                tokens, " input_ids and ", sample.token_type_ids.size(), " token_type_ids; both must be equal and above 0");
  const auto in_vocabulary = [&](int32_t id) { return id >= 0 && id < options.vocabulary_size; };
  MPIBERT_CHECK(std::all_of(sample.input_ids.begin(), sample.input_ids.end(), in_vocabulary), kInvalidArgument, path.string(), ": sample ",
                sample.id, " has a token outside the vocabulary of ", options.vocabulary_size);
  const auto is_type = [](int32_t type) { return type == 0 || type == 1; };
  MPIBERT_CHECK(std::all_of(sample.token_type_ids.begin(), sample.token_type_ids.end(), is_type), kInvalidArgument, path.string(),
                ": sample ", sample.id, " has a token type other than 0 and 1");
  MPIBERT_CHECK(sample.labels.size() == labels.size(), kInvalidArgument, path.string(), ": sample ", sample.id, " has ",
                sample.labels.size(), " labels, the schema has ", labels.size());
  size_t predictions = std::numeric_limits<size_t>::max();
  for (size_t i = 0; i < labels.size(); ++i) {
    const auto& [name, values_of_label] = sample.labels[i];
    MPIBERT_CHECK(name == labels[i].name, kInvalidArgument, path.string(), ": sample ", sample.id, " has label '", name,
                  "' where the schema has '", labels[i].name, "'");
    if (labels[i].per == Per::kPrediction && predictions == std::numeric_limits<size_t>::max()) predictions = values_of_label.size();
    const size_t expected = labels[i].per == Per::kToken ? tokens : labels[i].per == Per::kSequence ? 1 : predictions;
    MPIBERT_CHECK(values_of_label.size() == expected, kInvalidArgument, path.string(), ": sample ", sample.id, " has ",
                  values_of_label.size(), " values of label '", name, "', expected ", expected);
    MPIBERT_CHECK(name != kChoiceLengths || are_choice_lengths(values_of_label, static_cast<int64_t>(tokens)), kInvalidArgument,
                  path.string(), ": sample ", sample.id, " has ", kChoiceLengths, " that are not above 0 and together its ", tokens,
                  " tokens");
  }
}

void ShardWriter::add(const Sample& sample) {
  Data& d = *data_;
  d.check(sample);
  if (id_type(d.options.vocabulary_size) == hdf5::Type::kUInt16)
    std::transform(sample.input_ids.begin(), sample.input_ids.end(), std::back_inserter(d.narrow_ids),
                   [](int32_t id) { return static_cast<uint16_t>(id); });
  else d.wide_ids.insert(d.wide_ids.end(), sample.input_ids.begin(), sample.input_ids.end());
  std::transform(sample.token_type_ids.begin(), sample.token_type_ids.end(), std::back_inserter(d.token_type_ids),
                 [](int32_t t) { return static_cast<uint8_t>(t); });
  const int64_t tokens = static_cast<int64_t>(sample.input_ids.size());
  d.offsets.push_back(d.offsets.back() + tokens);
  d.longest = std::max(d.longest, tokens);
  int64_t predictions = 0;
  for (size_t i = 0; i < d.labels.size(); ++i) {
    const std::vector<int32_t>& values = sample.labels[i].second;
    d.values[i].insert(d.values[i].end(), values.begin(), values.end());
    if (d.labels[i].per == Per::kPrediction) predictions = static_cast<int64_t>(values.size());
  }
  d.prediction_offsets.push_back(d.prediction_offsets.back() + predictions);
}

void ShardWriter::Data::write(const std::filesystem::path& to) const {
  const int64_t count = static_cast<int64_t>(offsets.size()) - 1, tokens = offsets.back();
  hdf5::File file = hdf5::File::create(to);
  file.write_text("format", kFormat);
  file.write_integer("version", kVersion);
  file.write_text("layout", kLayoutFlat);
  file.write_integer("count", count);
  file.write_integer("tokens", tokens);
  file.write_integer("vocabulary_size", options.vocabulary_size);
  file.write_text("vocabulary_sha256", options.vocabulary_sha256);
  file.write_text("labels", schema_text(labels));
  file.write(kOffsets, hdf5::Type::kInt64, offsets.data(), count + 1);
  const bool narrow = id_type(options.vocabulary_size) == hdf5::Type::kUInt16;
  file.write(kInputIds, id_type(options.vocabulary_size), narrow ? static_cast<const void*>(narrow_ids.data()) : wide_ids.data(), tokens);
  file.write(kTokenTypeIds, hdf5::Type::kUInt8, token_type_ids.data(), tokens);
  if (has_predictions(labels)) file.write(kPredictionOffsets, hdf5::Type::kInt64, prediction_offsets.data(), count + 1);
  for (size_t i = 0; i < labels.size(); ++i)
    file.write(labels[i].name, label_type(labels[i]), values[i].data(), static_cast<int64_t>(values[i].size()));
  file.close();
}

ShardEntry ShardWriter::commit() {
  ShardEntry entry{.count = size(), .tokens = data_->offsets.back(), .longest = data_->longest};
  commit_shard(
      data_->path, [this](const std::filesystem::path& to) { data_->write(to); }, entry);
  return entry;
}

}  // namespace mpibert
