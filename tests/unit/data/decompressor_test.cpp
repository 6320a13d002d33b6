#include "data/decompressor.h"

#include <algorithm>

#include "data/line_reader.h"
#include "tests/unit/data/data_support.h"
#include "tests/unit/data/packing.h"

namespace mpibert {

using namespace test;

namespace {

constexpr Compression kFormats[] = {Compression::kGzip, Compression::kBzip2, Compression::kZstd, Compression::kXz};

std::string sample_text(size_t bytes) {
  std::string text;
  for (size_t i = 0; text.size() < bytes; ++i) text += std::to_string(i * 2654435761u % 1000003) + (i % 7 == 0 ? "\n" : " ");
  return text;
}

std::string read_all(const std::filesystem::path& path, int64_t begin = 0, size_t buffer_bytes = 4096) {
  Decompressor file(path, begin);
  std::string text, buffer(buffer_bytes, '\0');
  for (size_t got = 0; (got = file.read(buffer)) > 0;) text.append(buffer, 0, got);
  return text;
}

class Formats : public testing::TestWithParam<Compression> {
 protected:
  std::string pack(const std::string& text) const { return packed(GetParam(), text); }
  TemporaryFolder folder_;
};

}  // namespace

TEST_P(Formats, AreRecognisedByTheirFirstBytesAndUnpacked) {
  const std::string text = sample_text(700'000);
  write_text(folder_ / "any.name", pack(text));
  EXPECT_EQ(compression_of(first_bytes_of(folder_ / "any.name", kCompressionBytes)), GetParam());
  for (const size_t buffer : {size_t{1} << 20, size_t{4096}, size_t{7}}) EXPECT_TRUE(read_all(folder_ / "any.name", 0, buffer) == text) << buffer;
}

TEST_P(Formats, StreamsBehindOneAnotherAreOneText) {
  const std::string a = sample_text(300'000), b = "second\n", c = sample_text(1000);
  write_text(folder_ / "f", pack(a) + pack("") + pack(b) + std::string(8, '\0') + pack(c) + std::string(4, '\0'));
  EXPECT_TRUE(read_all(folder_ / "f") == a + b + c);
  LineReader lines(folder_ / "f");
  std::string joined;
  for (std::string line; lines.next(line);) joined += line + "\n";
  EXPECT_TRUE(joined == a + b + c + (c.back() == '\n' ? "" : "\n"));
}

TEST_P(Formats, DamageIsOneErrorWithFileAndPlace) {
  const std::string whole = pack(sample_text(200'000));
  const std::string name(name_of(GetParam()));
  const auto error_of_bytes = [&](const std::string& bytes) {
    write_text(folder_ / "f", bytes);
    return error_of(ErrorKind::kCorrupt, [&] { read_all(folder_ / "f"); });
  };
  for (const size_t kept : {whole.size() - 1, whole.size() / 2, size_t{kCompressionBytes}}) expect_contains(error_of_bytes(whole.substr(0, kept)), {"/f", name, "cut off", "byte"});
  expect_contains(error_of_bytes(whole + "rest"), {"/f", name, "something else", "byte " + std::to_string(whole.size())});
  for (size_t at = 20; at < whole.size(); at += whole.size() / 11) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
    expect_contains(error_of_bytes(flipped), {"/f", name});
  }
}

TEST_P(Formats, LinesCannotBeginInTheMiddle) {
  write_text(folder_ / "f", pack(sample_text(1000)));
  expect_contains(error_of(ErrorKind::kInvalidArgument, [&] { LineReader(folder_ / "f", 9); }), {"/f", "byte", std::string(name_of(GetParam()))});
}

INSTANTIATE_TEST_SUITE_P(Decompressor, Formats, testing::ValuesIn(kFormats), [](const auto& test) { return std::string(name_of(test.param)); });

TEST(Decompressor, PlainTextIsItself) {
  TemporaryFolder folder;
  for (const std::string& text : {std::string(), std::string("x"), std::string("BZh9 is no stream, nor is \x1F\x8B here"), sample_text(500'000)}) {
    write_text(folder / "f", text);
    EXPECT_TRUE(read_all(folder / "f") == text);
    if (text.size() > 2) {
      EXPECT_TRUE(read_all(folder / "f", 2) == text.substr(2));
    }
  }
}

// The pieces between any bytes of a file of many streams hold its streams, each once.
TEST(Decompressor, BeginsWithTheNextStreamOfBzip2) {
  TemporaryFolder folder;
  std::string bytes;
  std::vector<int64_t> begins;
  for (int i = 0; i < 5; ++i) {
    begins.push_back(static_cast<int64_t>(bytes.size()));
    bytes += packed(Compression::kBzip2, std::to_string(i));
  }
  write_text(folder / "f", bytes);
  for (int64_t begin = 1; begin < static_cast<int64_t>(bytes.size()); ++begin) {
    const auto first = std::lower_bound(begins.begin(), begins.end(), begin);
    std::string expected;
    for (auto i = first; i != begins.end(); ++i) expected += std::to_string(i - begins.begin());
    ASSERT_EQ(read_all(folder / "f", begin), expected) << begin;
    ASSERT_EQ(find_bzip2_stream(folder / "f", begin, 1 << 20), first == begins.end() ? -1 : *first);
  }
}

TEST(Decompressor, SaysWhenAStreamAsksForTooMuch) {
  TemporaryFolder folder;
  write_text(folder / "f", std::string("\x28\xB5\x2F\xFD\x00\xF8", 6) + std::string(100, 'x'));  // a window of 2^41 bytes
  expect_contains(error_of(ErrorKind::kCorrupt, [&] { read_all(folder / "f"); }), {"/f", "zstd", "memory"});
}

}  // namespace mpibert
