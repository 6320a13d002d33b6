#include "mpibert/data/token_shard.h"

#include "data/hdf5.h"
#include "mpibert/base/sha256.h"
#include "tests/unit/data/data_support.h"

namespace mpibert {

using namespace test;

namespace {

// Document d has 1 + d % 5 sentences of 1 + (d + s) % 7 tokens, which say where they are.
TokenizedDocument document(int64_t d, int64_t vocabulary_size) {
  TokenizedDocument made;
  for (int64_t s = 0; s < 1 + d % 5; ++s) {
    for (int64_t t = 0; t < 1 + (d + s) % 7; ++t) made.ids.push_back(static_cast<int32_t>((d * 131 + s * 17 + t) % vocabulary_size));
    made.offsets.push_back(static_cast<int64_t>(made.ids.size()));
  }
  return made;
}

ShardEntry write_documents(const std::filesystem::path& path, int64_t count, int64_t vocabulary_size = kVocabularySize) {
  TokenShardWriter writer(path, {.vocabulary_size = vocabulary_size, .vocabulary_sha256 = "abc"});
  for (int64_t d = 0; d < count; ++d) writer.add(document(d, vocabulary_size));
  return writer.commit();
}

void read_all(const std::filesystem::path& path) {
  const TokenShard shard(path);
  std::vector<int32_t> ids;
  shard.append_ids({0, shard.tokens()}, ids);
  shard.document_offsets({0, shard.documents()});
  shard.sentence_offsets({0, shard.sentences()});
}

}  // namespace

TEST(TokenShard, GivesBackWhatWasWritten) {
  TemporaryFolder folder;
  for (const int64_t vocabulary_size : {1000, 65536, 65537, 200000}) {
    const ShardEntry entry = write_documents(folder / "a.h5", 30000, vocabulary_size);
    const TokenShard shard(folder / "a.h5");
    ASSERT_EQ(shard.documents(), 30000);
    EXPECT_EQ(entry.count, 30000);
    EXPECT_EQ(entry.tokens, shard.tokens());
    EXPECT_EQ(entry.longest, 5 * 5) << "five sentences of 3 to 7 tokens";
    EXPECT_EQ(entry.sha256, sha256_hex_of_file(folder / "a.h5"));
    EXPECT_EQ(shard.options().vocabulary_size, vocabulary_size);
    for (const int64_t d : {int64_t{0}, int64_t{1}, int64_t{12345}, int64_t{29999}}) {
      const TokenizedDocument expected = document(d, vocabulary_size);
      const std::vector<uint32_t> sentences = shard.document_offsets({d, d + 1});
      const std::vector<uint32_t> tokens = shard.sentence_offsets({sentences[0], sentences[1]});
      ASSERT_EQ(static_cast<int64_t>(tokens.size()), expected.sentences() + 1);
      for (size_t i = 0; i < tokens.size(); ++i) EXPECT_EQ(tokens[i] - tokens[0], expected.offsets[i]);
      std::vector<int32_t> ids{-1};
      shard.append_ids({tokens.front(), tokens.back()}, ids);
      EXPECT_EQ(ids.front(), -1) << "appends";
      EXPECT_EQ(std::vector<int32_t>(ids.begin() + 1, ids.end()), expected.ids);
    }
    std::vector<int32_t> none;
    shard.append_ids({5, 5}, none);
    EXPECT_TRUE(none.empty());
  }
  EXPECT_EQ(hdf5::open_objects(), 0);
}

TEST(TokenShard, BytesAreAFunctionOfTheDocuments) {
  TemporaryFolder folder;
  EXPECT_EQ(write_documents(folder / "a.h5", 500).sha256, write_documents(folder / "b.h5", 500).sha256);
  EXPECT_FALSE(std::filesystem::exists(folder / "a.h5.tmp"));
}

TEST(TokenShard, RefusesWhatIsNoDocument) {
  TemporaryFolder folder;
  TokenShardWriter writer(folder / "a.h5", {.vocabulary_size = 10, .vocabulary_sha256 = "abc"});
  const auto refused = [&](const TokenizedDocument& wrong) { return error_of(ErrorKind::kInvalidArgument, [&] { writer.add(wrong); }); };
  expect_contains(refused({.ids = {}, .offsets = {0}}), {"document 0", "0 sentences"});
  expect_contains(refused({.ids = {1}, .offsets = {0, 1, 1}}), {"document 0"});
  expect_contains(refused({.ids = {1, 2}, .offsets = {0, 1}}), {"document 0"});
  expect_contains(refused({.ids = {10}, .offsets = {0, 1}}), {"vocabulary of 10"});
  expect_contains(refused({.ids = {-1}, .offsets = {0, 1}}), {"vocabulary of 10"});
  EXPECT_EQ(writer.documents(), 0);
}

// Every byte of the three datasets is under a checksum, and a file that is cut off anywhere is refused.
TEST(TokenShard, DamageIsNoticed) {
  TemporaryFolder folder;
  write_documents(folder / "a.h5", 4000);
  const std::string whole = read_text(folder / "a.h5");
  const hdf5::File file = hdf5::File::open(folder / "a.h5");
  for (const char* name : {"document_offsets", "sentence_offsets", "input_ids"}) {
    const hdf5::Extent extent = file.locate(name);
    for (int64_t i = 0; i < 40; ++i) {
      std::string damaged = whole;
      char& byte = damaged[static_cast<size_t>(extent.offset + (extent.bytes() - 1) * i / 39)];
      byte = static_cast<char>(byte ^ (1 << i % 8));
      write_text(folder / "b.h5", damaged);
      expect_contains(error_of(ErrorKind::kCorrupt, [&] { read_all(folder / "b.h5"); }),
                      {"b.h5", name, "CRC-32C", "prepare the data again"});
    }
  }
  for (size_t bytes = 0; bytes < whole.size(); bytes += 1 + whole.size() / 50) {
    write_text(folder / "b.h5", whole.substr(0, bytes));
    expect_contains(error_of(ErrorKind::kCorrupt, [&] { read_all(folder / "b.h5"); }), {"b.h5"});
  }
}

TEST(TokenShard, OtherFilesAreRefused) {
  TemporaryFolder folder;
  write_shard(folder / "samples.h5", closed_form_samples(3), class_labels());
  expect_contains(error_of(ErrorKind::kCorrupt, [&] { TokenShard(folder / "samples.h5"); }), {"samples.h5", "mpibert-tokens"});
  expect_contains(error_of(ErrorKind::kNotFound, [&] { TokenShard(folder / "none.h5"); }), {"none.h5"});
  write_text(folder / "text", "no HDF5");
  expect_contains(error_of(ErrorKind::kCorrupt, [&] { TokenShard(folder / "text"); }), {"text"});
}

}  // namespace mpibert
