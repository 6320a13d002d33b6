// Text as a store of tokens, as a user trains from it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/files.h"
#include "tests/support/runs.h"

namespace mpibert::test {

using testing::HasSubstr;

namespace {

std::vector<std::string> prepare_as(const std::string& storage, const std::filesystem::path& output) {
  std::vector<std::string> words = prepare_sample(output);
  words.insert(words.end(), {"--storage", storage});
  return words;
}

}  // namespace

// 18 steps of 32 are an epoch of the sample; masks and pairs have the same keys.
TEST(TokenStore, TrainsAsItsStoredSamplesDo) {
  const TemporaryFolder folder;
  expect_code(0, prepare_as("tokens", folder / "tokens"), {.ranks = 2});
  expect_code(0, prepare_as("samples", folder / "samples"));
  expect_code(0, pretrain_sample(folder / "tokens", folder / "from-tokens", 10, {"--slots", "4"}), {.ranks = 3});
  expect_code(0, pretrain_sample(folder / "samples", folder / "from-samples", 10, {"--slots", "4"}));
  EXPECT_EQ(digest(folder / "from-tokens"), digest(folder / "from-samples"));
}

// One store, two phases; stored samples have the length they were made with.
TEST(TokenStore, GivesSamplesOfAnyLength) {
  const TemporaryFolder folder;
  expect_code(0, prepare_as("tokens", folder / "tokens"));
  expect_code(0, pretrain_sample(folder / "tokens", folder / "short", 4, {"--max-seq-length", "32"}));
  expect_code(0, pretrain_sample(folder / "tokens", folder / "long", 4));
  EXPECT_NE(digest(folder / "short"), digest(folder / "long"));
  EXPECT_THAT(expect_code(78, pretrain_sample(folder / "tokens", folder / "short", 6)).err, HasSubstr("another --output-dir"));
  expect_code(0, prepare_as("samples", folder / "samples"));
  EXPECT_THAT(expect_code(78, pretrain_sample(folder / "samples", folder / "other", 4, {"--max-seq-length", "32"})).err,
              testing::AllOf(HasSubstr("samples of --max-seq-length 64"), HasSubstr("now it is 32")));
}

TEST(TokenStore, IsCheckedByOneCommand) {
  const TemporaryFolder folder;
  expect_code(0, prepare_as("tokens", folder / "tokens"));
  EXPECT_THAT(expect_code(0, {"prepare", "--check", (folder / "tokens").string()}, {.ranks = 2}).out, HasSubstr("\"documents\":220"));
  const std::filesystem::path shard = folder / "tokens" / "train-00000-000.h5";
  std::string bytes = read_text(shard);
  bytes[bytes.size() / 2] ^= 1;
  write_text(shard, bytes);
  EXPECT_THAT(expect_code(65, {"prepare", "--check", (folder / "tokens").string()}).err, HasSubstr("train-00000-000.h5"));
}

}  // namespace mpibert::test
