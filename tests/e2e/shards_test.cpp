// Data sets to and from the formats of other programs, as a user converts them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/files.h"
#include "tests/support/runs.h"

namespace mpibert::test {

using testing::HasSubstr;

namespace {

std::vector<std::string> shards(const std::filesystem::path& input, const std::string& to, const std::filesystem::path& output,
                                std::vector<std::string> more = {}) {
  more.insert(more.begin(), {"shards", "--input", input.string(), "--to", to, "--output", output.string()});
  return more;
}

// Every file below a folder, by name.
std::map<std::string, std::string> contents(const std::filesystem::path& folder) {
  std::map<std::string, std::string> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) found[entry.path().lexically_relative(folder).string()] = read_text(entry.path());
  return found;
}

class Shards : public testing::Test {
 protected:
  // Pairs with masks, in shards small enough that there are several.
  Shards() {
    std::vector<std::string> words = prepare_sample(ours_);
    words.insert(words.end(), {"--storage", "samples", "--masking", "static", "--max-predictions-per-seq", "10", "--shard-samples", "100"});
    expect_code(0, words);
  }
  const TemporaryFolder folder_;
  const std::filesystem::path ours_ = folder_ / "ours";
  const std::string vocabulary_ = (sample() / "model" / "vocab.txt").string();
};

}  // namespace

TEST_F(Shards, GoThroughEveryFormatAndBack) {
  for (const std::string format : {"tfrecord", "nvidia", "mlperf", "mlperf-varlength"}) {
    const Finished there = expect_code(0, shards(ours_, format, folder_ / format));
    EXPECT_THAT(there.out, HasSubstr("\"format\":\"" + format + "\""));
    expect_code(0, shards(folder_ / format / "train", "mpibert", folder_ / (format + "-back"), {"--vocab", vocabulary_}));
    // The same samples in the same order: the shards that come back are those that went, byte for byte.
    std::string went, came;
    for (const auto& [name, bytes] : contents(ours_))
      if (name.ends_with(".h5")) went += bytes;
    for (const auto& [name, bytes] : contents(folder_ / (format + "-back")))
      if (name.ends_with(".h5")) came += bytes;
    EXPECT_FALSE(went.empty());
    EXPECT_TRUE(went == came) << format;
  }
}

TEST_F(Shards, AreTheSameForAnyNumberOfRanks) {
  for (const std::string format : {"nvidia", "tfrecord", "mpibert"}) {
    expect_code(0, shards(ours_, format, folder_ / (format + "-1"), {"--shard-samples", "30"}));
    for (const int ranks : {2, 3}) {
      const std::filesystem::path output = folder_ / (format + "-" + std::to_string(ranks));
      expect_code(0, shards(ours_, format, output, {"--shard-samples", "30"}), {.ranks = ranks});
      EXPECT_TRUE(contents(folder_ / (format + "-1")) == contents(output)) << format << ", " << ranks << " ranks";
    }
  }
}

TEST_F(Shards, OfOthersAreTrainedOn) {
  expect_code(0, shards(ours_, "tfrecord", folder_ / "tfrecord"));
  expect_code(0,
              shards(folder_ / "tfrecord" / "train", "mpibert", folder_ / "back",
                     {"--vocab", vocabulary_, "--dev-input", (folder_ / "tfrecord" / "train").string()}),
              {.ranks = 2});
  EXPECT_THAT(read_text(folder_ / "back" / "manifest.json"), HasSubstr("\"dev\""));
  expect_code(0, pretrain_sample(ours_, folder_ / "run", 3));
  expect_code(0, pretrain_sample(folder_ / "back", folder_ / "run-back", 3));
  EXPECT_EQ(digest(folder_ / "run"), digest(folder_ / "run-back"));
}

TEST_F(Shards, SayWhatIsMissing) {
  expect_code(0, prepare_sample(folder_ / "tokens"));
  EXPECT_THAT(expect_code(78, shards(folder_ / "tokens", "tfrecord", folder_ / "a")).err, HasSubstr("--storage samples --masking static"));
  std::vector<std::string> dynamic = prepare_sample(folder_ / "dynamic");
  dynamic.insert(dynamic.end(), {"--storage", "samples"});
  expect_code(0, dynamic);
  EXPECT_THAT(expect_code(78, shards(folder_ / "dynamic", "mlperf-varlength", folder_ / "a")).err, HasSubstr("--masking static"));
  EXPECT_THAT(expect_code(2, shards(folder_ / "dynamic", "nvidia", folder_ / "a")).err, HasSubstr("--max-predictions-per-seq"));
  EXPECT_THAT(expect_code(2, shards(ours_, "nvidia", folder_ / "a", {"--vocab", vocabulary_})).err, HasSubstr("its own vocabulary"));
  expect_code(0, shards(ours_, "mlperf-varlength", folder_ / "mlperf"));
  EXPECT_THAT(expect_code(2, shards(folder_ / "mlperf", "mpibert", folder_ / "a")).err, HasSubstr("--vocab"));
  EXPECT_THAT(expect_code(2, shards(folder_ / "mlperf", "tfrecord", folder_ / "a")).err, HasSubstr("--max-seq-length"));
  const Finished again = run_program(shards(ours_, "mlperf-varlength", folder_ / "mlperf"));
  EXPECT_NE(again.code, 0);
  EXPECT_THAT(again.err, HasSubstr("--overwrite"));
  expect_code(0, shards(ours_, "mlperf-varlength", folder_ / "mlperf", {"--overwrite"}));
  // A vocabulary of fewer tokens than the file's.
  write_text(folder_ / "short.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\n");
  const Finished beyond = run_program(shards(folder_ / "mlperf", "mpibert", folder_ / "b", {"--vocab", (folder_ / "short.txt").string()}));
  EXPECT_NE(beyond.code, 0);
  EXPECT_THAT(beyond.err, HasSubstr("expected 0 to 5; give the vocabulary that the file was made with"));
}

}  // namespace mpibert::test
