#include "mpibert/interop/tensorflow.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/crc32c.h"
#include "base/protobuf.h"
#include "interop/sorted_table.h"
#include "interop/tensorflow_names.h"
#include "mpibert/base/error.h"
#include "mpibert/interop/model_folder.h"
#include "mpibert/interop/safetensors.h"
#include "mpibert/interop/weights_reader.h"
#include "tests/support/files.h"
#include "tests/unit/interop/expect_error.h"

namespace mpibert {

using test::expect_error;
using test::TemporaryFolder;
using testing::ElementsAre;

namespace {

const std::filesystem::path kFixtures = std::filesystem::path(MPIBERT_SOURCE_DIR) / "tests/golden/fixtures/tensorflow";

template <class T>
std::vector<T> numbers(const WeightsReader& reader, const std::string& name) {
  const TensorInfo* tensor = reader.find(name);
  if (tensor == nullptr) return {};
  std::vector<T> values(tensor->bytes() / sizeof(T));
  reader.read_bytes(*tensor, std::as_writable_bytes(std::span(values)));
  return values;
}

// Messages of protocol buffers, written by hand.
std::string varint_field(uint32_t number, uint64_t value) {
  std::string out;
  append_varint_field(out, number, value);
  return out;
}
std::string message_field(uint32_t number, std::string_view message) {
  std::string out;
  append_bytes_field(out, number, message);
  return out;
}

struct EntryOf {
  uint64_t dtype = 1, shard = 0, offset = 0, size = 8;
  std::vector<uint64_t> dims = {2};
  std::string more = {};
};
std::string entry(const EntryOf& of) {
  std::string shape, crc;
  for (const uint64_t dim : of.dims) shape += message_field(2, varint_field(1, dim));
  const std::string data(of.size < 64 ? of.size : 0, '\1');
  append_fixed32_field(crc, 6, masked_crc32c(crc32c(std::as_bytes(std::span(data)))));
  return varint_field(1, of.dtype) + message_field(2, shape) + varint_field(3, of.shard) + varint_field(4, of.offset) +
         varint_field(5, of.size) + crc + of.more;
}
const std::string kHeader = varint_field(1, 1) + message_field(3, varint_field(1, 1));

// A checkpoint of any index and 16 bytes of data.
class Bundle {
 public:
  void write(const std::vector<TableEntry>& index) const {
    test::write_text(folder_ / "f.index", sorted_table(index));
    test::write_text(folder_ / "f.data-00000-of-00001", std::string(16, '\1'));
  }
  void refuse(ErrorKind kind, const std::vector<std::string>& texts) const {
    expect_error(kind, texts, [&] { WeightsReader reader(folder_ / "f"); });
  }
  void refuse(ErrorKind kind, const std::vector<std::string>& texts, const std::vector<TableEntry>& index) const {
    write(index);
    refuse(kind, texts);
  }
  std::filesystem::path operator/(const std::string& name) const { return folder_ / name; }

 private:
  TemporaryFolder folder_;
};

}  // namespace

TEST(Crc32c, IsThatOfTheStandard) {
  const auto of = [](const std::string& text, uint32_t before = 0) { return crc32c(std::as_bytes(std::span(text)), before); };
  EXPECT_EQ(of("123456789"), 0xe3069283u);  // RFC 3720 B.4 and the catalogues of checksums
  EXPECT_EQ(of(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(of("456789", of("123")), of("123456789"));
  EXPECT_EQ(of(""), 0u);
}

TEST(Tensorflow, ShardsAndEveryDtypeAreReadAsTensorflowWroteThem) {
  const WeightsReader reader(kFixtures / "parts.ckpt");
  EXPECT_EQ(reader.files().size(), 3u);
  EXPECT_EQ(reader.tensors().size(), 7u);
  EXPECT_THAT(numbers<float>(reader, "a/float"), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_EQ(reader.find("a/float")->shape, (Shape{2, 3}));
  EXPECT_THAT(reader.read_floats(*reader.find("half")), ElementsAre(1, -2));
  EXPECT_THAT(reader.read_floats(*reader.find("brain")), ElementsAre(1, -3));
  EXPECT_THAT(numbers<int64_t>(reader, "long"), ElementsAre(-5, int64_t{1} << 40));
  EXPECT_THAT(numbers<int32_t>(reader, "a/int"), ElementsAre(7));
  EXPECT_THAT(numbers<uint8_t>(reader, "bytes"), ElementsAre(0, 255, 3));
  EXPECT_EQ(reader.find("empty")->shape, (Shape{0, 5}));
}

TEST(Tensorflow, TheFirstVersionOfTheFormatIsNamed) {
  expect_error(ErrorKind::kInvalidArgument, {"old.ckpt", "version 1", "SaverDef.V2"}, [] { WeightsReader reader(kFixtures / "old.ckpt"); });
}

TEST(Tensorflow, WhatIsWrittenIsReadAndDoesNotDependOnTheOrder) {
  TemporaryFolder folder;
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const std::vector<int64_t> step = {1000};
  std::vector<NamedTensor> tensors = {{"b/kernel", DType::kFloat32, {2, 3}, std::as_bytes(std::span(values))},
                                      {"step", DType::kInt64, {}, std::as_bytes(std::span(step))},
                                      {"a", DType::kFloat32, {0, 4}, {}}};
  for (int i = 0; i < 9000; ++i)
    tensors.push_back(
        {str_cat("layer_", i, "/some/long/name/of/a/tensor/bias"), DType::kFloat32, {1}, std::as_bytes(std::span(values)).first(4)});
  write_tensorflow(folder / "f", tensors);
  const WeightsReader reader(folder / "f");
  ASSERT_EQ(reader.tensors().size(), tensors.size());
  EXPECT_THAT(numbers<float>(reader, "b/kernel"), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(numbers<int64_t>(reader, "step"), ElementsAre(1000));
  EXPECT_EQ(reader.find("step")->shape, Shape());
  EXPECT_EQ(reader.find("a")->shape, (Shape{0, 4}));
  EXPECT_GT(std::filesystem::file_size(folder / "f.index"), 256u << 10) << "more than one block";
  const std::string bytes = test::read_text(folder / "f.index");
  std::reverse(tensors.begin(), tensors.end());
  write_tensorflow(folder / "f", tensors);
  EXPECT_EQ(test::read_text(folder / "f.index"), bytes);
}

TEST(Tensorflow, NoTruncationAndNoFlippedBitGoesUnseen) {
  TemporaryFolder folder;
  const std::string index = test::read_text(kFixtures / "parts.ckpt.index"),
                    data = test::read_text(kFixtures / "parts.ckpt.data-00000-of-00002");
  std::filesystem::copy(kFixtures / "parts.ckpt.data-00001-of-00002", folder / "f.data-00001-of-00002");
  const auto refuse = [&](const std::string& changed_index, const std::string& changed_data, const std::vector<std::string>& texts) {
    test::write_text(folder / "f.index", changed_index);
    test::write_text(folder / "f.data-00000-of-00002", changed_data);
    expect_error(ErrorKind::kCorrupt, texts, [&] { WeightsReader reader(folder / "f.index"); });
  };
  for (size_t length = 0; length < index.size(); ++length) refuse(index.substr(0, length), data, {"f.index"});
  for (size_t length = 0; length < data.size(); ++length) refuse(index, data.substr(0, length), {"f.data-00000-of-00002", "truncated"});
  for (size_t at = 0; at < data.size(); ++at) {
    std::string changed = data;
    changed[at] = static_cast<char>(changed[at] ^ 4);
    refuse(index, changed, {"f.data-00000-of-00002", "tensor \"", "CRC-32C", "damaged"});
  }
  for (size_t at = 0; at + kSortedTableFooterBytes < index.size(); ++at) {
    std::string changed = index;
    changed[at] = static_cast<char>(changed[at] ^ 4);
    refuse(changed, data, {"f.index", "CRC-32C"});
  }
  std::filesystem::remove(folder / "f.data-00001-of-00002");
  test::write_text(folder / "f.index", index);
  test::write_text(folder / "f.data-00000-of-00002", data);
  expect_error(ErrorKind::kNotFound, {"f.data-00001-of-00002"}, [&] { WeightsReader reader(folder / "f.index"); });
}

TEST(Tensorflow, RefusesEveryIndexThatIsNoCheckpoint) {
  constexpr ErrorKind kBad = ErrorKind::kCorrupt, kOther = ErrorKind::kInvalidArgument;
  const Bundle bundle;
  bundle.write({{"", kHeader}, {"a", entry({})}});
  EXPECT_THAT(numbers<uint8_t>(WeightsReader(bundle / "f"), "a"), testing::Each(1));

  bundle.refuse(kBad, {"without the header"}, {});
  bundle.refuse(kBad, {"without the header"}, {{"a", entry({})}});
  bundle.refuse(kOther, {"version 1", "SaverDef.V2"}, {{"", message_field(1, "x")}});
  bundle.refuse(kOther, {"big-endian"}, {{"", kHeader + varint_field(2, 1)}});
  bundle.refuse(kOther, {"version 7"}, {{"", varint_field(1, 1) + message_field(3, varint_field(2, 7))}});
  bundle.refuse(kBad, {"0 shards"}, {{"", varint_field(2, 0)}});
  bundle.refuse(kBad, {"4097 shards"}, {{"", varint_field(1, 4097)}});
  bundle.refuse(kBad, {"header", "wire type"}, {{"", "\x0b"}});
  bundle.refuse(kBad, {"header", "no whole number"}, {{"", "\x08\xff"}});
  bundle.refuse(kBad, {"header", "no field has the number 0"}, {{"", std::string("\0\1", 2)}});
  const auto refuse = [&](ErrorKind kind, const std::string& text, const EntryOf& of) {
    bundle.refuse(kind, {"f.index", "tensor \"a\"", text}, {{"", kHeader}, {"a", entry(of)}});
  };
  refuse(kBad, "in shard 1 of 1", {.shard = 1});
  refuse(kBad, "9 bytes from byte 8 on reach beyond the 16", {.offset = 8, .size = 9});
  refuse(kBad, "reach beyond", {.offset = UINT64_MAX});
  refuse(kBad, "reach beyond", {.offset = 1, .size = UINT64_MAX});
  refuse(kBad, "takes 12 bytes, but 8", {.dims = {3}});
  refuse(kBad, "too large", {.dims = {uint64_t{1} << 40, uint64_t{1} << 40}});
  refuse(kBad, "a dimension of -1", {.dims = {UINT64_MAX}});
  refuse(kOther, "more than 5 dimensions", {.dims = {1, 1, 1, 1, 1, 2}});
  refuse(kOther, "dtype 2", {.dtype = 2});
  refuse(kOther, "slices", {.more = message_field(7, "")});
  refuse(kBad, "wire type 2, expected 0", {.more = message_field(5, "x")});
  refuse(kBad, "wire type 0, expected 5", {.more = varint_field(6, 1)});
  refuse(kBad, "unknown rank", {.more = message_field(2, varint_field(3, 1))});
  refuse(kBad, "reaches beyond the message", {.more = "\x3a\x05x"});
  bundle.refuse(kBad, {"\"a\" and \"b\" overlap at byte 4"}, {{"", kHeader}, {"a", entry({})}, {"b", entry({.offset = 4})}});
}

TEST(SortedTable, RefusesBlocksThatObeyNothing) {
  constexpr ErrorKind kBad = ErrorKind::kCorrupt;
  const Bundle bundle;
  // A table of one block with these bytes, whatever they are.
  const auto refuse = [&](ErrorKind kind, const std::string& text, std::string block, char compression = 0) {
    const auto with_trailer = [&](std::string bytes, char how) {
      bytes += how;
      const uint32_t crc = masked_crc32c(crc32c(std::as_bytes(std::span(bytes))));
      return bytes.append(reinterpret_cast<const char*>(&crc), sizeof(crc));
    };
    std::string place, index, footer;
    append_varint(place, 0);
    append_varint(place, block.size());
    std::string file = with_trailer(block, compression);
    append_varint(index, 0);
    append_varint(index, 1);
    append_varint(index, place.size());
    index += "z" + place + std::string("\0\0\0\0", 4);
    for (const std::string& part : {std::string("\0\0\0\0", 4), index}) {
      append_varint(footer, file.size());
      append_varint(footer, part.size());
      file += with_trailer(part, 0);
    }
    footer.resize(kSortedTableFooterBytes - sizeof(kSortedTableMagic));
    file += footer.append(reinterpret_cast<const char*>(&kSortedTableMagic), sizeof(kSortedTableMagic));
    test::write_text(bundle / "f.index", file);
    bundle.refuse(kind, {"f.index", text});
  };
  const std::string no_restarts("\0\0\0\0", 4);
  refuse(kBad, "without the header", no_restarts);
  refuse(kBad, "too short", "abc");
  refuse(kBad, "claims 1 restart points", std::string("\1\0\0\0", 4));
  refuse(kBad, "claims 4294967295", "\xff\xff\xff\xff");
  refuse(kBad, "entry 0 does not end", "\1" + std::string("\0\0", 2) + no_restarts);
  refuse(kBad, "entry 0 does not end", std::string("\0\5\0a", 4) + no_restarts);
  refuse(kBad, "entry 0 does not end",
         std::string("\0\1\x7f"
                     "a",
                     4) +
             no_restarts);
  refuse(kBad, "entry 0 does not end", std::string(1, '\0') + std::string(10, '\xff') + no_restarts);
  refuse(kBad, "the key \"a\" stands behind \"b\"", std::string("\0\1\0b\0\1\0a", 8) + no_restarts);
  refuse(kBad, "the key \"a\" stands behind \"a\"", std::string("\0\1\0a\1\0\0", 7) + no_restarts);
  refuse(ErrorKind::kInvalidArgument, "Snappy", "xyz", 1);
  refuse(kBad, "unknown way 9", "xyz", 9);
}

TEST(TensorflowNames, GoThereAndBack) {
  const auto expect = [](const std::string& theirs, const std::string& ours, bool is_transposed) {
    EXPECT_EQ(name_from_tensorflow(theirs), (TensorflowName{ours, is_transposed}));
    EXPECT_EQ(name_to_tensorflow(ours), (TensorflowName{theirs, is_transposed}));
  };
  expect("bert/embeddings/word_embeddings", "bert.embeddings.word_embeddings.weight", false);
  expect("bert/embeddings/LayerNorm/gamma", "bert.embeddings.LayerNorm.weight", false);
  expect("bert/encoder/layer_11/attention/self/query/kernel", "bert.encoder.layer.11.attention.self.query.weight", true);
  expect("bert/encoder/layer_0/output/LayerNorm/beta", "bert.encoder.layer.0.output.LayerNorm.bias", false);
  expect("bert/pooler/dense/bias", "bert.pooler.dense.bias", false);
  expect("cls/predictions/transform/dense/kernel", "cls.predictions.transform.dense.weight", true);
  expect("cls/predictions/output_bias", "cls.predictions.bias", false);
  expect("cls/seq_relationship/output_weights", "cls.seq_relationship.weight", false);
  expect("cls/squad/output_bias", "qa_outputs.bias", false);
  expect("output_weights", "classifier.weight", false);
  for (const char* name : {"bert/encoder/layer_0/attention/self/query/strange", "electra/encoder/kernel", "cls/squad/kernel", ""})
    EXPECT_FALSE(name_from_tensorflow(name)) << name;
  for (const char* name : {"classifier.dense.weight", "cls.predictions.decoder.weight", "lstm.weight", ""})
    EXPECT_FALSE(name_to_tensorflow(name)) << name;
}

TEST(TensorflowNames, SlotsAndCountersAreNoParameters) {
  for (const char* name :
       {"global_step", "bert/pooler/dense/kernel/adam_m", "output_bias/AdamWeightDecayOptimizer_1", "beta1_power",
        "optimizer/learning_rate/.ATTRIBUTES/VARIABLE_VALUE",
        "masked_lm/dense/kernel/.OPTIMIZER_SLOT/optimizer/m/.ATTRIBUTES/VARIABLE_VALUE", "save_counter/.ATTRIBUTES/VARIABLE_VALUE"})
    EXPECT_TRUE(is_tensorflow_training_state(name));
  for (const char* name : {"bert/pooler/dense/kernel", "adam_m_of_ours", ""}) EXPECT_FALSE(is_tensorflow_training_state(name));
}

TEST(KerasNames, WhatIsNotOfTheModelIsRefusedByName) {
  TemporaryFolder folder;
  const std::string ending = "/.ATTRIBUTES/VARIABLE_VALUE";
  const std::vector<float> values = {1, 2};
  for (const std::string name :
       {"encoder/layer_with_weights-0/kernel", "encoder/layer_with_weights-/embeddings", "encoder/layer_with_weights-4/_strange/kernel",
        "decoder/x/kernel", "encoder/layer_with_weights-99999999999/embeddings", "encoder/layer_with_weights-4_attention_layer_norm/gamma",
        "kernel"}) {
    write_tensorflow(folder / "f", {{name + ending, DType::kFloat32, {2}, std::as_bytes(std::span(values))}});
    expect_error(ErrorKind::kInvalidArgument, {"none of BERT's: " + name + ending},
                 [&] { convert_model_folder(folder / "f", folder / "to", WeightsFormat::kSafetensors); });
    expect_error(ErrorKind::kInvalidArgument, {"unknown: " + name + ending}, [&] { load_weights(folder / "f", {}, {}, {}); });
  }
  write_tensorflow(
      folder / "f",
      {{"encoder/layer_with_weights-4/_output_dense/kernel" + ending, DType::kFloat32, {2}, std::as_bytes(std::span(values))}});
  expect_error(ErrorKind::kCorrupt, {"_output_dense/kernel", "is [2], expected a matrix"}, [&] { load_weights(folder / "f", {}, {}, {}); });
}

TEST(ConvertToTensorflow, ThereAndBackIsTheSameBitForBit) {
  TemporaryFolder folder;
  for (const auto& [name, text] : {std::pair{"bert_config.json", "{}"}, std::pair{"vocab.txt", "[PAD]"}})
    test::write_text(folder / name, text);
  const LoadReport in =
      convert_model_folder(kFixtures / "bert_model.ckpt", folder / "safetensors", WeightsFormat::kSafetensors, {{"config.json", "{}"}});
  EXPECT_EQ(in.loaded.size(), 46u);
  EXPECT_EQ(in.training_state.size(), 11u);
  const LoadReport out = convert_model_folder(folder / "safetensors", folder / "tf", WeightsFormat::kTensorflow);
  EXPECT_EQ(out.renamed, 46);
  EXPECT_EQ(test::read_text(folder / "tf" / "bert_config.json"), "{}");
  const WeightsReader first(kFixtures / "bert_model.ckpt"), last(folder / "tf");
  EXPECT_EQ(last.tensors().size(), 46u);
  for (const TensorInfo& tensor : last.tensors()) {
    const TensorInfo* was = first.find(tensor.name);
    ASSERT_NE(was, nullptr) << tensor.name;
    EXPECT_EQ(was->shape, tensor.shape) << tensor.name;
    EXPECT_EQ(first.read_floats(*was), last.read_floats(tensor)) << tensor.name;
  }
}

TEST(ConvertToTensorflow, WhatHasNoNameThereIsRefusedAndTheTiedDecoderIsLeftOut) {
  TemporaryFolder folder;
  const std::vector<float> values = {1, 2}, others = {1, 3};
  const auto tensor = [](const char* name, const std::vector<float>& of) {
    return NamedTensor{name, DType::kFloat32, {1, 2}, std::as_bytes(std::span(of))};
  };
  const auto to_tensorflow = [&](const std::vector<NamedTensor>& tensors) {
    write_safetensors(folder / "f", tensors);
    return convert_model_folder(folder / "f", folder / "to", WeightsFormat::kTensorflow);
  };
  const NamedTensor words = tensor("bert.embeddings.word_embeddings.weight", values);
  expect_error(ErrorKind::kInvalidArgument, {"no names for: lstm.weight"}, [&] { to_tensorflow({words, tensor("lstm.weight", values)}); });
  expect_error(ErrorKind::kInvalidArgument, {"decoder.weight", "tie_word_embeddings"}, [&] {
    to_tensorflow({words, tensor("cls.predictions.decoder.weight", others)});
  });
  EXPECT_FALSE(std::filesystem::exists(folder / "to"));
  EXPECT_THAT(to_tensorflow({words, tensor("cls.predictions.decoder.weight", values)}).ignored,
              ElementsAre("cls.predictions.decoder.weight"));
}

TEST(FindWeights, TakesTheCheckpointThatTheFolderNames) {
  TemporaryFolder folder;
  EXPECT_FALSE(find_weights(folder.path()));
  test::write_text(folder / "model.ckpt-5.index", "");
  EXPECT_EQ(find_weights(folder.path()), folder / "model.ckpt-5.index");
  test::write_text(folder / "model.ckpt-9.index", "");
  expect_error(ErrorKind::kInvalidArgument, {"holds 2 checkpoints", "folder of its own"}, [&] { find_weights(folder.path()); });
  test::write_text(folder / "checkpoint",
                   "model_checkpoint_path: \"/old/place/model.ckpt-9\"\nall_model_checkpoint_paths: \"model.ckpt-5\"\n");
  EXPECT_EQ(find_weights(folder.path()), folder / "model.ckpt-9.index");
  test::write_text(folder / "bert_model.ckpt.index", "");
  EXPECT_EQ(find_weights(folder.path()), folder / "bert_model.ckpt.index");
}

}  // namespace mpibert
