#include "data/decompressor.h"

#include <array>
#include <set>
#include <string>

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
  for (const size_t buffer : {size_t{1} << 20, size_t{4096}, size_t{7}})
    EXPECT_TRUE(read_all(folder_ / "any.name", 0, buffer) == text) << buffer;
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
  for (const size_t kept : {whole.size() - 1, whole.size() / 2, size_t{kCompressionBytes}})
    expect_contains(error_of_bytes(whole.substr(0, kept)), {"/f", name, "cut off", "byte"});
  expect_contains(error_of_bytes(whole + "rest"), {"/f", name, "something else", "byte " + std::to_string(whole.size())});
  for (size_t at = 20; at < whole.size(); at += whole.size() / 11) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
    expect_contains(error_of_bytes(flipped), {"/f", name});
  }
}

TEST_P(Formats, LinesCannotBeginInTheMiddle) {
  write_text(folder_ / "f", pack(sample_text(1000)));
  expect_contains(error_of(ErrorKind::kInvalidArgument, [&] { LineReader(folder_ / "f", 9); }),
                  {"/f", "byte", std::string(name_of(GetParam()))});
}

INSTANTIATE_TEST_SUITE_P(Decompressor, Formats, testing::ValuesIn(kFormats),
                         [](const auto& test) { return std::string(name_of(test.param)); });

TEST(Decompressor, PlainTextIsItself) {
  TemporaryFolder folder;
  for (const std::string& text :
       {std::string(), std::string("x"), std::string("BZh9 is no stream, nor is \x1F\x8B here"), sample_text(500'000)}) {
    write_text(folder / "f", text);
    EXPECT_TRUE(read_all(folder / "f") == text);
    if (text.size() > 2) {
      EXPECT_TRUE(read_all(folder / "f", 2) == text.substr(2));
    }
  }
}

namespace {

// The text of the blocks that begin at bytes begin .. end-1 of a bzip2 file; end < 0: to its end.
std::string blocks_of(const std::filesystem::path& path, int64_t begin, int64_t end = -1) {
  Decompressor file(path, begin, true);
  std::string text;
  std::array<char, 5000> bytes{};
  for (size_t got = file.read(bytes); got > 0 && (end < 0 || file.begin_of_last() < end); got = file.read(bytes))
    text.append(bytes.data(), got);
  return text;
}

// How often the magic number of a block stands in the bits.
int64_t block_marks(const std::string& bytes) {
  int64_t marks = 0;
  uint64_t window = 0;
  for (const char byte : bytes)
    for (int bit = 7; bit >= 0; --bit) {
      window = (window << 1 | (static_cast<uint8_t>(byte) >> bit & 1u)) & 0xFFFFFFFFFFFFu;
      marks += window == 0x314159265359u;
    }
  return marks;
}

}  // namespace

// The pieces between any bytes of a file of streams hold the blocks of all streams, each once.
TEST(Decompressor, ReadsBzip2InPiecesOfStreams) {
  TemporaryFolder folder;
  std::string bytes;
  for (int i = 0; i < 5; ++i) bytes += packed(Compression::kBzip2, std::to_string(i)) + std::string(static_cast<size_t>(i % 2), '\0');
  write_text(folder / "f", bytes);
  for (int64_t cut = 1; cut < static_cast<int64_t>(bytes.size()); ++cut) {
    ASSERT_EQ(blocks_of(folder / "f", 0, cut) + blocks_of(folder / "f", cut), "01234") << cut;
    ASSERT_EQ(read_all(folder / "f", cut), blocks_of(folder / "f", cut)) << cut;
  }
}

TEST(Decompressor, ReadsBzip2InPiecesOfOneStream) {
  TemporaryFolder folder;
  const std::string text = sample_text(730'000), bytes = packed(Compression::kBzip2, text);  // blocks of 100 kB
  write_text(folder / "f", bytes);
  ASSERT_EQ(block_marks(bytes), 8);
  EXPECT_TRUE(blocks_of(folder / "f", 0) == text);
  int64_t begin = 0;
  std::string joined;
  std::set<size_t> sizes;
  for (int64_t end = 1; begin < static_cast<int64_t>(bytes.size()); begin = end, end = begin + 1 + begin / 3) {
    const std::string piece = blocks_of(folder / "f", begin, end);
    joined += piece;
    sizes.insert(piece.size());
  }
  EXPECT_TRUE(joined == text);
  EXPECT_GT(sizes.size(), 3u);
}

// The table of the bytes that a block has is in the block as it stands, so a text of the right letters holds the magic number a second
// time.
TEST(Decompressor, IsNotMisledByMagicNumbersInsideBlocks) {
  TemporaryFolder folder;
  const std::string letters = "BCGIOQSTWZ]^acfgiklo";
  std::string text;
  for (size_t i = 0; i < 250'000; ++i) text += letters[(i * i + i / 7) % letters.size()];
  for (const std::string& part : {text, letters + letters}) {
    const std::string bytes = packed(Compression::kBzip2, part);
    write_text(folder / "f", bytes);
    ASSERT_EQ(block_marks(bytes), part.size() > 100 ? 6 : 2) << "of which every second is none";
    for (int64_t cut = 1; cut < 60; ++cut) ASSERT_TRUE(blocks_of(folder / "f", 0, cut) + blocks_of(folder / "f", cut) == part) << cut;
    const auto middle = static_cast<int64_t>(bytes.size() / 2);
    ASSERT_TRUE(blocks_of(folder / "f", 0, middle) + blocks_of(folder / "f", middle) == part);
  }
}

TEST(Decompressor, SaysWhichBlockIsDamaged) {
  TemporaryFolder folder;
  const std::string bytes = packed(Compression::kBzip2, sample_text(350'000));
  const auto error_of_bytes = [&](const std::string& damaged, int64_t begin) {
    write_text(folder / "f", damaged);
    return error_of(ErrorKind::kCorrupt, [&] { blocks_of(folder / "f", begin); });
  };
  std::string flipped = bytes;
  flipped[bytes.size() / 2] = static_cast<char>(flipped[bytes.size() / 2] ^ 1);
  expect_contains(error_of_bytes(flipped, 0), {"/f", "block is damaged", "byte"});
  EXPECT_FALSE(blocks_of(folder / "f", static_cast<int64_t>(bytes.size() * 3 / 4)).empty()) << "a piece behind the damage";
  expect_contains(error_of_bytes(bytes.substr(0, bytes.size() - 1000), 1), {"/f", "block is damaged"});
  expect_contains(error_of_bytes(bytes.substr(0, bytes.size() - 2), 1), {"/f", "cut off"});
  expect_contains(error_of_bytes(bytes + "rest", 1), {"/f", "something else", "byte " + std::to_string(bytes.size())});
}

TEST(Decompressor, SaysWhenAStreamAsksForTooMuch) {
  TemporaryFolder folder;
  write_text(folder / "f", std::string("\x28\xB5\x2F\xFD\x00\xF8", 6) + std::string(100, 'x'));  // a window of 2^41 bytes
  expect_contains(error_of(ErrorKind::kCorrupt, [&] { read_all(folder / "f"); }), {"/f", "zstd", "memory"});
}

}  // namespace mpibert
