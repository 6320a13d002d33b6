#include "mpibert/interop/model_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <limits>
#include <numeric>

#include "interop/strict_json.h"
#include "mpibert/interop/safetensors.h"
#include "mpibert/interop/weights_reader.h"
#include "tests/support/files.h"
#include "tests/unit/interop/expect_error.h"

namespace mpibert {

using test::expect_error;
using test::TemporaryFolder;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

namespace {

const std::vector<WantedTensor> kEncoder = {{"bert.embeddings.word_embeddings.weight", {3, 2}},
                                            {"bert.embeddings.LayerNorm.weight", {2}},
                                            {"bert.embeddings.LayerNorm.bias", {2}},
                                            {"bert.encoder.layer.0.output.dense.weight", {2, 2}}};
const std::vector<WantedTensor> kPooler = {{"bert.pooler.dense.weight", {2, 2}}, {"bert.pooler.dense.bias", {2}}};
const std::vector<WantedTensor> kPredictions = {{"cls.predictions.bias", {3}}, {"cls.predictions.transform.dense.bias", {2}}};
const std::vector<WantedTensor> kNextSentence = {{"cls.seq_relationship.weight", {2, 2}}, {"cls.seq_relationship.bias", {2}}};
const std::vector<WantedTensor> kClassifier = {{"classifier.weight", {2, 2}}, {"classifier.bias", {2}}};

std::vector<WantedTensor> join(std::initializer_list<std::vector<WantedTensor>> parts) {
  std::vector<WantedTensor> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

// A model folder that is written by hand, tensor by tensor.
class Folder {
 public:
  Folder& add(const std::string& name, Shape shape, float first) {
    std::vector<float>& values = values_.emplace_back(static_cast<size_t>(shape.size()));
    std::iota(values.begin(), values.end(), first);
    tensors_.push_back({name, DType::kFloat32, shape, std::as_bytes(std::span(values))});
    return *this;
  }
  Folder& add_all(const std::vector<WantedTensor>& wanted) {
    for (const WantedTensor& tensor : wanted) add(tensor.name, tensor.shape, static_cast<float>(10 * tensors_.size()));
    return *this;
  }
  Folder& add_ids(const std::string& name) {
    tensors_.push_back({name, DType::kInt64, {2}, std::as_bytes(std::span(ids_))});
    return *this;
  }
  LoadReport load(const std::vector<WantedTensor>& wanted, std::vector<std::string> heads = {}, bool replace_head = false) {
    write_safetensors(folder_ / "model.safetensors", tensors_);
    loaded_.clear();
    return load_weights(
        folder_.path(), wanted, heads,
        [&](const std::string& name, std::span<const float> values) { loaded_[name].assign(values.begin(), values.end()); }, replace_head);
  }
  void expect_refusal(ErrorKind kind, const std::vector<std::string>& texts, const std::vector<WantedTensor>& wanted,
                      std::vector<std::string> heads = {}) {
    expect_error(kind, texts, [&] { load(wanted, heads); });
    EXPECT_THAT(loaded_, IsEmpty()) << "nothing may be delivered before everything has been checked";
  }
  const std::map<std::string, std::vector<float>>& loaded() const { return loaded_; }

 private:
  TemporaryFolder folder_;
  std::deque<std::vector<float>> values_;
  std::vector<int64_t> ids_ = {0, 1};
  std::vector<NamedTensor> tensors_;
  std::map<std::string, std::vector<float>> loaded_;
};

}  // namespace

TEST(LoadWeights, DeliversEveryWantedTensor) {
  Folder folder;
  const LoadReport report = folder.add_all(kEncoder).add_all(kPooler).load(join({kEncoder, kPooler}));
  EXPECT_EQ(report.loaded.size(), 6u);
  EXPECT_EQ(report.renamed, 0);
  EXPECT_THAT(report.fresh, IsEmpty());
  EXPECT_THAT(folder.loaded().at("bert.embeddings.LayerNorm.bias"), ElementsAre(20, 21));
}

TEST(LoadWeights, KnowsNamesOfOldAndOfBareModels) {
  Folder folder;
  folder.add("embeddings.word_embeddings.weight", {3, 2}, 0)
      .add("embeddings.LayerNorm.gamma", {2}, 5)
      .add("embeddings.LayerNorm.beta", {2}, 7);
  folder.add("encoder.layer.0.output.dense.weight", {2, 2}, 9).add_ids("embeddings.position_ids");
  const LoadReport report = folder.load(kEncoder);
  EXPECT_EQ(report.renamed, 4);
  EXPECT_THAT(report.ignored, ElementsAre("embeddings.position_ids"));
  EXPECT_THAT(folder.loaded().at("bert.embeddings.LayerNorm.weight"), ElementsAre(5, 6));
  EXPECT_THAT(folder.loaded().at("bert.embeddings.LayerNorm.bias"), ElementsAre(7, 8));
  EXPECT_THAT(report.text(), testing::HasSubstr("4 tensors loaded (4 under other names)"));
}

TEST(LoadWeights, TakesAMissingHeadAsNewAndLeavesOutAnother) {
  Folder folder;
  const LoadReport report = folder.add_all(kEncoder)
                                .add_all(kPooler)
                                .add_all(kPredictions)
                                .add_all(kNextSentence)
                                .load(join({kEncoder, kPooler, kClassifier}), {"classifier."});
  EXPECT_THAT(report.fresh, ElementsAre("classifier.weight", "classifier.bias"));
  EXPECT_THAT(report.dropped, UnorderedElementsAre("cls.predictions.bias", "cls.predictions.transform.dense.bias",
                                                   "cls.seq_relationship.weight", "cls.seq_relationship.bias"));
  EXPECT_THAT(report.text(), testing::HasSubstr("new, to be trained: classifier.weight"));
}

TEST(LoadWeights, TakesAMaskedLanguageModelWithoutPoolerAndNextSentence) {
  Folder folder;
  const LoadReport report =
      folder.add_all(kEncoder).add_all(kPredictions).load(join({kEncoder, kPooler, kPredictions, kNextSentence}), {"cls.", "bert.pooler."});
  EXPECT_THAT(report.fresh, ElementsAre("bert.pooler.dense.weight", "bert.pooler.dense.bias", "cls.seq_relationship.weight",
                                        "cls.seq_relationship.bias"));
}

TEST(LoadWeights, RefusesWrongNamesAllInOneMessage) {
  Folder folder;
  folder.add_all(kEncoder).add("bert.encoder.layer.1.output.dense.weight", {2, 2}, 0).add("roberta.x", {1}, 0);
  folder.expect_refusal(
      ErrorKind::kInvalidArgument,
      {"missing: bert.pooler.dense.weight, bert.pooler.dense.bias", "unknown: bert.encoder.layer.1.output.dense.weight, roberta.x"},
      join({kEncoder, kPooler}));
}

TEST(LoadWeights, RefusesAMissingEncoderTensorThoughTheHeadMayBeNew) {
  Folder folder;
  folder.add_all({kEncoder.begin(), kEncoder.end() - 1});
  folder.expect_refusal(ErrorKind::kInvalidArgument, {"missing: bert.encoder.layer.0.output.dense.weight"}, join({kEncoder, kClassifier}),
                        {"classifier."});
}

TEST(LoadWeights, RefusesAHeadInPart) {
  Folder folder;
  folder.add_all(kEncoder).add("classifier.weight", {2, 2}, 0);
  folder.expect_refusal(ErrorKind::kCorrupt, {"in part", "classifier.weight", "classifier.bias"}, join({kEncoder, kClassifier}),
                        {"classifier."});
}

TEST(LoadWeights, RefusesOtherShapesUnlessTheHeadIsReplaced) {
  Folder folder;
  folder.add_all(kEncoder).add("classifier.weight", {3, 2}, 0).add("classifier.bias", {3}, 0);
  folder.expect_refusal(ErrorKind::kInvalidArgument, {"classifier.weight is [3, 2], wanted [2, 2]", "other labels"},
                        join({kEncoder, kClassifier}), {"classifier."});
  const LoadReport report = folder.load(join({kEncoder, kClassifier}), {"classifier."}, true);
  EXPECT_THAT(report.fresh, ElementsAre("classifier.weight", "classifier.bias"));
  EXPECT_EQ(report.loaded.size(), kEncoder.size());
}

TEST(LoadWeights, RefusesTwoNamesForOneTensor) {
  Folder folder;
  folder.add_all(kEncoder).add("bert.embeddings.LayerNorm.gamma", {2}, 0);
  folder.expect_refusal(ErrorKind::kCorrupt, {"LayerNorm.gamma", "two names"}, kEncoder);
}

TEST(LoadWeights, TakesATiedDecoderOnlyIfItIsTied) {
  Folder tied;
  tied.add_all(kEncoder)
      .add_all(kPredictions)
      .add("cls.predictions.decoder.weight", {3, 2}, 0)
      .add("cls.predictions.decoder.bias", {3}, 40);
  EXPECT_THAT(tied.load(join({kEncoder, kPredictions})).ignored,
              UnorderedElementsAre("cls.predictions.decoder.weight", "cls.predictions.decoder.bias"));
  Folder untied;
  untied.add_all(kEncoder).add_all(kPredictions).add("cls.predictions.decoder.weight", {3, 2}, 1);
  untied.expect_refusal(ErrorKind::kInvalidArgument, {"cls.predictions.decoder.weight", "word_embeddings", "ties"},
                        join({kEncoder, kPredictions}));
}

TEST(LoadWeights, FindsThePredictionsBiasUnderItsOtherName) {
  Folder folder;
  folder.add_all(kEncoder).add("cls.predictions.transform.dense.bias", {2}, 0).add("cls.predictions.decoder.bias", {3}, 4);
  folder.load(join({kEncoder, kPredictions}));
  EXPECT_THAT(folder.loaded().at("cls.predictions.bias"), ElementsAre(4, 5, 6));
}

TEST(LoadWeights, RefusesIntegersWhereNumbersAreWanted) {
  Folder folder;
  folder.add_all({kEncoder.begin(), kEncoder.end() - 3}).add_ids("bert.embeddings.LayerNorm.weight");
  folder.expect_refusal(ErrorKind::kCorrupt, {"LayerNorm.weight", "int64"}, {kEncoder[1], kEncoder[0]});
}

TEST(SaveModelFolder, WritesWhatLoadWeightsReads) {
  TemporaryFolder folder;
  const std::vector<float> values = {1, 2};
  save_model_folder(folder / "new" / "model", {{"a", DType::kFloat32, {2}, std::as_bytes(std::span(values))}}, {{"config.json", "{}"}});
  EXPECT_EQ(test::read_text(folder.path() / "new" / "model" / "config.json"), "{}");
  const std::vector<WantedTensor> wanted = {{"a", {2}}};
  load_weights(folder.path() / "new" / "model", wanted, {},
               [&](const std::string&, std::span<const float> read) { EXPECT_THAT(read, ElementsAre(1, 2)); });
  expect_error(ErrorKind::kInvalidArgument, {"../x"}, [&] { save_model_folder(folder / "b", {}, {{"../x", ""}}); });
}

class ConvertModelFolder : public testing::Test {
 protected:
  void SetUp() override {
    const std::vector<NamedTensor> tensors = {{"embeddings.LayerNorm.gamma", DType::kFloat16, {2}, std::as_bytes(std::span(values_))},
                                              {"embeddings.position_ids", DType::kInt64, {1}, std::as_bytes(std::span(ids_))},
                                              {"classifier.weight", DType::kFloat16, {2}, std::as_bytes(std::span(values_))}};
    save_model_folder(from_, tensors, {{"config.json", "{}"}, {"vocab.txt", "[PAD]"}}, WeightsFormat::kPytorch);
  }
  const std::vector<float16> values_ = {float16(1.0f), float16(2.0f)};
  const std::vector<int64_t> ids_ = {0};
  TemporaryFolder folder_;
  const std::filesystem::path from_ = folder_ / "from";
};

TEST_F(ConvertModelFolder, ThereAndBackKeepsNumbersAndTexts) {
  const LoadReport report = convert_model_folder(from_, folder_ / "there", WeightsFormat::kSafetensors);
  EXPECT_THAT(report.loaded, ElementsAre("classifier.weight", "bert.embeddings.LayerNorm.weight"));
  EXPECT_THAT(report.ignored, ElementsAre("embeddings.position_ids"));
  EXPECT_EQ(report.renamed, 1);
  convert_model_folder(folder_ / "there" / "model.safetensors", folder_ / "back", WeightsFormat::kPytorch);
  for (const char* name : {"there/model.safetensors", "back/pytorch_model.bin"}) {
    const WeightsReader reader(folder_ / name);
    ASSERT_EQ(reader.tensors().size(), 2u);
    EXPECT_EQ(reader.find("bert.embeddings.LayerNorm.weight")->dtype, DType::kFloat16);
    EXPECT_THAT(reader.read_floats(*reader.find("bert.embeddings.LayerNorm.weight")), ElementsAre(1, 2));
  }
  EXPECT_EQ(test::read_text(folder_ / "back" / "vocab.txt"), "[PAD]");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "back" / "tokenizer.json"));
}

TEST_F(ConvertModelFolder, WritesNowhereBesideOtherWeights) {
  expect_error(ErrorKind::kBusy, {from_.string(), "not empty"}, [&] { convert_model_folder(from_, from_, WeightsFormat::kSafetensors); });
  EXPECT_FALSE(std::filesystem::exists(from_ / "model.safetensors"));
}

TEST_F(ConvertModelFolder, RefusesNumbersThatAreNone) {
  const std::vector<float16> values = {float16(1.0f), float16(std::numeric_limits<float>::infinity())};
  write_safetensors(folder_ / "f", {{"classifier.weight", DType::kFloat16, {2}, std::as_bytes(std::span(values))}});
  expect_error(ErrorKind::kCorrupt, {(folder_ / "f").string(), "\"classifier.weight\": number 1 of 2 is inf"},
               [&] { convert_model_folder(folder_ / "f", folder_ / "to", WeightsFormat::kPytorch); });
  EXPECT_FALSE(std::filesystem::exists(folder_ / "to"));
}

TEST_F(ConvertModelFolder, RefusesTwoNamesForOneTensor) {
  const std::vector<NamedTensor> twice = {{"embeddings.LayerNorm.gamma", DType::kFloat16, {2}, std::as_bytes(std::span(values_))},
                                          {"bert.embeddings.LayerNorm.weight", DType::kFloat16, {2}, std::as_bytes(std::span(values_))}};
  write_safetensors(folder_ / "f", twice);
  expect_error(ErrorKind::kCorrupt, {"second name", "bert.embeddings.LayerNorm.weight"},
               [&] { convert_model_folder(folder_ / "f", folder_ / "to", WeightsFormat::kPytorch); });
  EXPECT_FALSE(std::filesystem::exists(folder_ / "to"));
}

TEST(StrictJson, RefusesWhatReadersDisagreeOn) {
  EXPECT_EQ(parse_strict_json(R"({"a":{"a":[1,{"a":2}]}})", "f")["a"]["a"][0], 1);
  expect_error(ErrorKind::kCorrupt, {"f: ", "\"a\" stands twice"}, [] { parse_strict_json(R"({"b":[{"a":1,"a":1}]})", "f"); });
  expect_error(ErrorKind::kCorrupt, {"nested deeper than 3"}, [] { parse_strict_json("[[[[]]]]", "f", 3); });
  expect_error(ErrorKind::kCorrupt, {"not JSON"}, [] { parse_strict_json("{} x", "f"); });
}

}  // namespace mpibert
