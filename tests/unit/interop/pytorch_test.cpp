#include "mpibert/interop/pytorch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <deque>

#include "interop/zip.h"
#include "mpibert/base/error.h"
#include "mpibert/interop/weights_reader.h"
#include "tests/support/files.h"
#include "tests/unit/interop/expect_error.h"

namespace mpibert {

using test::expect_error;
using test::TemporaryFolder;
using testing::ElementsAre;

namespace {

const std::filesystem::path kFixtures = std::filesystem::path(MPIBERT_SOURCE_DIR) / "tests/unit/interop/fixtures";

template <class T>
std::string raw(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(T));
}

template <class T>
std::vector<T> numbers(const WeightsReader& reader, const std::string& name) {
  const TensorInfo* tensor = reader.find(name);
  if (tensor == nullptr) return {};
  std::vector<T> values(tensor->bytes() / sizeof(T));
  reader.read_bytes(*tensor, std::as_writable_bytes(std::span(values)));
  return values;
}

// Parts of pickles, written by hand.
std::string text(const std::string& value) { return "X" + raw(static_cast<uint32_t>(value.size())) + value; }
std::string integer(int32_t value) { return "J" + raw(value); }
std::string tuple(const std::vector<int32_t>& values) {
  std::string all = "(";
  for (const int32_t value : values) all += integer(value);
  return all + "t";
}
std::string storage(const std::string& type, const std::string& key, int32_t elements) {
  return "(" + text("storage") + "ctorch\n" + type + "\n" + text(key) + text("cpu") + integer(elements) + "tQ";
}
struct Layout {
  std::string type = "FloatStorage";
  int32_t elements = 4, offset = 0;
  std::vector<int32_t> size = {2, 2}, stride = {2, 1};
};
std::string tensor(const Layout& layout) {
  return "ctorch._utils\n_rebuild_tensor_v2\n(" + storage(layout.type, "0", layout.elements) + integer(layout.offset) + tuple(layout.size) +
         tuple(layout.stride) +
         "\x89"
         "ccollections\nOrderedDict\n)RtR";
}
std::string dict(const std::string& items) { return "\x80\2}(" + items + "u."; }
std::string dict_of(const Layout& layout) { return dict(text("a") + tensor(layout)); }

// An archive of any pickle and one storage.
void write_archive(const std::filesystem::path& path, const std::string& pickle, const std::string& data = std::string(16, '\1'),
                   const std::vector<std::pair<std::string, std::string>>& more = {}) {
  std::string file;
  ZipWriter zip([&](std::span<const std::byte> bytes) { file.append(reinterpret_cast<const char*>(bytes.data()), bytes.size()); });
  zip.add("archive/data.pkl", pickle);
  zip.add("archive/data/0", data);
  for (const auto& [name, content] : more) zip.add(name, content);
  zip.finish();
  test::write_text(path, file);
}

}  // namespace

class PytorchFiles : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Formats, PytorchFiles, testing::Values("pytorch.bin", "pytorch_old.bin"),
                         [](const auto& format) { return std::string(format.param) == "pytorch.bin" ? "zip" : "old"; });

TEST_P(PytorchFiles, AreReadAsTorchWroteThem) {
  const WeightsReader reader(kFixtures / GetParam());
  EXPECT_EQ(reader.tensors().size(), 11u);
  EXPECT_THAT(numbers<float>(reader, "weight"), ElementsAre(0, 0.25f, 0.5f, 0.75f, 1, 1.25f));
  EXPECT_EQ(reader.find("weight")->shape, (Shape{2, 3}));
  EXPECT_THAT(numbers<float>(reader, "parameter"), ElementsAre(-1.5f, 0, 3.25f));
  EXPECT_THAT(reader.read_floats(*reader.find("half")), ElementsAre(1, -2, 65504, 0x1p-24f));
  EXPECT_THAT(reader.read_floats(*reader.find("brain")), ElementsAre(1, float(bfloat16(-3.0e38f))));
  EXPECT_THAT(numbers<int64_t>(reader, "position_ids"), ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(reader.find("position_ids")->shape, (Shape{1, 4}));
  EXPECT_THAT(numbers<int32_t>(reader, "count"), ElementsAre(7));
  EXPECT_EQ(reader.find("count")->shape, Shape());
  EXPECT_THAT(numbers<uint8_t>(reader, "bytes"), ElementsAre(0, 255, 3));
  EXPECT_EQ(reader.find("empty")->shape, (Shape{0, 5}));
  expect_error(ErrorKind::kCorrupt, {GetParam(), "position_ids", "int64"}, [&] { reader.read_floats(*reader.find("position_ids")); });
}

TEST_P(PytorchFiles, StridesOffsetsAndSharedStoragesAreRespected) {
  const WeightsReader reader(kFixtures / GetParam());
  EXPECT_THAT(numbers<float>(reader, "transposed"), ElementsAre(0, 3, 1, 4, 2, 5));
  EXPECT_EQ(reader.find("transposed")->shape, (Shape{3, 2}));
  EXPECT_THAT(numbers<float>(reader, "first"), ElementsAre(2, 3, 4));
  EXPECT_THAT(numbers<float>(reader, "second"), ElementsAre(5, 7, 9, 11));
}

TEST(Pytorch, AFileWithoutChecksumsIsRead) {
  const WeightsReader reader(kFixtures / "pytorch_unchecked.bin");
  EXPECT_THAT(numbers<float>(reader, "weight"), ElementsAre(0, 0.25f, 0.5f, 0.75f, 1, 1.25f));
}

class RoundTrip : public testing::Test {
 protected:
  template <class T>
  void add(const std::string& name, Shape shape, std::vector<T> values) {
    const auto bytes = std::as_bytes(std::span(values));
    data_.emplace_back(bytes.begin(), bytes.end());
    tensors_.push_back({name, DTypeOf<T>::value, shape, data_.back()});
  }
  void SetUp() override {
    add<float>("weight", {2, 3}, {1, 2, 3, 4, 5, 6});
    add<bfloat16>("b", {1}, {bfloat16(2.5f)});
    add<float16>("\xc3\xbc", {2, 1, 1, 1, 1}, {float16(1.5f), float16(-2.0f)});
    add<int64_t>("long", {}, {-5});
    add<int32_t>("int", {300}, std::vector<int32_t>(300, 9));
    add<uint8_t>("bytes", {3}, {1, 2, 3});
    add<float>("empty", {0, 5}, {});
  }
  TemporaryFolder folder_;
  std::deque<std::vector<std::byte>> data_;
  std::vector<NamedTensor> tensors_;
};

TEST_F(RoundTrip, WhatIsWrittenIsRead) {
  write_pytorch(folder_ / "f", tensors_);
  const WeightsReader reader(folder_ / "f");
  ASSERT_EQ(reader.tensors().size(), tensors_.size());
  for (const NamedTensor& tensor : tensors_) {
    const TensorInfo* read = reader.find(tensor.name);
    ASSERT_NE(read, nullptr) << tensor.name;
    EXPECT_EQ(read->dtype, tensor.dtype);
    EXPECT_EQ(read->shape, tensor.shape);
    std::vector<std::byte> bytes(read->bytes());
    reader.read_bytes(*read, bytes);
    EXPECT_TRUE(std::ranges::equal(bytes, tensor.bytes)) << tensor.name;
    EXPECT_EQ(read->begin % 64, 0u) << tensor.name;
  }
  const std::string bytes = test::read_text(folder_ / "f");
  std::reverse(tensors_.begin(), tensors_.end());
  write_pytorch(folder_ / "f", tensors_);
  EXPECT_EQ(test::read_text(folder_ / "f"), bytes) << "the order of the tensors must not matter";
}

TEST_F(RoundTrip, WhatCouldNotBeReadBackIsNotWritten) {
  const auto refuse = [&](const std::vector<NamedTensor>& tensors, const std::string& message) {
    expect_error(ErrorKind::kInvalidArgument, {message}, [&] { write_pytorch(folder_ / "f", tensors); });
    EXPECT_FALSE(std::filesystem::exists(folder_ / "f"));
  };
  const std::span<const std::byte> one = tensors_[0].bytes.subspan(0, 4);
  refuse({{"", DType::kFloat32, {1}, one}}, "cannot be named");
  refuse({{"\xff", DType::kFloat32, {1}, one}}, "UTF-8");
  refuse({{"a", DType::kFloat32, {1}, one}, {"a", DType::kFloat32, {1}, one}}, "two tensors");
  refuse({{"a", DType::kFloat32, {2}, one}}, "takes 8 bytes, but 4");
  refuse({{"a", DType::kFloat64, {1}, tensors_[0].bytes.subspan(0, 8)}}, "fp64");
}

TEST_F(RoundTrip, NoTruncationAndNoFlippedBitGoesUnseen) {
  write_pytorch(folder_ / "f", {tensors_[0], tensors_[3]});
  const std::string good = test::read_text(folder_ / "f");
  for (size_t length = 0; length < good.size(); ++length) {
    test::write_text(folder_ / "g", good.substr(0, length));
    expect_error(ErrorKind::kCorrupt, {(folder_ / "g").string()}, [&] { WeightsReader reader(folder_ / "g"); });
  }
  const WeightsReader whole(folder_ / "f");
  for (const char* name : {"weight", "long"}) {
    for (uint64_t at = whole.find(name)->begin; at < whole.find(name)->begin + whole.find(name)->bytes(); ++at) {
      test::write_text(folder_ / "g", good);
      test::flip_byte(folder_ / "g", at);
      expect_error(ErrorKind::kCorrupt, {(folder_ / "g").string(), "CRC-32", "archive/data/"},
                   [&] { WeightsReader reader(folder_ / "g"); });
    }
  }
}

struct BadPickle {
  const char* what;
  std::string pickle;
  ErrorKind kind;
  std::vector<std::string> texts;
};

TEST(Pytorch, RefusesEveryPickleThatIsNoStateDict) {
  constexpr ErrorKind kBad = ErrorKind::kCorrupt, kOther = ErrorKind::kInvalidArgument;
  const std::string good = tensor({});
  const std::vector<BadPickle> cases = {
      {"call of os.system",
       "\x80\2"
       "cos\nsystem\n(" +
           text("echo pwned") + "tR.",
       kBad,
       {"byte 2", "os.system", "nothing of the file was executed"}},
      {"call of eval by a tensor's side",
       dict(text("a") + good + text("b") + "c__builtin__\neval\n(" + text("1") + "tR"),
       kBad,
       {"__builtin__.eval"}},
      {"name that begins as an allowed one", dict(text("a") + "ctorch._utils\n_rebuild_tensor_v2.x\n"), kBad, {"_rebuild_tensor_v2.x"}},
      {"INST", "\x80\2(ios\nsystem\n.", kBad, {"byte 3", "opcode INST"}},
      {"NEWOBJ",
       "\x80\2"
       "ccollections\nOrderedDict\n)\x81.",
       kBad,
       {"opcode NEWOBJ"}},
      {"STACK_GLOBAL", "\x80\2" + text("os") + text("system") + "\x93.", kBad, {"opcode STACK_GLOBAL"}},
      {"EXT1", "\x80\2\x82\1.", kBad, {"opcode EXT1"}},
      {"no opcode", "\x80\2\xff.", kBad, {"byte 255"}},
      {"protocol 4", "\x80\4}.", kBad, {"protocol 4", "expected 2"}},
      {"deep marks", "\x80\2" + std::string(100'000, '('), kBad, {"nested deeper than 64"}},
      {"deep lists", "\x80\2" + std::string(100'000, ']') + std::string(99'999, 'a') + ".", kOther, {"holds a list"}},
      {"deep tuples", "\x80\2)" + std::string(500'000, '\x85') + ".", kOther, {"holds a tuple"}},
      {"many values", "\x80\2" + std::string(1'000'001, 'N') + ".", kBad, {"more than 1000000 values"}},
      {"empty", "", kBad, {"needs 1 bytes more, but there are 0"}},
      {"no STOP", "\x80\2}", kBad, {"truncated"}},
      {"text beyond the end", "\x80\2X" + raw(uint32_t{0xffffffff}) + "x", kBad, {"needs 4294967295 bytes more, but there are 1"}},
      {"STOP on nothing", "\x80\2.", kBad, {"STOP with 0 values"}},
      {"STOP in a mark", "\x80\2}(.", kBad, {"1 open marks"}},
      {"memo that was never set", "\x80\2h\5.", kBad, {"refers to the value 5"}},
      {"mark that is not there", "\x80\2}u.", kBad, {"no mark"}},
      {"values below the mark", "\x80\2}(s.", kBad, {"takes 2 values from a stack of 0"}},
      {"REDUCE of nothing", "\x80\2R.", kBad, {"takes 2 values"}},
      {"REDUCE of a text", "\x80\2" + text("os.system") + ")R.", kBad, {"a call of a text"}},
      {"key without value", "\x80\2}(" + text("a") + "u.", kBad, {"cannot add 1 items to a dict"}},
      {"attributes of a list", "\x80\2]}b.", kBad, {"attributes that are a dict for a list"}},
      {"huge integer", dict(text("a") + "\x8a\x09" + std::string(9, '\1')), kBad, {"more than 64 bits"}},
      {"list at the top", "\x80\2].", kOther, {"holds a list", "torch.save(model.state_dict()"}},
      {"a number among the tensors", dict(text("a") + good + text("epoch") + "K\3"), kOther, {"\"epoch\" is an integer", "state_dict"}},
      {"a dict in the dict", dict(text("model") + "}"), kOther, {"\"model\" is a dict"}},
      {"a number as name", dict("K\3" + good), kOther, {"an integer is the key"}},
      {"name twice", dict(text("a") + good + text("a") + good), kBad, {"\"a\" stands twice"}},
      {"a storage called", dict(text("a") + "ctorch\nFloatStorage\n)R"), kBad, {"not what _rebuild_tensor_v2 makes"}},
      {"too few arguments", dict(text("a") + "ctorch._utils\n_rebuild_tensor_v2\n)R"), kBad, {"not what _rebuild_tensor_v2 makes"}},
      {"nine arguments", dict(text("a") + "ctorch._utils\n_rebuild_tensor_v2\n(NNNNNNNNNtR"), kBad, {"9 arguments"}},
      {"no storage", dict(text("a") + "ctorch._utils\n_rebuild_tensor_v2\n(NNNNNNtR"), kBad, {"has no storage"}},
      {"storage of 2 facts", dict(text("a") + "ctorch._utils\n_rebuild_tensor_v2\n(NN\x86QNNNNNtR"), kBad, {"5 facts"}},
      {"parameter of nothing",
       dict(text("a") + "ctorch._utils\n_rebuild_parameter\n(N\x88NtR"),
       kBad,
       {"a parameter of what is no tensor"}},
      {"reaches beyond its storage", dict_of({.offset = 1}), kBad, {"tensor \"a\"", "reaches beyond the 4 elements"}},
      {"stride beyond its storage", dict_of({.stride = {3, 1}}), kBad, {"reaches beyond"}},
      {"offset beyond its storage", dict_of({.offset = 4, .size = {}, .stride = {}}), kBad, {"reaches beyond"}},
      {"expanded", dict_of({.size = {1000, 1000}, .stride = {0, 0}}), kBad, {"has 1000000 numbers, but its storage 4", "contiguous()"}},
      {"too large", dict_of({.size = {2'000'000'000, 2'000'000'000, 2'000'000'000}, .stride = {0, 0, 0}}), kBad, {"too large"}},
      {"too large but for a zero",
       dict_of({.size = {2'000'000'000, 2'000'000'000, 2'000'000'000, 0}, .stride = {0, 0, 0, 0}}),
       kBad,
       {"too large"}},
      {"strides that overflow",
       dict(text("a") + "ctorch._utils\n_rebuild_tensor_v2\n(" + storage("FloatStorage", "0", 4) + integer(0) + tuple({3}) + "\x8a\x08" +
            raw(INT64_MAX) + "\x85\x89NtR"),
       kBad,
       {"reaches beyond"}},
      {"negative size", dict_of({.size = {-2, 2}}), kBad, {"negative"}},
      {"negative stride", dict_of({.stride = {2, -1}}), kBad, {"negative"}},
      {"negative offset", dict_of({.offset = -1}), kBad, {"negative"}},
      {"negative storage", dict_of({.elements = -4}), kBad, {"expected ('storage'"}},
      {"six dimensions", dict_of({.size = {1, 1, 1, 1, 1, 1}, .stride = {1, 1, 1, 1, 1, 1}}), kOther, {"more than 5 dimensions"}},
      {"fewer strides than dimensions", dict_of({.stride = {1}}), kBad, {"as many strides"}},
      {"storage of another size", dict_of({.elements = 5}), kBad, {"archive/data/0 has 16 bytes, expected 5 numbers of fp32"}},
      {"one storage of two classes",
       dict(text("a") + good + text("b") + tensor({.type = "IntStorage"})),
       kBad,
       {"another class or size before"}},
      {"one storage of two sizes",
       dict(text("a") + good + text("b") + tensor({.elements = 3, .size = {1}, .stride = {1}})),
       kBad,
       {"another class or size before"}},
      {"double", dict_of({.type = "DoubleStorage"}), kOther, {"torch.DoubleStorage", "this program reads"}},
  };
  TemporaryFolder folder;
  for (const BadPickle& bad : cases) {
    SCOPED_TRACE(bad.what);
    write_archive(folder / "bad.bin", bad.pickle);
    std::vector<std::string> texts = bad.texts;
    texts.push_back("bad.bin");
    expect_error(bad.kind, texts, [&] { WeightsReader reader(folder / "bad.bin"); });
  }
  write_archive(folder / "good.bin", dict_of({}));
  EXPECT_EQ(WeightsReader(folder / "good.bin").tensors().size(), 1u) << "the cases differ from a good file in one thing each";
}

TEST(Pytorch, RefusesTensorsThatShareAStorageWithoutEnd) {
  std::string items;
  for (int i = 0; i < 2000; ++i)
    items += text(std::to_string(i)) + (i == 0 ? "ctorch._utils\n_rebuild_tensor_v2\nq\1(" : "h\1(") +
             (i == 0 ? storage("ByteStorage", "0", 1 << 20) + "q\2" : "h\2") + integer(0) + tuple({1 << 20}) + tuple({1}) + "\x89NtR";
  TemporaryFolder folder;
  write_archive(folder / "bad.bin", dict(items), std::string(1 << 20, 'x'));
  expect_error(ErrorKind::kCorrupt, {"bad.bin", "16 times"}, [&] { WeightsReader reader(folder / "bad.bin"); });
}

TEST(Pytorch, RefusesArchivesThatTorchDoesNotWrite) {
  TemporaryFolder folder;
  const auto refuse = [&](ErrorKind kind, const std::vector<std::string>& texts) {
    expect_error(kind, texts, [&] { WeightsReader reader(folder / "f"); });
  };
  write_archive(folder / "f", dict_of({}), "");
  refuse(ErrorKind::kCorrupt, {"archive/data/0 has 0 bytes"});
  write_archive(folder / "f", dict(text("a") + "ctorch._utils\n_rebuild_tensor_v2\n(" + storage("FloatStorage", "../0", 4) + integer(0) +
                                   tuple({4}) + tuple({1}) + "\x89NtR"));
  refuse(ErrorKind::kCorrupt, {"archive/data/../0 is missing"});
  write_archive(folder / "f", dict_of({}), std::string(16, '\1'), {{"archive/byteorder", "big"}});
  refuse(ErrorKind::kInvalidArgument, {"big-endian"});
  write_archive(folder / "f", dict_of({}), std::string(16, '\1'), {{"archive/constants.pkl", ""}});
  refuse(ErrorKind::kInvalidArgument, {"TorchScript"});
  write_archive(folder / "f", dict_of({}), std::string(16, '\1'), {{"other/data.pkl", ""}});
  refuse(ErrorKind::kCorrupt, {"archive/data.pkl and other/data.pkl"});
  write_archive(folder / "f", dict_of({}), std::string(16, '\1'), {{"archive/data/0", "again"}});
  refuse(ErrorKind::kCorrupt, {"two entries archive/data/0"});
  write_archive(folder / "f", std::string((16 << 20) + 1, 'N'));
  refuse(ErrorKind::kCorrupt, {"data.pkl has 16777217 bytes, more than"});
}

TEST(Pytorch, TakesNoDamageOfAnOldFileForGranted) {
  TemporaryFolder folder;
  const std::string good = test::read_text(kFixtures / "pytorch_old.bin");
  for (size_t length = 0; length < good.size(); ++length) {
    test::write_text(folder / "f", good.substr(0, length));
    expect_error(ErrorKind::kCorrupt, {(folder / "f").string()}, [&] { WeightsReader reader(folder / "f"); });
  }
  test::write_text(folder / "f", good + "x");
  expect_error(ErrorKind::kCorrupt, {"the storages end at byte"}, [&] { WeightsReader reader(folder / "f"); });
}

TEST(Pytorch, ShardsAreReadAsOne) {
  TemporaryFolder folder;
  write_archive(folder / "pytorch_model-00001-of-00002.bin", dict(text("a") + tensor({})));
  write_archive(folder / "pytorch_model-00002-of-00002.bin", dict(text("b") + tensor({})), std::string(16, '\2'));
  test::write_text(folder / "pytorch_model.bin.index.json",
                   R"({"weight_map":{"a":"pytorch_model-00001-of-00002.bin","b":"pytorch_model-00002-of-00002.bin"}})");
  const WeightsReader reader(folder.path());
  EXPECT_THAT(numbers<uint8_t>(reader, "a"), testing::Each(1));
  EXPECT_THAT(numbers<uint8_t>(reader, "b"), testing::Each(2));
}

}  // namespace mpibert
