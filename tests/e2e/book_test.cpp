// "Dive into Deep Learning": its pretrained.params and vocab.json, fine-tuned on natural language inference by its own settings.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/files.h"
#include "tests/support/runs.h"

namespace mpibert::test {
namespace {

using testing::HasSubstr;

constexpr size_t kWords = 61;  // of the fixture's embeddings (tests/golden/generate/d2l_fixture.py)

// The book's special tokens and the most frequent words of the sample's training pairs.
nlohmann::json word_list() {
  std::map<std::string, int> counts;
  std::ifstream pairs(sample() / "snli" / "snli_1.0_train.jsonl");
  for (std::string line; std::getline(pairs, line);) {
    const auto pair = nlohmann::json::parse(line);
    std::istringstream words(pair["sentence1"].get<std::string>() + " " + pair["sentence2"].get<std::string>());
    for (std::string word; words >> word;) ++counts[word];
  }
  std::vector<std::pair<int, std::string>> order;
  for (const auto& [word, count] : counts) order.emplace_back(-count, word);
  std::sort(order.begin(), order.end());
  nlohmann::json list = {"<unk>", "<pad>", "<mask>", "<cls>", "<sep>"};
  for (size_t i = 0; list.size() < kWords; ++i) list.push_back(order.at(i).second);
  return list;
}

// {"vocab_size": .., "hidden_size": .., ...} as datasets/models/README.md says, of the fixture's size.
const nlohmann::json kConfig = {{"vocab_size", kWords},        {"hidden_size", 16},       {"num_hidden_layers", 2},
                                {"num_attention_heads", 2},    {"intermediate_size", 40}, {"max_position_embeddings", 24},
                                {"hidden_act", "relu"},        {"layer_norm_eps", 1e-5},  {"embedding_layer_norm", false},
                                {"tie_word_embeddings", false}};

class Book : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Editions, Book, testing::Values("torch", "mxnet"), [](const auto& edition) { return edition.param; });

TEST_P(Book, ItsModelLearnsInferenceByItsSettings) {
  const TemporaryFolder folder;
  std::filesystem::copy(source_folder() / "tests/golden/fixtures/d2l" / GetParam() / "pretrained.params", folder / "pretrained.params");
  write_text(folder / "vocab.json", word_list().dump());
  write_text(folder / "config.json", kConfig.dump());
  const std::string data = (sample() / "snli").string(), run = (folder / "run").string();
  const Finished trained = expect_code(0,
                                       {"finetune",
                                        "--task",
                                        "snli",
                                        "--data",
                                        data,
                                        "--model",
                                        folder.path().string(),
                                        "--output-dir",
                                        run,
                                        "--num-epochs",
                                        "5",
                                        "--global-batch-size",
                                        "512",
                                        "--learning-rate",
                                        "1e-4",
                                        "--optimizer",
                                        "adam",
                                        "--lr-schedule",
                                        "constant",
                                        "--max-seq-length",
                                        "24"},
                                       {.ranks = 2});
  EXPECT_THAT(trained.err, HasSubstr("tensors loaded"));
  EXPECT_EQ(last_metric(folder / "run", "step"), 10) << "5 epochs of 750 pairs";
  EXPECT_LT(last_metric(folder / "run", "loss"), first_metric(folder / "run", "loss"));
  for (const auto& [split, count] : {std::pair{"train", 750}, {"test", 90}}) {
    const Finished scored = expect_code(
        0, {"evaluate", "--task", "snli", "--data", data, "--split", split, "--model", run, "--max-seq-length", "24"}, {.ranks = 2});
    EXPECT_EQ(number_in(scored.out, "count"), count);
    EXPECT_GT(number_in(scored.out, "accuracy"), 0.2) << split;
  }
}

}  // namespace
}  // namespace mpibert::test
