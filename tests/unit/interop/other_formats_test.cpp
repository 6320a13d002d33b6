// Files of MXNet and MindSpore, written by hand.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/protobuf.h"
#include "interop/weight_names.h"
#include "mpibert/base/error.h"
#include "mpibert/interop/model_folder.h"
#include "mpibert/interop/weights_reader.h"
#include "tests/support/files.h"
#include "tests/unit/interop/expect_error.h"

namespace mpibert {

using test::expect_error;
using test::TemporaryFolder;
using testing::ElementsAre;

namespace {

constexpr ErrorKind kBad = ErrorKind::kCorrupt, kOther = ErrorKind::kInvalidArgument;

template <class T>
std::string raw(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(T));
}
std::string floats(const std::vector<float>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()), 4 * values.size());
}

struct MxnetArray {
  uint32_t version = 0xf993faca;
  int32_t storage = 0;
  std::vector<int64_t> dims = {2};
  int32_t dtype = 0;
  std::string data = floats({1, 2});
  std::string bytes() const {
    std::string all = raw(version) + raw(storage) + raw(static_cast<int32_t>(dims.size()));
    for (const int64_t dim : dims) all += raw(dim);
    return all + raw(int32_t{1}) + raw(int32_t{0}) + raw(dtype) + data;
  }
};
std::string names(const std::vector<std::string>& of) {
  std::string all = raw(uint64_t{of.size()});
  for (const std::string& name : of) all += raw(uint64_t{name.size()}) + name;
  return all;
}
std::string mxnet(const std::vector<MxnetArray>& arrays, const std::string& their_names) {
  std::string all = raw(uint64_t{0x112}) + raw(uint64_t{0}) + raw(uint64_t{arrays.size()});
  for (const MxnetArray& array : arrays) all += array.bytes();
  return all + their_names;
}

std::string field(uint32_t number, std::string_view bytes) {
  std::string out;
  append_bytes_field(out, number, bytes);
  return out;
}
std::string field(uint32_t number, uint64_t value) {
  std::string out;
  append_varint_field(out, number, value);
  return out;
}
std::string mindspore(const std::string& name, const std::string& dims, const std::string& type, const std::string& content) {
  return field(1, field(1, name) + field(2, dims + field(2, type) + field(3, content)));
}

class Files : public testing::Test {
 protected:
  void refuse(ErrorKind kind, const std::vector<std::string>& texts, const std::string& bytes) {
    test::write_text(folder_ / "f", bytes);
    std::vector<std::string> all = texts;
    all.push_back((folder_ / "f").string());
    expect_error(kind, all, [&] { WeightsReader reader(folder_ / "f"); });
  }
  void refuse_every_cut(const std::string& good, size_t from) {
    for (size_t length = from; length < good.size(); ++length) refuse(kBad, {"truncated"}, good.substr(0, length));
  }
  TemporaryFolder folder_;
};
using MxnetFiles = Files;
using MindsporeFiles = Files;

}  // namespace

TEST_F(MxnetFiles, AreReadByName) {
  test::write_text(folder_ / "f", mxnet({{.dims = {2, 1}},
                                         {.version = 0xf993fac9, .dtype = 6, .data = raw(int64_t{5}) + raw(int64_t{-6})},
                                         {.dims = {}, .data = floats({7})}},
                                        names({"z", "b", "a"})));
  const WeightsReader reader(folder_ / "f");
  EXPECT_EQ(reader.tensors()[0].name, "a");
  EXPECT_THAT(reader.read_floats(*reader.find("z")), ElementsAre(1, 2));
  EXPECT_EQ(reader.find("z")->shape, (Shape{2, 1}));
  EXPECT_EQ(reader.find("b")->dtype, DType::kInt64);
  EXPECT_THAT(reader.read_floats(*reader.find("a")), ElementsAre(7));
}

TEST_F(MxnetFiles, ThatDoNotObeyTheFormatAreRefused) {
  const std::string good = mxnet({{}}, names({"a"}));
  refuse_every_cut(good, 16);
  refuse(kBad, {"the names end at byte"}, good + "x");
  refuse(kBad, {"arrays are more than the file could hold"}, raw(uint64_t{0x112}) + raw(uint64_t{0}) + raw(uint64_t{1} << 40) + good);
  refuse(kOther, {"no names", "save_parameters()"}, mxnet({{}}, names({})));
  refuse(kBad, {"1 arrays, but 2 names"}, mxnet({{}}, names({"a", "b"})));
  refuse(kBad, {"two arrays are named \"a\""}, mxnet({{}, {}}, names({"a", "a"})));
  refuse(kBad, {"a name of 4611686018427387904 bytes"}, mxnet({{}}, raw(uint64_t{1}) + raw(uint64_t{1} << 62)));
  const auto refuse_array = [&](ErrorKind kind, const std::string& text, const MxnetArray& array) {
    refuse(kind, {"array 0", text}, mxnet({array}, names({"a"})));
  };
  refuse_array(kOther, "of the format 4187224776", {.version = 0xf993fac8});
  refuse_array(kOther, "sparse", {.storage = 1});
  refuse_array(kOther, "never initialised", {.version = 0xf993fac9, .dims = {}});
  refuse_array(kOther, "more than 5 dimensions", {.dims = {1, 1, 1, 1, 1, 2}});
  refuse_array(kOther, "of the dtype 1", {.dtype = 1});
  refuse_array(kBad, "a dimension of -1", {.dims = {-1}});
  refuse_array(kBad, "too large", {.dims = {int64_t{1} << 40, int64_t{1} << 40}});
  refuse(kBad, {"reaches beyond"}, mxnet({{.dims = {1000}}}, names({"a"})));
}

TEST_F(MindsporeFiles, AreReadByName) {
  test::write_text(folder_ / "f", mindspore("b.weight", field(1, uint64_t{2}) + field(1, uint64_t{1}), "Float32", floats({1, 2})) +
                                      mindspore("a", field(1, std::string("\1\2", 2)), "Float16", std::string("\x00\x3c\x00\xc0", 4)) +
                                      mindspore("step", field(1, uint64_t{0}), "Int32", raw(int32_t{9})));
  const WeightsReader reader(folder_ / "f");
  ASSERT_EQ(reader.tensors().size(), 3u);
  EXPECT_THAT(reader.read_floats(*reader.find("b.weight")), ElementsAre(1, 2));
  EXPECT_EQ(reader.find("b.weight")->shape, (Shape{2, 1}));
  EXPECT_THAT(reader.read_floats(*reader.find("a")), ElementsAre(1, -2));
  EXPECT_EQ(reader.find("step")->shape, Shape());
}

TEST_F(MindsporeFiles, ThatDoNotObeyTheFormatAreRefused) {
  const std::string dims = field(1, uint64_t{2}), content = floats({1, 2}), good = mindspore("a.weight", dims, "Float32", content);
  refuse_every_cut(good, 16);
  refuse(kBad, {"a field 2"}, good + field(2, "x"));
  refuse(kBad, {"wire type 5"}, good + "\x0d" + "abcd");
  refuse(kBad, {"\"a.weight\"", "takes 12 bytes, but it has 8"}, mindspore("a.weight", field(1, uint64_t{3}), "Float32", content));
  refuse(kBad, {"a dimension of -1"}, mindspore("a.weight", field(1, UINT64_MAX), "Float32", content));
  refuse(kBad, {"a dimension of -1"}, mindspore("a.weight", field(1, std::string("\xff")), "Float32", content));
  refuse(kBad, {"expected a name and a tensor"}, field(1, field(1, "a.weight.b.c.d")));
  refuse(kBad, {"not a text"}, field(1, field(1, std::string(5000, 'a')) + field(2, dims)));
  refuse(kOther, {"of the type \"Float64\""}, mindspore("a.weight", dims, "Float64", content));
  refuse(kOther, {"more than 5 dimensions"}, mindspore("a.weight", dims + dims + dims + dims + dims + dims, "Float32", content));
  refuse(kOther, {"\"a.weight\" stands twice", "in parts"}, good + good);
}

TEST_F(MindsporeFiles, NamesOfTheSameModelBecomeOurs) {
  std::string file;
  for (const char* name : {"bert.embeddings.word_embeddings.embedding_table", "bert.embeddings.layer_norm.gamma",
                           "bert.encoder.layer.0.attention.self_attn.query.weight", "bert.encoder.layer.0.attention.output.layer_norm.beta",
                           "adam_m.bert.pooler.dense.weight", "global_step"})
    file += mindspore(name, field(1, uint64_t{2}), "Float32", floats({1, 2}));
  test::write_text(folder_ / "f.ckpt", file);
  std::vector<std::string> found, states;
  for (const ModelTensor& tensor : model_tensors(WeightsReader(folder_.path())))
    (tensor.role == ModelTensor::Role::kTrainingState ? states : found).push_back(tensor.name);
  EXPECT_THAT(found, testing::UnorderedElementsAre("bert.embeddings.word_embeddings.weight", "bert.embeddings.LayerNorm.weight",
                                                   "bert.encoder.layer.0.attention.self.query.weight",
                                                   "bert.encoder.layer.0.attention.output.LayerNorm.bias"));
  EXPECT_THAT(states, testing::UnorderedElementsAre("adam_m.bert.pooler.dense.weight", "global_step"));
}

// Their distance of query i and key j is j - i, ours i - j.
TEST_F(MindsporeFiles, TablesOfRelativePositionsAreRead) {
  const std::string table = ".self_attn._generate_relative_positions_embeddings.embeddings_table",
                    dims = field(1, uint64_t{3}) + field(1, uint64_t{2});
  test::write_text(folder_ / "f.ckpt",
                   mindspore("bert.embeddings.word_embeddings.embedding_table", field(1, uint64_t{2}), "Float32", floats({1, 2})) +
                       mindspore("bert.encoder.layer.0.attention" + table, dims, "Float32", floats({1, 2, 3, 4, 5, 6})));
  const WeightsReader reader(folder_.path());
  const std::vector<ModelTensor> tensors = model_tensors(reader);
  ASSERT_EQ(tensors.size(), 2u);
  EXPECT_EQ(tensors[1].name, "bert.encoder.layer.0.attention.self.distance_embedding.weight");
  EXPECT_THAT(reader.read_floats(tensors[1].tensor), ElementsAre(5, 6, 3, 4, 1, 2));
  test::write_text(folder_ / "f.ckpt",
                   mindspore("bert.embeddings.word_embeddings.embedding_table", field(1, uint64_t{2}), "Float32", floats({1, 2})) +
                       mindspore("a" + table, field(1, uint64_t{2}), "Float32", floats({1, 2})));
  expect_error(kBad, {"f.ckpt", "\"a.self_attn", "expected a matrix"}, [&] { model_tensors(WeightsReader(folder_.path())); });
}

TEST(D2lNames, WhatIsNotOfTheModelIsRefusedByName) {
  TemporaryFolder folder;
  for (const std::string name : {"encoder.blks.0.attention.W_x.weight", "encoder.blks.weight", "encoder.blks.a.ffn.dense1.weight",
                                 "encoder.blks.0.weight", "encoder.blks.0.ffn.dense1.alpha"}) {
    test::write_text(folder / "pretrained.params", mxnet({{}}, names({name})));
    expect_error(kOther, {"unknown: " + name}, [&] { load_weights(folder.path(), {}, {}, {}); });
  }
}

TEST(LoadWeights, RefusesNumbersThatAreNone) {
  TemporaryFolder folder;
  const std::vector<WantedTensor> wanted = {{"classifier.weight", {2}}};
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    test::write_text(folder / "pretrained.params", mxnet({{.data = floats({1, bad})}}, names({"classifier.weight"})));
    expect_error(kBad, {(folder / "pretrained.params").string(), "\"classifier.weight\": number 1 of 2 is", "earlier checkpoint"},
                 [&] { load_weights(folder.path(), wanted, {}, [](const std::string&, std::span<const float>) {}); });
  }
}

}  // namespace mpibert
