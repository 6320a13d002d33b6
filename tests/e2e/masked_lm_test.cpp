// Pre-training with masked words alone, as a user walks it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "mpibert/interop/weights_reader.h"
#include "tests/support/files.h"
#include "tests/support/runs.h"

namespace mpibert::test {

using testing::HasSubstr;

TEST(MaskedLm, PrepareTrainEvaluateFillAndFinetune) {
  const TemporaryFolder folder;
  const std::string corpus = (sample() / "corpus.txt").string(), segments = (folder / "segments").string();
  expect_code(0,
              {"prepare", "--task", "masked-lm", "--input", corpus, "--dev-input", corpus, "--model", (sample() / "model").string(),
               "--output", segments, "--max-seq-length", "64"},
              {.ranks = 2});
  EXPECT_THAT(read_text(folder / "segments" / "manifest.json"), testing::Not(HasSubstr("next_sentence_labels")));

  // The same bits for any number of ranks, without a pooler as with one.
  expect_code(0, pretrain_sample(segments, folder / "run", 30, {"--slots", "4"}), {.ranks = 3});
  expect_code(0, pretrain_sample(segments, folder / "alone", 30, {"--slots", "4"}));
  EXPECT_EQ(digest(folder / "run"), digest(folder / "alone"));
  EXPECT_LT(last_metric(folder / "run", "loss"), 0.95 * first_metric(folder / "run", "loss"));

  const std::filesystem::path model = folder / "run" / "checkpoints" / "step-00000030";
  EXPECT_THAT(read_text(model / "config.json"), HasSubstr("BertForMaskedLM"));
  const WeightsReader weights(model);
  EXPECT_GT(weights.tensors().size(), 30u);
  for (const TensorInfo& tensor : weights.tensors())
    EXPECT_TRUE(tensor.name.starts_with("bert.e") || tensor.name.starts_with("cls.predictions.")) << tensor.name;

  const Finished evaluated =
      expect_code(0, {"evaluate", "--task", "masked-lm", "--data", segments, "--model", (folder / "run").string()}, {.ranks = 2});
  EXPECT_EQ(number_in(evaluated.out, "loss"), number_in(evaluated.out, "mlm_loss"));
  EXPECT_NEAR(number_in(evaluated.out, "perplexity"), std::exp(number_in(evaluated.out, "loss")),
              1e-9 * number_in(evaluated.out, "perplexity"));
  EXPECT_THAT(evaluated.out, testing::Not(HasSubstr("nsp")));

  const Finished filled =
      expect_code(0, {"predict", "--pipeline", "fill-mask", "--model", (folder / "run").string(), "--text", "the [MASK] ."});
  EXPECT_THAT(filled.out, HasSubstr("\"token_str\""));
  const Finished tuned = expect_code(0, finetune_sample(folder / "run", folder / "tuned", {"--max-steps", "2"}));
  EXPECT_THAT(tuned.err, HasSubstr("bert.pooler"));
}

TEST(MaskedLm, DataOfOneTaskAreNotTrainedAsTheOther) {
  const TemporaryFolder folder;
  expect_code(0, {"prepare", "--task", "sst2", "--input", (sample() / "sst2").string(), "--model", (sample() / "model").string(),
                  "--output", (folder / "shards").string(), "--max-seq-length", "32"});
  EXPECT_THAT(expect_code(78, pretrain_sample(folder / "shards", folder / "run", 1)).err,
              testing::AllOf(HasSubstr("sst2"), HasSubstr("masked-lm")));
}

}  // namespace mpibert::test
