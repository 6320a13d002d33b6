#include "mpibert/tasks/pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "mpibert/interop/model_folder.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace mpibert::test {

using testing::HasSubstr;

namespace {

std::filesystem::path fixture(const std::string& model) { return source_folder() / "tests" / "golden" / "fixtures" / "pipelines" / model; }

// A pipeline on a folder's weights, computed by batches of `micro_tokens`.
struct Served {
  PipelineModel folder;
  Pipeline pipeline;
  std::unique_ptr<Backend> backend = make_backend({});
  ParameterArena arena;
  Model model;

  Served(const std::string& name, const std::filesystem::path& path, const PipelineOptions& options = {}, int64_t micro_tokens = 4096)
      : folder(open_pipeline_model(path)), pipeline(make_pipeline(name, folder, options)), model(folder.config, arena, pipeline.head) {
    arena.allocate(*backend, DType::kFloat32, arena.size());
    std::vector<float> masters(static_cast<size_t>(arena.size()));
    std::vector<WantedTensor> wanted;
    for (const Parameter& parameter : arena.parameters()) wanted.push_back({parameter.name, parameter.shape});
    load_weights(path, wanted, {}, [&](const std::string& tensor, std::span<const float> values) {
      std::ranges::copy(values, masters.begin() + arena.find(tensor).offset);
    });
    arena.set_values(*backend, host_tensor(std::span(masters), {arena.size()}));
    model.plan(*backend, arena.compute(), PipelineRunner::limits(folder.config, micro_tokens), false);
    model.allocate(*backend);
  }

  std::vector<std::string> results(const std::vector<std::string>& texts, bool json = false) {
    std::vector<PipelineCall> calls;
    for (const std::string& text : texts) calls.push_back(pipeline.call({.text = text, .json = json, .where = "line 1"}));
    return PipelineRunner(*backend, model).run(calls);
  }
};

// A copy of the classifier that says of itself what sentence-transformers' folders say.
std::filesystem::path sentence_model(const TemporaryFolder& folder, const std::string& modules, const std::string& pooling) {
  const std::filesystem::path model = folder / "model";
  std::filesystem::remove_all(model);
  std::filesystem::copy(fixture("classifier"), model);
  std::filesystem::create_directory(model / "1_Pooling");
  write_text(model / "modules.json", modules);
  write_text(model / "1_Pooling" / "config.json", pooling);
  return model;
}

const std::string kTransformer = R"({"path": "", "type": "sentence_transformers.models.Transformer"})",
                  kPooling = R"({"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"})";
const std::string kNormalize = R"({"path": "2_Normalize", "type": "sentence_transformers.models.Normalize"})",
                  kDense = R"({"path": "2_Dense", "type": "sentence_transformers.models.Dense"})";

}  // namespace

// A text's result is its own, whatever is computed beside it: the order of texts and the batches they fall in do not matter.
TEST(Pipelines, ResultsComeInTheOrderOfTheCallsWhateverTheBatches) {
  std::vector<std::string> texts;
  for (int i = 0; i < 40; ++i) {
    std::string text = "cat";
    for (int j = 0; j < (i * 7) % 29; ++j) text += j % 3 == i % 3 ? " dog" : " the";
    texts.push_back(text);
  }
  Served large("sentence-embeddings", fixture("classifier")), small("sentence-embeddings", fixture("classifier"), {}, 32);
  const std::vector<std::string> together = large.results(texts), apart = small.results(texts);
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::string alone = large.results({texts[i]})[0];
    const double expected = std::stod(alone.substr(1));
    EXPECT_NEAR(std::stod(together[i].substr(1)), expected, 1e-5) << texts[i];
    EXPECT_NEAR(std::stod(apart[i].substr(1)), expected, 1e-5) << texts[i];
  }
  EXPECT_TRUE(large.results({}).empty());
}

TEST(Pipelines, ASequenceOfNothingButMasksFitsAnyBatch) {
  std::string masks;
  for (int i = 0; i < 100; ++i) masks += "[MASK] ";
  Served served("fill-mask", fixture("masked_lm"), {.top_k = 1}, 16);
  for (const std::string& result : served.results({masks, "a [MASK]", masks})) EXPECT_THAT(result, HasSubstr("\"token_str\""));
}

TEST(Pipelines, AFolderOfSentenceTransformersSaysHowToPool) {
  const TemporaryFolder folder;
  const auto vector = [&](const std::filesystem::path& path, const PipelineOptions& options = {}) {
    return Served("sentence-embeddings", path, options).results({"the cat saw a dog"})[0];
  };
  const std::string cls = R"({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false})",
                    mean = R"({"pooling_mode_mean_tokens": true})";
  EXPECT_EQ(vector(sentence_model(folder, "[" + kTransformer + "," + kPooling + "]", cls)),
            vector(fixture("classifier"), {.pooling = "cls", .normalize = "false"}));
  EXPECT_EQ(vector(sentence_model(folder, "[" + kTransformer + "," + kPooling + "," + kNormalize + "]", mean)),
            vector(fixture("classifier"), {.pooling = "mean", .normalize = "true"}));
  EXPECT_EQ(vector(sentence_model(folder, "[" + kTransformer + "," + kPooling + "," + kNormalize + "]", mean),
                   {.pooling = "max", .normalize = "false"}),
            vector(fixture("classifier"), {.pooling = "max", .normalize = "false"}));

  expect_error(ErrorKind::kInvalidArgument, {"Dense"},
               [&] { vector(sentence_model(folder, "[" + kTransformer + "," + kPooling + "," + kDense + "]", mean)); });
  expect_error(ErrorKind::kInvalidArgument, {"pooling_mode_weightedmean_tokens", "--pooling"},
               [&] { vector(sentence_model(folder, "[" + kPooling + "]", R"({"pooling_mode_weightedmean_tokens": true})")); });
  expect_error(ErrorKind::kInvalidArgument, {"no pooling_mode"}, [&] { vector(sentence_model(folder, "[" + kPooling + "]", "{}")); });

  // max_seq_length of sentence_bert_config.json: what lies beyond is not seen.
  const std::filesystem::path short_model = sentence_model(folder, "[" + kPooling + "]", mean);
  write_text(short_model / "sentence_bert_config.json", R"({"max_seq_length": 4})");
  Served served("sentence-embeddings", short_model);
  const std::vector<std::string> same = served.results({"the cat", "the cat saw a dog"});
  EXPECT_EQ(same[0], same[1]);
}

TEST(Pipelines, ACallsOwnArgumentsComeBeforeTheOptions) {
  Served all("text-classification", fixture("classifier"), {.top_k = 0}),
      raw("text-classification", fixture("classifier"), {.top_k = 2, .function_to_apply = "none"});
  Served one("text-classification", fixture("classifier"));
  const auto alone = [&](const std::string& call) {
    return one.results({call}, true)[0];
  };  // the last bits of a product depend on what is computed beside it
  EXPECT_EQ(alone(R"({"text": "a cat", "top_k": null})"), all.results({"a cat"})[0]);
  EXPECT_EQ(alone(R"({"inputs": "a cat", "parameters": {"top_k": 2, "function_to_apply": "none"}})"), raw.results({"a cat"})[0]);
  EXPECT_EQ(alone(R"("a cat")"), one.results({"a cat"})[0]);
  expect_error(ErrorKind::kCorrupt, {"line 1", "'log'", "sigmoid"},
               [&] { one.results({R"({"text": "a", "function_to_apply": "log"})"}, true); });
  expect_error(ErrorKind::kCorrupt, {"line 1", "top_k", "-3"}, [&] { one.results({R"({"text": "a", "top_k": -3})"}, true); });

  Served nli("zero-shot-classification", fixture("nli"), {.candidate_labels = {"cat,dog"}}),
      other("zero-shot-classification", fixture("nli"), {.candidate_labels = {"film", "book"}, .multi_label = true});
  EXPECT_EQ(nli.results({R"({"inputs": "a cat", "parameters": {"candidate_labels": "film, book", "multi_label": true}})"}, true),
            other.results({"a cat"}));
  EXPECT_EQ(nli.results({R"({"text": "", "hypothesis_template": "{{{0}}}"})"}, true).size(), 1u)
      << "an empty text has a result, which transformers refuses";
}

TEST(Pipelines, NamesAndLabels) {
  expect_error(ErrorKind::kUsage, {"'filling'", "fill-mask"}, [] { pipeline_arguments("filling"); });
  expect_error(ErrorKind::kUsage, {"''"}, [] { pipeline_arguments(""); });
  for (const std::string& name : pipeline_names()) EXPECT_NO_THROW(pipeline_arguments(name)) << name;
  const TemporaryFolder folder;
  std::filesystem::copy(fixture("two_labels"), folder / "model");
  EXPECT_THAT(Served("text-classification", folder / "model").results({"a"})[0], HasSubstr("LABEL_"));
  // A number of labels that the weights do not have is found by their shape.
  std::string config = read_text(folder / "model" / "config.json");
  config.insert(config.find('{') + 1, "\"num_labels\": 4,");
  write_text(folder / "model" / "config.json", config);
  expect_error(ErrorKind::kInvalidArgument, {"classifier.weight", "4"}, [&] { Served("text-classification", folder / "model"); });
}

}  // namespace mpibert::test
