// A vocabulary from text to a tokenizer: the same files for any ranks, and files that are what they say.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "mpibert/text/tokenizer.h"
#include "tests/support/files.h"
#include "tests/support/runs.h"

namespace mpibert::test {

namespace {

using testing::HasSubstr;

const std::vector<std::string> kFiles = {"vocab.txt", "tokenizer.json", "tokenizer_config.json"};

std::vector<std::string> vocab(const std::filesystem::path& output, const std::vector<std::string>& more = {}) {
  std::vector<std::string> words = {
      "vocab",        "--input", (sample() / "corpus.txt").string(), (sample() / "wiki").string(), "--output", output.string(),
      "--vocab-size", "600"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

}  // namespace

TEST(Vocab, IsTheSameForAnyRanksAndThreads) {
  const TemporaryFolder folder;
  const Finished first = expect_code(0, vocab(folder / "1"));
  EXPECT_GT(number_in(first.out, "tokens"), 300);
  for (const auto& [ranks, threads] : {std::pair{1, 2}, {2, 1}, {3, 1}}) {
    const std::filesystem::path other = folder / (std::to_string(ranks) + "x" + std::to_string(threads));
    expect_code(0, vocab(other), {.ranks = ranks, .threads = threads});
    for (const std::string& name : kFiles)
      EXPECT_EQ(read_text(other / name), read_text(folder / "1" / name)) << name << " of " << ranks << " ranks";
  }
}

TEST(Vocab, IsReadBackFromEitherFile) {
  const TemporaryFolder folder;
  expect_code(0, vocab(folder / "both", {"--cased", "--special-tokens", "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[ENT]"}));
  std::filesystem::create_directory(folder / "json");
  std::filesystem::copy_file(folder / "both" / "tokenizer.json", folder / "json" / "tokenizer.json");
  const BertTokenizer both = BertTokenizer::from_model(folder / "both"), json = BertTokenizer::from_model(folder / "json");
  EXPECT_EQ(json.vocabulary().tokens(), both.vocabulary().tokens());
  EXPECT_FALSE(json.options().do_lower_case);
  EXPECT_EQ(both.ids("[ENT]"), std::vector<int32_t>{5});
  EXPECT_EQ(json.options().added_tokens, both.options().added_tokens);
  std::ifstream corpus(sample() / "corpus.txt");
  for (std::string line; std::getline(corpus, line);) {
    const std::vector<int32_t> ids = both.ids(line);
    EXPECT_EQ(json.ids(line), ids);
    EXPECT_EQ(std::count(ids.begin(), ids.end(), both.vocabulary().unk_id()), 0) << line;
  }
}

TEST(Vocab, ReadsWhatPrepareReads) {
  const TemporaryFolder folder;
  write_text(folder / "words.txt", "low lower lowest new newer newest .\n");
  write_text(folder / "words.jsonl", "{\"body\": \"low lower lowest new newer newest .\", \"text\": \"zebra\"}\n{\"body\": \"zoo\"}\n");
  const auto made_of = [&](const std::string& file, std::vector<std::string> more) {
    std::vector<std::string> words = {"vocab",        "--input", (folder / file).string(), "--output", (folder / (file + ".out")).string(),
                                      "--vocab-size", "40"};
    words.insert(words.end(), more.begin(), more.end());
    expect_code(0, words);
    return read_text(folder / (file + ".out") / "vocab.txt");
  };
  const std::string plain = made_of("words.txt", {"--format", "lines"});
  EXPECT_THAT(plain, HasSubstr("##west"));
  EXPECT_EQ(made_of("words.jsonl", {"--text-field", "body", "--min-characters", "5"}), plain);
}

TEST(Vocab, SaysWhatIsWrong) {
  const TemporaryFolder folder;
  EXPECT_THAT(expect_code(78, vocab(folder / "small", {"--vocab-size", "20"}), {.ranks = 2}).err, HasSubstr("vocab_size is 20"));
  EXPECT_FALSE(std::filesystem::exists(folder / "small" / "vocab.txt"));
  EXPECT_THAT(expect_code(66, {"vocab", "--input", (folder / "absent").string(), "--output", (folder / "out").string()}, {.ranks = 2}).err,
              HasSubstr("absent"));
  write_text(folder / "empty.txt", "\n");
  EXPECT_THAT(
      expect_code(78, {"vocab", "--input", (folder / "empty.txt").string(), "--output", (folder / "out").string()}, {.ranks = 2}).err,
      HasSubstr("no word"));
  write_text(folder / "cut.txt.gz", "\x1f\x8b\x08\x01");
  expect_code(65, {"vocab", "--input", (folder / "cut.txt.gz").string(), "--output", (folder / "out").string()}, {.ranks = 2});
  expect_code(0, vocab(folder / "out"));
  EXPECT_THAT(expect_code(73, vocab(folder / "out"), {.ranks = 2}).err, HasSubstr("--overwrite"));
  expect_code(0, vocab(folder / "out", {"--overwrite"}), {.ranks = 2});
}

}  // namespace mpibert::test
