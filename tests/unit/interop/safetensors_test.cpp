#include "mpibert/interop/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "interop/safetensors_header.h"
#include "mpibert/base/error.h"
#include "mpibert/interop/weights_reader.h"
#include "tests/support/files.h"
#include "tests/unit/interop/expect_error.h"

namespace mpibert {

using test::expect_error;
using test::TemporaryFolder;

namespace {

const std::filesystem::path kLibraryFile = std::filesystem::path(MPIBERT_SOURCE_DIR) / "tests/unit/interop/fixtures/library.safetensors";

template <class T>
std::string raw(std::initializer_list<T> values) {
  return std::string(reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(T));
}

// The tensors of tests/golden/generate/safetensors_fixture.py.
struct Sample {
  std::string name;
  DType dtype;
  Shape shape;
  std::string bytes;
};
std::vector<Sample> samples() {
  return {{"weight", DType::kFloat32, {2, 3}, raw({0.0f, 0.25f, 0.5f, 0.75f, 1.0f, 1.25f})},
          {"bias", DType::kFloat32, {3}, raw({-1.5f, 0.0f, 3.25f})},
          {"half", DType::kFloat16, {4}, raw<uint16_t>({0x3c00, 0xc000, 0x7bff, 0x0001})},
          {"brain", DType::kBFloat16, {2}, raw<uint16_t>({bfloat16(1.0f).bits, bfloat16(-3.0e38f).bits})},
          {"position_ids", DType::kInt64, {1, 4}, raw<int64_t>({0, 1, 2, 3})},
          {"count", DType::kInt32, {}, raw<int32_t>({7})},
          {"bytes", DType::kUInt8, {3}, raw<uint8_t>({0, 255, 3})},
          {"empty", DType::kFloat32, {0, 5}, ""},
          {"odd \"name\"\n\xc3\xbc", DType::kFloat32, {1}, raw({2.5f})}};
}

std::vector<NamedTensor> views(const std::vector<Sample>& samples) {
  std::vector<NamedTensor> tensors;
  for (const Sample& sample : samples) tensors.push_back({sample.name, sample.dtype, sample.shape, std::as_bytes(std::span(sample.bytes))});
  return tensors;
}

std::string file_with_header(const std::string& json, size_t data_bytes) {
  const uint64_t size = json.size();
  return std::string(reinterpret_cast<const char*>(&size), 8) + json + std::string(data_bytes, 'x');
}

}  // namespace

TEST(Safetensors, WritesTheBytesOfTheLibrary) {
  TemporaryFolder folder;
  std::vector<Sample> shuffled = samples();
  std::shuffle(shuffled.begin(), shuffled.end(), std::minstd_rand(3));
  write_safetensors(folder / "ours", views(shuffled));
  EXPECT_EQ(test::read_text(folder / "ours"), test::read_text(kLibraryFile));
}

TEST(Safetensors, ReadsWhatTheLibraryWrote) {
  const WeightsReader reader(kLibraryFile);
  EXPECT_EQ(reader.metadata(), (std::map<std::string, std::string>{{"format", "pt"}}));
  ASSERT_EQ(reader.tensors().size(), samples().size());
  for (const Sample& sample : samples()) {
    const TensorInfo* tensor = reader.find(sample.name);
    ASSERT_NE(tensor, nullptr) << sample.name;
    EXPECT_EQ(tensor->dtype, sample.dtype);
    EXPECT_EQ(tensor->shape, sample.shape);
    std::string bytes(sample.bytes.size(), '\0');
    reader.read_bytes(*tensor, std::as_writable_bytes(std::span(bytes)));
    EXPECT_EQ(bytes, sample.bytes) << sample.name;
  }
  EXPECT_EQ(reader.find("weigh"), nullptr);
}

TEST(Safetensors, WidensNarrowNumbersExactly) {
  const WeightsReader reader(kLibraryFile);
  EXPECT_THAT(reader.read_floats(*reader.find("half")), testing::ElementsAre(1.0f, -2.0f, 65504.0f, 0x1p-24f));
  EXPECT_THAT(reader.read_floats(*reader.find("brain")), testing::ElementsAre(1.0f, float(bfloat16(-3.0e38f))));
  expect_error(ErrorKind::kCorrupt, {"library.safetensors", "position_ids", "int64"},
               [&] { reader.read_floats(*reader.find("position_ids")); });
  TemporaryFolder folder;
  const std::string halves = raw<uint16_t>({0x7c00, 0xfc00, 0x7e01, 0x8000, 0x03ff, 0x0400});
  write_safetensors(folder / "h", {{"h", DType::kFloat16, {6}, std::as_bytes(std::span(halves))}});
  const WeightsReader special(folder / "h");
  const std::vector<float> values = special.read_floats(*special.find("h"));
  EXPECT_EQ(values[0], INFINITY);
  EXPECT_EQ(values[1], -INFINITY);
  EXPECT_TRUE(std::isnan(values[2]));
  EXPECT_TRUE(values[3] == 0 && std::signbit(values[3]));
  EXPECT_EQ(values[4], 1023 * 0x1p-24f);
  EXPECT_EQ(values[5], 0x1p-14f);
}

TEST(Safetensors, RefusesToWriteWhatCouldNotBeReadBack) {
  const ByteSink nowhere = [](std::span<const std::byte>) {};
  const std::string four(4, '\0');
  const auto bytes = std::as_bytes(std::span(four));
  expect_error(ErrorKind::kInvalidArgument, {"\"\""}, [&] { write_safetensors(nowhere, {{"", DType::kFloat32, {1}, bytes}}); });
  expect_error(ErrorKind::kInvalidArgument, {"__metadata__"}, [&] {
    write_safetensors(nowhere, {{"__metadata__", DType::kFloat32, {1}, bytes}});
  });
  expect_error(ErrorKind::kInvalidArgument, {"two tensors", "a"}, [&] {
    write_safetensors(nowhere, {{"a", DType::kFloat32, {1}, bytes}, {"a", DType::kInt32, {1}, bytes}});
  });
  expect_error(ErrorKind::kInvalidArgument, {"8 bytes", "4 are given"}, [&] {
    write_safetensors(nowhere, {{"a", DType::kFloat32, {2}, bytes}});
  });
  expect_error(ErrorKind::kInvalidArgument, {"UTF-8"}, [&] { write_safetensors(nowhere, {{"\xff", DType::kFloat32, {1}, bytes}}); });
}

struct BadHeader {
  const char* what;
  std::string json;
  size_t data_bytes;
  ErrorKind kind;
  std::vector<std::string> texts;
};

std::string tensor_json(const std::string& name, const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
}

TEST(Safetensors, RefusesEveryKindOfBadHeader) {
  const auto one = [](const char* dtype, const char* shape, const char* offsets) {
    return "{" + tensor_json("a", dtype, shape, offsets) + "}";
  };
  const std::string good = tensor_json("a", "F32", "[1]", "[0,4]");
  constexpr ErrorKind kBad = ErrorKind::kCorrupt;
  const std::vector<BadHeader> cases = {
      {"empty", "", 0, kBad, {"'{'"}},
      {"space first", " {}", 0, kBad, {"'{'"}},
      {"array", "[]", 0, kBad, {"'{'"}},
      {"not closed", "{", 0, kBad, {"not JSON"}},
      {"rest after it", "{} {}", 0, kBad, {"not JSON"}},
      {"not UTF-8", "{\"\xff\":{}}", 0, kBad, {"not JSON"}},
      {"tensor is a number", "{\"a\":1}", 0, kBad, {"a number", "\"a\""}},
      {"tensor is null", "{\"a\":null}", 0, kBad, {"null"}},
      {"no members", "{\"a\":{}}", 0, kBad, {"tensor \"a\"", "missing"}},
      {"no offsets", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, kBad, {"missing"}},
      {"one offset", one("F32", "[1]", "[4]"), 4, kBad, {"1 numbers, not 2"}},
      {"three offsets", one("F32", "[1]", "[0,4,8]"), 4, kBad, {"more than 2"}},
      {"negative dimension", one("F32", "[-1]", "[0,4]"), 4, kBad, {"negative"}},
      {"fraction", one("F32", "[1.0]", "[0,4]"), 4, kBad, {"no 64-bit count"}},
      {"huge dimension", one("F32", "[18446744073709551615]", "[0,4]"), 4, kBad, {"too large"}},
      {"beyond 64 bits", one("F32", "[18446744073709551616]", "[0,4]"), 4, kBad, {"no 64-bit count"}},
      {"product overflows", one("F32", "[4611686018427387904,4]", "[0,0]"), 0, kBad, {"too large"}},
      {"product overflows before a zero", one("F32", "[4611686018427387904,4,0]", "[0,0]"), 0, kBad, {"too large"}},
      {"nested shape", one("F32", "[[1]]", "[0,4]"), 4, kBad, {"an array"}},
      {"shape is a text", one("F32", "\"1\"", "[0,4]"), 4, kBad, {"a string"}},
      {"dtype is a number", "{\"a\":{\"dtype\":1}}", 0, kBad, {"a number", "dtype"}},
      {"unknown dtype", one("F31", "[1]", "[0,4]"), 4, kBad, {"F31"}},
      {"dtype not read here", one("F64", "[1]", "[0,8]"), 8, ErrorKind::kInvalidArgument, {"F64", "F32, BF16"}},
      {"six dimensions", one("F32", "[1,1,1,1,1,1]", "[0,4]"), 4, ErrorKind::kInvalidArgument, {"5 dimensions"}},
      {"shape and size disagree", one("F32", "[2]", "[0,4]"), 4, kBad, {"F32 [2] takes 8 bytes", "[0, 4]"}},
      {"scalar of no bytes", one("F32", "[]", "[0,0]"), 0, kBad, {"takes 4 bytes"}},
      {"end before begin", one("F32", "[1]", "[4,0]"), 4, kBad, {"[4, 0]"}},
      {"gap at the start", one("F32", "[1]", "[4,8]"), 8, kBad, {"gap", "byte 4", "expected 0"}},
      {"gap", "{" + good + "," + tensor_json("b", "F32", "[1]", "[8,12]") + "}", 12, kBad, {"\"b\"", "gap"}},
      {"overlap", "{" + good + "," + tensor_json("b", "F32", "[1]", "[2,6]") + "}", 6, kBad, {"\"b\"", "overlap"}},
      {"the same place", "{" + good + "," + tensor_json("b", "F32", "[1]", "[0,4]") + "}", 4, kBad, {"overlap"}},
      {"tail", "{" + good + "}", 5, kBad, {"byte 4", "has 5", "tail"}},
      {"truncated", "{" + good + "}", 3, kBad, {"byte 4", "has 3", "truncated"}},
      {"data without tensors", "{}", 1, kBad, {"tail"}},
      {"tensor twice", "{" + good + "," + tensor_json("a", "F32", "[0]", "[4,4]") + "}", 4, kBad, {"\"a\" stands twice"}},
      {"dtype twice",
       "{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
       4,
       kBad,
       {"\"dtype\" stands twice"}},
      {"unknown member", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}}", 4, kBad, {"unknown key \"x\""}},
      {"metadata twice", "{\"__metadata__\":{},\"__metadata__\":{}}", 0, kBad, {"__metadata__ stands twice"}},
      {"metadata key twice", "{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0, kBad, {"\"k\" stands twice"}},
      {"metadata of numbers", "{\"__metadata__\":{\"k\":1}}", 0, kBad, {"a number"}},
      {"metadata nested", "{\"__metadata__\":{\"k\":{}}}", 0, kBad, {"an object"}},
      {"deep", "{\"a\":" + std::string(1'000'000, '['), 0, kBad, {"an array"}},
  };
  TemporaryFolder folder;
  for (const BadHeader& bad : cases) {
    SCOPED_TRACE(bad.what);
    test::write_text(folder / "bad.safetensors", file_with_header(bad.json, bad.data_bytes));
    std::vector<std::string> texts = bad.texts;
    texts.push_back("bad.safetensors");
    expect_error(bad.kind, texts, [&] { WeightsReader reader(folder / "bad.safetensors"); });
  }
}

TEST(Safetensors, RefusesLiesAboutTheHeadersSize) {
  TemporaryFolder folder;
  const auto expect_corrupt = [&](const std::string& bytes, const std::string& text) {
    test::write_text(folder / "f", bytes);
    expect_error(ErrorKind::kCorrupt, {(folder / "f").string(), text}, [&] { WeightsReader reader(folder / "f"); });
  };
  expect_corrupt("", "0 bytes");
  expect_corrupt("1234567", "7 bytes");
  expect_corrupt(std::string("\x0a\0\0\0\0\0\0\0{}", 10), "claims 10 bytes, but the file has 10");
  expect_corrupt(std::string(8, '\xff') + "{}", "more than the 100000000");
  expect_corrupt(std::string("\x01\xe1\xf5\x05\0\0\0\0{}", 10), "claims 100000001 bytes, more than");
  expect_error(ErrorKind::kCorrupt, {"regular file"}, [&] { WeightsReader reader("/dev/zero"); });
  expect_error(ErrorKind::kNotFound, {"absent"}, [&] { WeightsReader reader(folder / "absent"); });
}

// A damaged file is refused, or it is a valid file of other names or numbers: its tensors still cover it and can all be read.
void expect_refused_or_whole(const std::filesystem::path& path) {
  try {
    const WeightsReader reader(path);
    uint64_t bytes = 0;
    for (const TensorInfo& tensor : reader.tensors()) {
      std::vector<std::byte> out(tensor.bytes());
      reader.read_bytes(tensor, out);
      ASSERT_EQ(static_cast<size_t>(tensor.shape.size()) * bytes_of(tensor.dtype), out.size());
      bytes += out.size();
    }
    ASSERT_LT(bytes, std::filesystem::file_size(path));
  } catch (const Error& error) {
    ASSERT_TRUE(error.kind() == ErrorKind::kCorrupt || error.kind() == ErrorKind::kInvalidArgument) << error.what();
    ASSERT_THAT(error.what(), testing::HasSubstr(path.string()));
  }
}

TEST(Safetensors, TakesNoDamageForGranted) {
  TemporaryFolder folder;
  const std::string good = test::read_text(kLibraryFile);
  const size_t header_end = good.size() - 91;  // bytes of the numbers of samples()
  std::minstd_rand random(7);
  const auto visit = [&](const std::string& bytes) {
    test::write_text(folder / "f", bytes);
    ASSERT_NO_FATAL_FAILURE(expect_refused_or_whole(folder / "f"));
  };
  for (size_t length = 0; length < good.size(); ++length) {
    test::write_text(folder / "f", good.substr(0, length));
    expect_error(ErrorKind::kCorrupt, {}, [&] { WeightsReader reader(folder / "f"); });
  }
  for (size_t at = 0; at < header_end; ++at) {
    for (const int bit : {0, 1, 2, 3, 4, 5, 6, 7}) {
      std::string bytes = good;
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit));
      ASSERT_NO_FATAL_FAILURE(visit(bytes)) << "byte " << at << " bit " << bit;
    }
  }
  constexpr std::string_view kTokens[] = {"{",   "}",    "[",       "]",       ",",    ":", "\"", "0", "-", "9999999999999999999",
                                          "1e9", "null", "\\u0000", "\"F32\"", "[0,0]"};
  for (int i = 0; i < 4000; ++i) {  // tokens of JSON put in, pieces taken out and doubled, the size made to agree
    std::string json = good.substr(8, header_end - 8);
    for (int edits = 1 + static_cast<int>(random() % 3); edits > 0; --edits) {
      const size_t at = random() % json.size(), length = std::min<size_t>(random() % 12, json.size() - at);
      switch (random() % 3) {
        case 0:
          json.replace(at, length % 3, kTokens[random() % std::size(kTokens)]);
          break;
        case 1:
          json.erase(at, length);
          break;
        default:
          json.insert(at, json.substr(random() % json.size(), length));
          break;
      }
    }
    const uint64_t size = json.size();
    std::string bytes = good;
    bytes.replace(8, header_end - 8, json);
    std::memcpy(bytes.data(), &size, 8);
    ASSERT_NO_FATAL_FAILURE(visit(bytes)) << json;
  }
}

TEST(Safetensors, AFileCutWhileItIsReadIsAnErrorAndNotASignal) {
  TemporaryFolder folder;
  std::filesystem::copy(kLibraryFile, folder / "f");
  const WeightsReader reader(folder / "f");
  test::truncate_to(folder / "f", 100);
  expect_error(ErrorKind::kCorrupt, {"shorter"}, [&] { reader.read_floats(*reader.find("weight")); });
}

class Sharded : public testing::Test {
 protected:
  void SetUp() override {
    const std::vector<Sample> all = samples();
    const std::vector<NamedTensor> tensors = views(all);
    write_safetensors(folder_ / "model-00001-of-00002.safetensors", {tensors[0], tensors[2]});
    write_safetensors(folder_ / "model-00002-of-00002.safetensors", {tensors[1]});
    write_index(R"({"metadata":{"total_size":44},"weight_map":{"weight":"model-00001-of-00002.safetensors",
                    "half":"model-00001-of-00002.safetensors","bias":"model-00002-of-00002.safetensors"}})");
  }
  void write_index(const std::string& json) { test::write_text(folder_ / "model.safetensors.index.json", json); }
  void expect_corrupt(const std::string& json, const std::vector<std::string>& texts) {
    write_index(json);
    expect_error(ErrorKind::kCorrupt, texts, [&] { WeightsReader reader(folder_.path()); });
  }
  TemporaryFolder folder_;
};

TEST_F(Sharded, IsReadAsOne) {
  const WeightsReader reader(folder_.path());
  ASSERT_EQ(reader.tensors().size(), 3u);
  EXPECT_THAT(reader.read_floats(*reader.find("bias")), testing::ElementsAre(-1.5f, 0.0f, 3.25f));
  EXPECT_EQ(reader.read_floats(*reader.find("weight"))[5], 1.25f);
  EXPECT_EQ(reader.files().size(), 2u);
}

TEST_F(Sharded, RefusesAnIndexThatDisagreesWithItsFiles) {
  const std::string first = "\"model-00001-of-00002.safetensors\"", second = "\"model-00002-of-00002.safetensors\"";
  expect_corrupt("{\"weight_map\":{\"weight\":" + first + ",\"bias\":" + second + "}}",
                 {"\"half\" is not in model.safetensors.index.json"});
  expect_corrupt("{\"weight_map\":{\"weight\":" + first + ",\"half\":" + first + ",\"bias\":" + second + ",\"more\":" + second + "}}",
                 {"\"more\" is not in"});
  expect_corrupt("{\"weight_map\":{\"weight\":" + second + ",\"half\":" + first + ",\"bias\":" + second + "}}",
                 {"\"weight\" is in", "not in model-00002"});
  expect_corrupt("{\"weight_map\":{\"weight\":\"../x.safetensors\"}}", {"plain file name"});
  expect_corrupt("{\"weight_map\":{}}", {"weight_map"});
  expect_corrupt("{}", {"\"weight_map\" is missing"});
  expect_corrupt("{\"weight_map\":{\"a\":" + first + ",\"a\":" + first + "}}", {"\"a\" stands twice"});
  expect_corrupt(std::string(100'000, '['), {"nested deeper than 64"});
  write_index("{\"weight_map\":{\"weight\":\"absent.safetensors\"}}");
  expect_error(ErrorKind::kNotFound, {"absent.safetensors"}, [&] { WeightsReader reader(folder_.path()); });
}

TEST(ModelFolderOfAnotherFormat, SaysWhatItHoldsAndHowToConvertIt) {
  TemporaryFolder folder;
  expect_error(ErrorKind::kNotFound, {"holds none of model.safetensors, pytorch_model.bin"}, [&] { WeightsReader reader(folder.path()); });
  test::write_text(folder / "tf_model.h5", "x");
  expect_error(ErrorKind::kInvalidArgument, {"tf_model.h5", "convert it with transformers"}, [&] { WeightsReader reader(folder.path()); });
}

}  // namespace mpibert
