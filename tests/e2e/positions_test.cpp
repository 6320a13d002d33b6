// Models with sinusoidal and relative positions, as a user trains them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "mpibert/base/error.h"
#include "mpibert/interop/weights_reader.h"
#include "tests/support/files.h"
#include "tests/support/runs.h"

namespace mpibert::test {

using testing::HasSubstr;

namespace {

const std::string kTable = "bert.embeddings.position_embeddings.weight";

// A config.json that says absolute, with another type in its place.
std::string with_positions(std::string config, const std::string& type) {
  const std::string absolute = "\"absolute\"";
  return config.replace(config.find(absolute), absolute.size(), str_cat("\"", type, "\""));
}

class Positions : public testing::Test {
 protected:
  void SetUp() override { expect_code(0, prepare_sample(folder_ / "shards")); }

  // The sample's model with other positions, from its config.json.
  std::vector<std::string> command(const std::string& type, const std::string& run, int steps, const std::vector<std::string>& more = {}) {
    write_text(folder_ / (type + ".json"), with_positions(read_text(sample() / "model" / "config.json"), type));
    std::vector<std::string> words = pretrain_sample(folder_ / "shards", folder_ / run, steps, more);
    *(std::ranges::find(words, "--model") + 1) = (folder_ / (type + ".json")).string();
    return words;
  }
  std::filesystem::path checkpoint(const std::string& run, const std::string& step) { return folder_ / run / "checkpoints" / step; }
  std::vector<float> weights(const std::filesystem::path& model, const std::string& name) {
    const WeightsReader reader(model);
    const auto found = std::ranges::find(reader.tensors(), name, &TensorInfo::name);
    return found == reader.tensors().end() ? std::vector<float>() : reader.read_floats(*found);
  }
  TemporaryFolder folder_;
};

}  // namespace

TEST_F(Positions, RelativeKeyHasTheSameBitsForAnyRanksAndThreads) {
  for (const std::string precision : {"fp32", "bf16"}) {
    std::string expected;
    for (const auto& [ranks, threads] : {std::pair{1, 1}, {1, 3}, {2, 1}, {3, 1}}) {
      const std::string run = str_cat(precision, "-", ranks, "-", threads);
      expect_code(0, command("relative_key", run, 6, {"--precision", precision}), {.ranks = ranks, .threads = threads});
      if (expected.empty()) expected = digest(folder_ / run);
      EXPECT_EQ(digest(folder_ / run), expected) << run;
    }
  }
  const std::vector<float> zeros = weights(checkpoint("fp32-1-1", "step-00000006"), kTable);
  EXPECT_EQ(zeros, std::vector<float>(128 * 64)) << "not of this model, but transformers looks for it";
  EXPECT_EQ(weights(checkpoint("fp32-1-1", "step-00000006"), "bert.encoder.layer.1.attention.self.distance_embedding.weight").size(),
            255u * 32);

  EXPECT_THAT(
      expect_code(78, {"convert", "--from", (folder_ / "fp32-1-1").string(), "--to", "tf", "--output", (folder_ / "tf").string()}).err,
      testing::AllOf(HasSubstr("TensorFlow has no names for"), HasSubstr("bert.encoder.layer.0.attention.self.distance_embedding.weight")));
}

TEST_F(Positions, RelativeKeyQueryAndValueToo) {
  std::set<std::string> digests;
  for (const std::string type : {"relative_key", "relative_key_query", "relative_key_value"}) {
    for (const int ranks : {1, 2, 3}) {
      const std::string run = str_cat(type, "-", ranks);
      expect_code(0, command(type, run, 4), {.ranks = ranks});
      EXPECT_EQ(digest(folder_ / run), digest(folder_ / (type + "-1"))) << run;
    }
    digests.insert(digest(folder_ / (type + "-1")));
  }
  EXPECT_EQ(digests.size(), 3u);
}

// config.json of MindSpore's BERT.
TEST_F(Positions, UseRelativePositionsMeansRelativeKeyValue) {
  std::vector<std::string> words = command("relative_key_value", "named", 3);
  expect_code(0, words);
  std::string config = read_text(folder_ / "relative_key_value.json");
  const std::string type = R"("position_embedding_type": "relative_key_value")";
  ASSERT_NE(config.find(type), std::string::npos);
  write_text(folder_ / "mindspore.json", config.replace(config.find(type), type.size(), R"("use_relative_positions": true)"));
  *(std::ranges::find(words, "--model") + 1) = (folder_ / "mindspore.json").string();
  *(std::ranges::find(words, "--output-dir") + 1) = (folder_ / "mindspore").string();
  expect_code(0, words);
  EXPECT_EQ(digest(folder_ / "mindspore"), digest(folder_ / "named"));
  EXPECT_EQ(weights(checkpoint("named", "step-00000003"), "bert.encoder.layer.1.attention.self.distance_embedding.weight").size(),
            33u * 32);
}

TEST_F(Positions, RelativeKeyLearns) {
  expect_code(0, command("relative_key", "run", 40), {.ranks = 2});
  EXPECT_LT(last_metric(folder_ / "run", "loss"), 0.95 * first_metric(folder_ / "run", "loss"));
  expect_code(0, finetune_sample(folder_ / "run", folder_ / "tuned", {"--max-steps", "2", "--layer-decay", "0.9"}));
  EXPECT_THAT(read_text(checkpoint("tuned", "step-00000002") / "config.json"), HasSubstr(R"("position_embedding_type": "relative_key")"));
}

TEST_F(Positions, SinusoidsStayWhatTheyAre) {
  expect_code(0, command("sinusoidal", "run", 4, {"--optimizer", "lamb", "--layer-decay", "0.9"}), {.ranks = 2});
  const std::vector<float> table = weights(checkpoint("run", "step-00000004"), kTable);
  ASSERT_EQ(table.size(), 128u * 64);
  for (size_t i = 0; i < table.size(); ++i) {
    const double angle = static_cast<double>(i / 64) / std::pow(10000, static_cast<double>(i % 64 / 2 * 2) / 64);
    ASSERT_NEAR(table[i], i % 2 == 0 ? std::sin(angle) : std::cos(angle), 1e-6);
  }
  expect_code(0, finetune_sample(folder_ / "run", folder_ / "tuned", {"--max-steps", "2"}));
  EXPECT_EQ(weights(checkpoint("tuned", "step-00000002"), kTable), table);
}

TEST_F(Positions, ATrainedTableIsNoSinusoid) {
  expect_code(0, command("absolute", "run", 2));
  const std::filesystem::path config = checkpoint("run", "step-00000002") / "config.json";
  const std::string text = with_positions(read_text(config), "sinusoidal");
  std::filesystem::copy(config.parent_path(), folder_ / "wrong");
  write_text(folder_ / "wrong" / "config.json", text);
  EXPECT_THAT(expect_code(78, finetune_sample(folder_ / "wrong", folder_ / "tuned", {"--max-steps", "1"})).err,
              testing::AllOf(HasSubstr(kTable), HasSubstr("number 0"), HasSubstr("the sinusoid is 0"),
                             HasSubstr("of a trained table it is absolute")));
}

}  // namespace mpibert::test
