#include "interop/tensorflow_header.h"

#include <algorithm>
#include <regex>
#include <tuple>

#include "base/crc32c.h"
#include "base/protobuf.h"
#include "interop/sorted_table.h"
#include "interop/tensor_shape.h"
#include "mpibert/base/error.h"
#include "mpibert/base/file.h"

namespace mpibert {

using Type = WireField::Type;
namespace fs = std::filesystem;

namespace {

constexpr std::string_view kIndex = ".index";
constexpr uint64_t kText = 7;  // DT_STRING
constexpr uint64_t kMaxShards = 4096;

struct Header {
  uint64_t shards = 0, endianness = 0, min_consumer = 0;
};

struct Entry {
  uint64_t dtype = 0, shard = 0, offset = 0, size = 0;
  uint32_t crc = 0;
  bool is_sliced = false;
  std::vector<int64_t> dims;
};

Header parse_header(std::string_view message, const std::string& where) {
  Header header;
  WireReader fields(message, where + ": its header");
  while (const auto field = fields.next()) {
    // SavedTensorSlices of version 1 has a message here.
    MPIBERT_CHECK(field->number != 1 || field->type != Type::kBytes, kInvalidArgument, where,
                  " is a checkpoint of TensorFlow's old version 1 (one file); load it in TensorFlow and save it with "
                  "tf.train.Saver(write_version=tf.train.SaverDef.V2)");
    if (field->number == 1 || field->number == 2) {
      fields.expect(*field, Type::kVarint);
      (field->number == 1 ? header.shards : header.endianness) = field->value;
    } else if (field->number == 3) {
      fields.expect(*field, Type::kBytes);
      WireReader version(field->bytes, fields.where());
      while (const auto part = version.next()) {
        if (part->number == 2) header.min_consumer = part->value;
      }
    }
  }
  MPIBERT_CHECK(header.endianness == 0, kInvalidArgument, where,
                ": the numbers are in big-endian order; save it on a machine of little-endian order");
  MPIBERT_CHECK(header.min_consumer <= 1, kInvalidArgument, where, ": written for readers of version ", header.min_consumer,
                " of the format and later, this one knows version 1");
  MPIBERT_CHECK(header.shards >= 1 && header.shards <= kMaxShards, kCorrupt, where, ": its header says ", header.shards,
                " shards, expected 1 to ", kMaxShards);
  return header;
}

std::vector<int64_t> parse_dims(std::string_view message, const std::string& where) {
  std::vector<int64_t> dims;
  WireReader shape(message, where);
  while (const auto field = shape.next()) {
    MPIBERT_CHECK(field->number != 3 || field->value == 0, kCorrupt, where, ": of unknown rank");
    if (field->number != 2) continue;
    shape.expect(*field, Type::kBytes);
    WireReader dim(field->bytes, where);
    dims.push_back(0);
    while (const auto part = dim.next()) {
      if (part->number != 1) continue;
      dim.expect(*part, Type::kVarint);
      dims.back() = static_cast<int64_t>(part->value);
    }
  }
  return dims;
}

Entry parse_entry(std::string_view message, const std::string& where) {
  Entry entry;
  WireReader fields(message, where);
  while (const auto field = fields.next()) {
    switch (field->number) {
      case 2:
        fields.expect(*field, Type::kBytes);
        entry.dims = parse_dims(field->bytes, where);
        break;
      case 6:
        fields.expect(*field, Type::kFixed32);
        entry.crc = static_cast<uint32_t>(field->value);
        break;
      case 7:
        entry.is_sliced = true;
        break;
      case 1:
      case 3:
      case 4:
      case 5:
        fields.expect(*field, Type::kVarint);
        (field->number == 1   ? entry.dtype
         : field->number == 3 ? entry.shard
         : field->number == 4 ? entry.offset
                              : entry.size) = field->value;
        break;
      default:
        break;
    }
  }
  return entry;
}

TensorInfo place(const std::string& name, const Entry& entry, const std::string& where, const std::vector<InputFile>& shards) {
  const std::string in = str_cat(where, ": tensor \"", name, "\": ");
  MPIBERT_CHECK(!entry.is_sliced, kInvalidArgument, in,
                "saved in slices of a partitioned variable; save the model again without a partitioner");
  MPIBERT_CHECK(entry.shard < shards.size(), kCorrupt, in, "in shard ", entry.shard, " of ", shards.size());
  const InputFile& data = shards[entry.shard];
  MPIBERT_CHECK(entry.offset <= data.size() && entry.size <= data.size() - entry.offset, kCorrupt, in, entry.size, " bytes from byte ",
                entry.offset, " on reach beyond the ", data.size(), " of ", data.path().string(), "; it is truncated");
  TensorInfo tensor{.name = name, .begin = entry.offset, .file = entry.shard + 1};
  if (entry.dtype == kText) {
    tensor.dtype = DType::kUInt8;
    tensor.shape = {static_cast<int64_t>(entry.size)};
    return tensor;
  }
  const auto known =
      std::find_if(kTensorflowDtypes.begin(), kTensorflowDtypes.end(), [&](const auto& dtype) { return dtype.first == entry.dtype; });
  MPIBERT_CHECK(known != kTensorflowDtypes.end(), kInvalidArgument, in, "of the dtype ", entry.dtype,
                " (tensorflow/core/framework/types.proto); this program reads float, bfloat16, half, int64, int32 and uint8");
  tensor.dtype = known->second;
  tensor.shape = checked_shape(entry.dims, tensor.dtype, in);
  MPIBERT_CHECK(tensor.bytes() == entry.size, kCorrupt, in, name_of(tensor.dtype), " ", tensor.shape.text(), " takes ", tensor.bytes(),
                " bytes, but ", entry.size, " are told");
  return tensor;
}

void check_data(const InputFile& file, const TensorInfo& tensor, uint32_t expected) {
  constexpr uint64_t kPiece = 1 << 20;
  std::vector<std::byte> piece(static_cast<size_t>(std::min(tensor.bytes(), kPiece)));
  uint32_t crc = 0;
  for (uint64_t done = 0; done < tensor.bytes(); done += piece.size()) {
    const std::span<std::byte> part = std::span(piece).first(static_cast<size_t>(std::min<uint64_t>(piece.size(), tensor.bytes() - done)));
    file.read(tensor.begin + done, part);
    crc = crc32c(part, crc);
  }
  MPIBERT_CHECK(masked_crc32c(crc) == expected, kCorrupt, file.path().string(), ": tensor \"", tensor.name, "\": the CRC-32C of its ",
                tensor.bytes(), " bytes from ", tensor.begin, " on is ", masked_crc32c(crc), ", expected ", expected,
                "; the file is damaged, fetch or write it again");
}

void check_apart(std::vector<TensorInfo> tensors, const std::vector<InputFile>& shards) {
  std::sort(tensors.begin(), tensors.end(),
            [](const TensorInfo& a, const TensorInfo& b) { return std::tie(a.file, a.begin) < std::tie(b.file, b.begin); });
  const TensorInfo* before = nullptr;
  for (const TensorInfo& tensor : tensors) {
    if (tensor.bytes() == 0) continue;
    MPIBERT_CHECK(before == nullptr || before->file != tensor.file || before->begin + before->bytes() <= tensor.begin, kCorrupt,
                  shards[tensor.file - 1].path().string(), ": \"", before->name, "\" and \"", tensor.name, "\" overlap at byte ",
                  tensor.begin);
    before = &tensor;
  }
}

}  // namespace

std::string tensorflow_shard(const std::string& prefix, uint64_t shard, uint64_t shards) {
  const auto five_digits = [](uint64_t number) {
    const std::string digits = std::to_string(number);
    return std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0') + digits;
  };
  return prefix + ".data-" + five_digits(shard) + "-of-" + five_digits(shards);
}

std::optional<fs::path> find_tensorflow_index(const fs::path& folder) {
  if (fs::exists(folder / "bert_model.ckpt.index")) return folder / "bert_model.ckpt.index";
  if (!fs::is_directory(folder)) return std::nullopt;
  std::vector<fs::path> indexes;
  for (const fs::directory_entry& file : fs::directory_iterator(folder)) {
    if (file.path().extension() == kIndex) indexes.push_back(file.path());
  }
  if (indexes.empty()) return std::nullopt;
  if (indexes.size() == 1) return indexes.front();
  // What a training of TensorFlow's leaves: several checkpoints, and a text that names the newest.
  constexpr size_t kMaxBytes = 1 << 20;
  std::smatch newest;
  const std::string state = fs::exists(folder / "checkpoint") ? read_file(folder / "checkpoint", kMaxBytes) : "";
  const bool is_named = std::regex_search(state, newest, std::regex("(?:^|\n)model_checkpoint_path: \"([^\"\n]+)\""));
  const fs::path index = is_named ? folder / (fs::path(newest[1].str()).filename().string() + std::string(kIndex)) : "";
  MPIBERT_CHECK(is_named && fs::exists(index), kInvalidArgument, folder.string(), " holds ", indexes.size(),
                " checkpoints of TensorFlow, among them ", indexes.front().filename().string(),
                ", and no file \"checkpoint\" that names one of them; move the one that is meant into a folder of its own");
  return index;
}

std::vector<TensorInfo> read_tensorflow_header(const InputFile& index, std::vector<InputFile>& shards) {
  const std::string where = index.path().string();
  const std::vector<TableEntry> table = read_sorted_table(index);
  MPIBERT_CHECK(!table.empty() && table[0].first.empty(), kCorrupt, where, " is a table without the header of a TensorFlow checkpoint");
  const Header header = parse_header(table[0].second, where);
  MPIBERT_CHECK(where.ends_with(kIndex), kInvalidArgument, where,
                " is the index of a TensorFlow checkpoint; it has to be called PREFIX.index, beside ",
                tensorflow_shard("PREFIX", 0, header.shards));
  for (uint64_t shard = 0; shard < header.shards; ++shard)
    shards.emplace_back(tensorflow_shard(where.substr(0, where.size() - kIndex.size()), shard, header.shards));

  std::vector<TensorInfo> tensors;
  std::vector<Entry> entries;
  for (size_t i = 1; i < table.size(); ++i) {
    entries.push_back(parse_entry(table[i].second, str_cat(where, ": tensor \"", table[i].first, "\"")));
    tensors.push_back(place(table[i].first, entries.back(), where, shards));
  }
  check_apart(tensors, shards);
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (entries[i].dtype != kText) check_data(shards[entries[i].shard], tensors[i], entries[i].crc);
  }
  return tensors;
}

}  // namespace mpibert
