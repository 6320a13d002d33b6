#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <map>

#include "base/protobuf.h"
#include "data/foreign/make.h"
#include "data/foreign/sample_parts.h"
#include "data/foreign/tf_record.h"
#include "data/shard_format.h"
#include "mpibert/base/error.h"

namespace mpibert {

using shard_format::kInputIds;
using shard_format::kMaskedIds;
using shard_format::kMaskedPositions;

namespace {

// tensorflow/core/example/{example,feature}.proto:
//   Example { Features features = 1 }   Features { map<string, Feature> feature = 1 }, of entries { key = 1, value = 2 }
//   Feature { BytesList bytes_list = 1 | FloatList float_list = 2 | Int64List int64_list = 3 }, each list { repeated value = 1, packed or
//     not }
constexpr uint32_t kFeatures = 1, kFeature = 1, kKey = 1, kValue = 2, kFloatList = 2, kInt64List = 3, kListValue = 1;
constexpr const char* kWeights = "masked_lm_weights";
constexpr size_t kWriteBytes = size_t{1} << 20;

// A list of numbers; those of the weights are whole too.
struct Feature {
  bool is_float = false;
  std::vector<int32_t> values;
};
using Example = std::map<std::string, Feature, std::less<>>;

int32_t narrow(uint64_t value, const WireReader& message) {
  const auto number = static_cast<int64_t>(value);
  MPIBERT_CHECK(number >= std::numeric_limits<int32_t>::min() && number <= std::numeric_limits<int32_t>::max(), kCorrupt, message.where(),
                ": ", number, " is no number of a sample");
  return static_cast<int32_t>(number);
}

int32_t whole(uint32_t bits, const WireReader& message) {
  float value = 0;
  std::memcpy(&value, &bits, sizeof(value));
  MPIBERT_CHECK(value == 0.0f || value == 1.0f, kCorrupt, message.where(), ": weight ", value, ", expected 0 or 1");
  return static_cast<int32_t>(value);
}

void read_list(WireReader list, Feature& feature) {
  while (const std::optional<WireField> field = list.next()) {
    if (field->number != kListValue) continue;
    if (field->type != WireField::Type::kBytes) {
      list.expect(*field, feature.is_float ? WireField::Type::kFixed32 : WireField::Type::kVarint);
      feature.values.push_back(feature.is_float ? whole(static_cast<uint32_t>(field->value), list) : narrow(field->value, list));
      continue;
    }
    std::string_view packed = field->bytes;
    if (feature.is_float) {
      MPIBERT_CHECK(packed.size() % sizeof(float) == 0, kCorrupt, list.where(), ": ", packed.size(), " bytes are not whole floats");
      for (; !packed.empty(); packed.remove_prefix(sizeof(float))) {
        uint32_t bits = 0;
        std::memcpy(&bits, packed.data(), sizeof(bits));
        feature.values.push_back(whole(bits, list));
      }
    }
    while (!packed.empty()) {
      const std::optional<uint64_t> value = take_varint(packed);
      MPIBERT_CHECK(value, kCorrupt, list.where(), ": no whole number of variable length");
      feature.values.push_back(narrow(*value, list));
    }
  }
}

void read_entry(WireReader entry, Example& example) {
  std::string key;
  std::string_view value;
  while (const std::optional<WireField> field = entry.next()) {
    if (field->number != kKey && field->number != kValue) continue;
    entry.expect(*field, WireField::Type::kBytes);
    if (field->number == kKey) key = field->bytes;
    if (field->number == kValue) value = field->bytes;
  }
  static const std::array<std::string_view, 7> kRead = {kInputIds,  kInputMask, kSegmentIds,  kMaskedPositions,
                                                        kMaskedIds, kWeights,   kNextSentence};
  if (std::find(kRead.begin(), kRead.end(), key) == kRead.end()) return;
  Feature feature;
  WireReader lists(value, entry.where() + ": feature " + key);
  while (const std::optional<WireField> field = lists.next()) {
    if (field->number != kFloatList && field->number != kInt64List) continue;
    lists.expect(*field, WireField::Type::kBytes);
    feature = {.is_float = field->number == kFloatList, .values = {}};  // of several the last counts
    read_list(WireReader(field->bytes, lists.where()), feature);
  }
  example[key] = std::move(feature);
}

Example read_example(std::string_view record, const std::string& where) {
  Example example;
  WireReader message(record, where);
  while (const std::optional<WireField> field = message.next()) {
    if (field->number != kFeatures) continue;
    message.expect(*field, WireField::Type::kBytes);
    WireReader features(field->bytes, where);
    while (const std::optional<WireField> entry = features.next()) {
      if (entry->number != kFeature) continue;
      features.expect(*entry, WireField::Type::kBytes);
      read_entry(WireReader(entry->bytes, where), example);
    }
  }
  return example;
}

class TfSampleReader : public ForeignReader {
 public:
  TfSampleReader(const std::filesystem::path& path, int64_t vocabulary_size) : records_(path), vocabulary_size_(vocabulary_size) {
    if (Sample first; read(first)) first_ = std::move(first);
  }
  ForeignFormat format() const override { return ForeignFormat::kTfRecord; }
  RowWidths widths() const override { return widths_; }
  bool next(Sample& sample) override {
    if (!first_) return read(sample);
    sample = std::move(*first_);
    first_.reset();
    return true;
  }

 private:
  bool read(Sample& sample);
  std::span<const int32_t> list(const Example& example, std::string_view name, bool is_float, int64_t size) const;

  TfRecordReader records_;
  int64_t vocabulary_size_;
  RowWidths widths_;
  std::optional<Sample> first_;  // read ahead: it says the widths
  int64_t given_ = 0;
};

// A feature of so many numbers; -1: any.
std::span<const int32_t> TfSampleReader::list(const Example& example, std::string_view name, bool is_float, int64_t size) const {
  const auto found = example.find(name);
  MPIBERT_CHECK(found != example.end() && found->second.is_float == is_float, kCorrupt, records_.where(), ": no feature ", name, " of ",
                is_float ? "floats" : "integers", "; expected what create_pretraining_data.py writes");
  const std::vector<int32_t>& values = found->second.values;
  MPIBERT_CHECK(size < 0 || static_cast<int64_t>(values.size()) == size, kCorrupt, records_.where(), ": feature ", name, " has ",
                values.size(), " numbers, expected ", size);
  return values;
}

bool TfSampleReader::read(Sample& sample) {
  const std::optional<std::string> record = records_.next();
  if (!record) return false;
  const std::string where = records_.where();
  const Example example = read_example(*record, where);
  if (widths_.max_seq_length == 0)
    widths_ = {.max_seq_length = std::ssize(list(example, kInputIds, false, -1)),
               .max_predictions_per_seq = std::ssize(list(example, kMaskedPositions, false, -1))};
  const int64_t length = widths_.max_seq_length, predictions = widths_.max_predictions_per_seq;
  const size_t tokens = tokens_of_mask(list(example, kInputMask, false, length), where);
  const std::span<const int32_t> weights = list(example, kWeights, true, predictions);
  const size_t count = static_cast<size_t>(std::find(weights.begin(), weights.end(), 0) - weights.begin());
  MPIBERT_CHECK(std::all_of(weights.begin() + static_cast<ptrdiff_t>(count), weights.end(), [](int32_t weight) { return weight == 0; }),
                kCorrupt, where, ": ", kWeights, " are not ones and then zeros");
  sample = make_sample({.input_ids = list(example, kInputIds, false, length).first(tokens),
                        .segment_ids = list(example, kSegmentIds, false, length).first(tokens),
                        .masked_lm_positions = list(example, kMaskedPositions, false, predictions).first(count),
                        .masked_lm_ids = list(example, kMaskedIds, false, predictions).first(count),
                        .next_sentence_label = list(example, kNextSentence, false, 1)[0]},
                       vocabulary_size_, where);
  sample.id = given_++;
  return true;
}

class TfSampleWriter : public ForeignWriter {
 public:
  TfSampleWriter(const std::filesystem::path& path, RowWidths widths) : file_(path), path_(path), widths_(widths) {}
  void add(const Sample& sample) override;
  void commit() override {
    file_.write(waiting_);
    file_.commit();
  }

 private:
  AtomicFile file_;
  std::filesystem::path path_;
  RowWidths widths_;
  std::string waiting_;
};

void append_feature(std::string& features, std::string_view name, uint32_t kind, const std::string& packed) {
  std::string list, feature, entry;
  append_bytes_field(list, kListValue, packed);
  append_bytes_field(feature, kind, list);
  append_bytes_field(entry, kKey, name);
  append_bytes_field(entry, kValue, feature);
  append_bytes_field(features, kFeature, entry);
}

void append_integers(std::string& features, std::string_view name, std::span<const int32_t> values, int64_t padded) {
  std::string packed;
  for (const int32_t value : values) append_varint(packed, static_cast<uint64_t>(value));
  packed.append(static_cast<size_t>(padded) - values.size(), '\0');
  append_feature(features, name, kInt64List, packed);
}

void append_ones(std::string& features, std::string_view name, size_t ones, int64_t padded) {
  const std::vector<float> values = [&] {
    std::vector<float> weights(static_cast<size_t>(padded), 0.0f);
    std::fill_n(weights.begin(), ones, 1.0f);
    return weights;
  }();
  append_feature(features, name, kFloatList, std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)));
}

void TfSampleWriter::add(const Sample& sample) {
  const SampleParts parts = parts_of(sample);
  check_widths(parts, widths_, str_cat(path_.string(), ": sample ", sample.id));
  const int64_t length = widths_.max_seq_length, predictions = widths_.max_predictions_per_seq;
  std::string features, example;
  append_integers(features, kInputIds, parts.input_ids, length);
  append_integers(features, kInputMask, std::vector<int32_t>(parts.input_ids.size(), 1), length);
  append_integers(features, kSegmentIds, parts.segment_ids, length);
  append_integers(features, kMaskedPositions, parts.masked_lm_positions, predictions);
  append_integers(features, kMaskedIds, parts.masked_lm_ids, predictions);
  append_ones(features, kWeights, parts.masked_lm_positions.size(), predictions);
  append_integers(features, kNextSentence, std::span(&parts.next_sentence_label, 1), 1);
  append_bytes_field(example, kFeatures, features);
  append_tf_record(waiting_, example);
  if (waiting_.size() < kWriteBytes) return;
  file_.write(waiting_);
  waiting_.clear();
}

}  // namespace

std::unique_ptr<ForeignReader> open_tfrecord(const std::filesystem::path& path, int64_t vocabulary_size) {
  return std::make_unique<TfSampleReader>(path, vocabulary_size);
}

std::unique_ptr<ForeignWriter> make_tfrecord_writer(const std::filesystem::path& path, RowWidths widths) {
  return std::make_unique<TfSampleWriter>(path, widths);
}

}  // namespace mpibert
