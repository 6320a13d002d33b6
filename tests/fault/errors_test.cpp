// Bad input gets one clear error, its exit code, and nothing is lost or half-written.

#include <signal.h>
#include <sys/resource.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mpibert/base/error.h"
#include "tests/support/files.h"
#include "tests/support/runs.h"

namespace mpibert::test {

using testing::AllOf;
using testing::HasSubstr;

namespace {

class Errors : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    expect_code(0, prepare_sample(*folder_ / "shards"));
    expect_code(0, pretrain_sample(*folder_ / "shards", *folder_ / "run", 2));
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }
  // A copy of the shards to damage.
  std::filesystem::path copied_shards() {
    std::filesystem::copy(*folder_ / "shards", mine_ / "shards");
    return mine_ / "shards";
  }
  static std::filesystem::path a_shard(const std::filesystem::path& folder) {
    for (const auto& entry : std::filesystem::directory_iterator(folder))
      if (entry.path().extension() == ".h5") return entry.path();
    return {};
  }
  static TemporaryFolder* folder_;
  TemporaryFolder mine_;
};
TemporaryFolder* Errors::folder_ = nullptr;

int count_errors(const std::string& text) {
  int count = 0;
  for (size_t at = text.find("error: "); at != std::string::npos; at = text.find("error: ", at + 1)) ++count;
  return count;
}

}  // namespace

TEST_F(Errors, NoSuchFile) {
  const Finished f = expect_code(66, {"pretrain", "--data", (mine_ / "absent").string(), "--model", (sample() / "model").string(),
                                      "--output-dir", (mine_ / "run").string(), "--max-steps", "1"});
  EXPECT_THAT(f.err, AllOf(HasSubstr("absent"), HasSubstr("mpibert prepare")));
  EXPECT_EQ(count_errors(f.err), 1) << f.err;
  expect_code(66, {"tokenize", "--vocab", (mine_ / "absent.txt").string(), "-"});
}

TEST_F(Errors, NotAVocabulary) {
  write_text(mine_ / "novel.txt", "It was a dark night.\nThe end.\n");
  const Finished f = expect_code(65, {"tokenize", "--vocab", (mine_ / "novel.txt").string(), "-"});
  EXPECT_THAT(f.err, AllOf(HasSubstr("novel.txt"), HasSubstr("[UNK]")));
}

TEST_F(Errors, AMistypedKeyGetsASuggestion) {
  write_text(mine_ / "run.toml", "max-steps = 3\nlerning-rate = 0.1\n");
  const Finished f = expect_code(2, {"pretrain", "--config", (mine_ / "run.toml").string()});
  EXPECT_THAT(f.err, AllOf(HasSubstr("lerning-rate"), HasSubstr("did you mean 'learning-rate'"), HasSubstr("run.toml:2")));
  EXPECT_THAT(expect_code(2, {"pretrain", "--max-step", "3"}).err, HasSubstr("--max-steps"));
  EXPECT_THAT(expect_code(2, {"pretain"}).err, HasSubstr("did you mean 'pretrain'"));
}

TEST_F(Errors, Fp16IsForCards) {
  const std::string shards = (*folder_ / "shards").string(), model = (*folder_ / "run").string(),
                    config = (sample() / "model" / "config.json").string();
  for (const std::vector<std::string>& command :
       {pretrain_sample(shards, mine_ / "run", 1),
        std::vector<std::string>{"evaluate", "--task", "pretraining", "--data", shards, "--model", model},
        {"predict", "--task", "mrpc", "--model", model},
        {"bench", "matmul"},
        {"bench", "step", "--model", config}}) {
    std::vector<std::string> words = command;
    words.insert(words.end(), {"--precision", "fp16"});
    const Finished f = expect_code(2, words);
    EXPECT_THAT(f.err, HasSubstr("expected fp32 or bf16 with --device cpu, found fp16; take bf16"));
    EXPECT_EQ(count_errors(f.err), 1) << f.err;
  }
  EXPECT_FALSE(std::filesystem::exists(mine_ / "run"));
}

TEST_F(Errors, TensorCoresAndCudnnAreOfCards) {
  const std::string shards = (*folder_ / "shards").string();
  EXPECT_THAT(expect_code(2, pretrain_sample(shards, mine_ / "run", 1, {"--tf32"})).err, HasSubstr("on the CPU leave --tf32 out"));
  EXPECT_THAT(expect_code(2, pretrain_sample(shards, mine_ / "run", 1, {"--attention", "cudnn"})).err,
              HasSubstr("on the CPU leave --attention cudnn out"));
  EXPECT_FALSE(std::filesystem::exists(mine_ / "run"));
}

TEST_F(Errors, LossScaleIsForFp16) {
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{"--loss-scale", "dynamic"}, {"--loss-scale-growth-interval", "100"}, {"--initial-loss-scale", "1024"}}) {
    const Finished f = expect_code(2, pretrain_sample(*folder_ / "shards", mine_ / "run", 1, more));
    EXPECT_THAT(f.err, AllOf(HasSubstr("go with --precision fp16, found fp32"), HasSubstr("leave them out")));
  }
}

TEST_F(Errors, SequencesLongerThanTheModelsPositions) {
  write_text(
      mine_ / "config.json",
      R"({"model_type":"bert","vocab_size":30522,"hidden_size":32,"num_hidden_layers":1,"num_attention_heads":2,"intermediate_size":64,"max_position_embeddings":16})");
  const Finished f = expect_code(78, {"pretrain", "--data", (*folder_ / "shards").string(), "--model", (mine_ / "config.json").string(),
                                      "--output-dir", (mine_ / "run").string(), "--max-steps", "1"});
  EXPECT_THAT(f.err, HasSubstr("16"));
}

TEST_F(Errors, TokenIdsBeyondTheModelsVocabulary) {
  write_text(
      mine_ / "config.json",
      R"({"model_type":"bert","vocab_size":50,"hidden_size":32,"num_hidden_layers":1,"num_attention_heads":2,"intermediate_size":64})");
  const Finished f = expect_code(78, {"pretrain", "--data", (*folder_ / "shards").string(), "--model", (mine_ / "config.json").string(),
                                      "--output-dir", (mine_ / "run").string(), "--max-steps", "1"});
  EXPECT_THAT(f.err, HasSubstr("50"));
}

TEST_F(Errors, AWrongNumberOfColumnsNamesFileAndLine) {
  std::filesystem::create_directory(mine_ / "mrpc");
  write_text(mine_ / "mrpc" / "dev.tsv", "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t1\t2\ta\tb\n0\t3\t4\tonly one\n");
  const Finished f = expect_code(65, {"prepare", "--task", "mrpc", "--input", (mine_ / "mrpc").string(), "--model",
                                      (sample() / "model").string(), "--output", (mine_ / "shards").string()});
  EXPECT_THAT(f.err, AllOf(HasSubstr("dev.tsv:3"), HasSubstr("4")));
  EXPECT_FALSE(std::filesystem::exists(mine_ / "shards" / "manifest.json"));
}

TEST_F(Errors, ATruncatedShardAndAFlippedByteAreFound) {
  const std::filesystem::path shard = a_shard(copied_shards());
  const auto size = std::filesystem::file_size(shard);
  flip_byte(shard, size / 2);
  const std::vector<std::string> words = pretrain_sample(mine_ / "shards", mine_ / "run", 1);
  EXPECT_THAT(expect_code(65, words).err, HasSubstr(shard.filename().string()));
  truncate_to(shard, size / 2);
  EXPECT_THAT(expect_code(65, words, {.ranks = 2}).err, HasSubstr(shard.filename().string()));
}

TEST_F(Errors, ACheckpointOfAnotherModelIsRefusedAndKept) {
  write_text(
      mine_ / "config.json",
      R"({"model_type":"bert","vocab_size":30522,"hidden_size":32,"num_hidden_layers":1,"num_attention_heads":2,"intermediate_size":64})");
  const std::string before = digest(*folder_ / "run");
  std::vector<std::string> words = pretrain_sample(*folder_ / "shards", *folder_ / "run", 4);
  words[4] = (mine_ / "config.json").string();
  expect_code(78, words);
  EXPECT_EQ(digest(*folder_ / "run"), before);
}

// A truncated file, a pickle that calls something, an output in use.
TEST_F(Errors, APytorchFileThatIsNoStateDict) {
  const std::filesystem::path model = mine_ / "model", weights = model / "pytorch_model.bin";
  const std::filesystem::path fixture = source_folder() / "tests" / "unit" / "interop" / "fixtures" / "pytorch_old.bin";
  std::filesystem::copy(sample() / "model", model);
  const std::vector<std::string> words = {"convert", "--from", model.string(), "--to", "safetensors", "--output", (mine_ / "out").string()};
  std::filesystem::copy_file(fixture, weights);
  expect_code(0, words);
  EXPECT_THAT(expect_code(73, words).err, HasSubstr("not empty"));
  std::filesystem::remove_all(mine_ / "out");

  truncate_to(weights, std::filesystem::file_size(weights) / 2);
  EXPECT_THAT(expect_code(65, words).err, AllOf(HasSubstr("pytorch_model.bin"), HasSubstr("truncated")));
  const std::string good = read_text(fixture);
  std::string calling = good;
  calling.replace(calling.find("collections\nOrderedDict"), 23, "posix\nsystem\n)R(((((((((");
  write_text(weights, calling);
  const Finished f = expect_code(65, words);
  EXPECT_THAT(f.err, AllOf(HasSubstr("posix.system"), HasSubstr("byte "), HasSubstr("nothing of the file was executed")));
  EXPECT_EQ(count_errors(f.err), 1) << f.err;
  EXPECT_FALSE(std::filesystem::exists(mine_ / "out"));
}

TEST_F(Errors, AForeignCheckpointThatIsDamagedOrOfAnotherModel) {
  const std::filesystem::path fixtures = source_folder() / "tests/golden/fixtures", folder = mine_ / "model";
  std::filesystem::create_directory(folder);
  write_text(
      folder / "bert_config.json",
      R"({"vocab_size": 61, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 40, "max_position_embeddings": 24})");
  std::filesystem::copy(sample() / "model" / "vocab.txt", folder / "vocab.txt");
  const auto copy = [&](const std::string& name, const std::string& as) {
    std::filesystem::copy(fixtures / name, folder / as, std::filesystem::copy_options::overwrite_existing);
  };
  const auto convert = [&](int code, const std::vector<std::string>& texts) {
    std::filesystem::remove_all(mine_ / "to");
    const Finished f =
        expect_code(code, {"convert", "--from", folder.string(), "--to", "safetensors", "--output", (mine_ / "to").string()});
    for (const std::string& text : texts) EXPECT_THAT(f.err, HasSubstr(text));
    EXPECT_EQ(count_errors(f.err), code == 0 ? 0 : 1) << f.err;
    EXPECT_EQ(std::filesystem::exists(mine_ / "to"), code == 0);
  };
  copy("tensorflow/bert_model.ckpt.index", "bert_model.ckpt.index");
  convert(66, {"bert_model.ckpt.data-00000-of-00001", "No such file"});
  copy("tensorflow/bert_model.ckpt.data-00000-of-00001", "bert_model.ckpt.data-00000-of-00001");
  convert(0, {"46 tensors loaded (46 under other names)", "state of its training, left out (11)"});
  flip_byte(folder / "bert_model.ckpt.data-00000-of-00001", 5000);
  convert(65, {"bert_model.ckpt.data-00000-of-00001: tensor \"", "CRC-32C"});
  truncate_to(folder / "bert_model.ckpt.data-00000-of-00001", 5000);
  convert(65, {"bert_model.ckpt.index: tensor \"", "truncated"});
  truncate_to(folder / "bert_model.ckpt.index", 1000);
  convert(65, {"bert_model.ckpt.index", "truncated"});

  std::filesystem::remove(folder / "bert_model.ckpt.index");
  copy("tensorflow/old.ckpt", "old.ckpt");
  convert(78, {"old.ckpt", "version 1"});
  std::filesystem::remove(folder / "old.ckpt");
  copy("d2l/mxnet/pretrained.params", "pretrained.params");
  convert(0, {"45 tensors loaded (45 under other names)"});
  truncate_to(folder / "pretrained.params", 30000);
  convert(65, {"pretrained.params", "truncated"});
}

TEST_F(Errors, TwoRunsInOneDirectory) {
  Program first(pretrain_sample(*folder_ / "shards", mine_ / "run", 100000));
  ASSERT_TRUE(first.wait_for("step 1/"));
  const Finished second = expect_code(73, pretrain_sample(*folder_ / "shards", mine_ / "run", 100000), {.ranks = 2});
  EXPECT_THAT(second.err, HasSubstr(std::to_string(first.pid())));
  EXPECT_TRUE(first.running());
}

TEST_F(Errors, MoreRanksThanSlots) {
  const Finished f = expect_code(78, pretrain_sample(*folder_ / "shards", mine_ / "run", 1, {"--slots", "2"}), {.ranks = 3});
  EXPECT_THAT(f.err, AllOf(HasSubstr("--slots"), HasSubstr("3")));
}

TEST_F(Errors, AKilledRankEndsTheJobWithinFiveSecondsAndIsNamed) {
  Program program(pretrain_sample(*folder_ / "shards", mine_ / "run", 100000), {.ranks = 3});
  ASSERT_TRUE(program.wait_for("step 2/"));
  const auto start = std::chrono::steady_clock::now();
  ::kill(program.pid_of_rank(1), SIGKILL);
  const Finished f = program.wait();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  EXPECT_NE(f.code, 0);
  EXPECT_THAT(f.err + f.out, HasSubstr("rank 1"));
}

// A limit on the size of files stands for a full disk: writes of the checkpoint fail, training does not.
TEST_F(Errors, AFullDiskWhileSavingLosesNothing) {
  expect_code(0, pretrain_sample(*folder_ / "shards", mine_ / "run", 3));
  const std::string before = digest(mine_ / "run");
  Program program(pretrain_sample(*folder_ / "shards", mine_ / "run", 30, {"--save-steps", "20"}));
  ASSERT_TRUE(program.wait_for("step 4/30"));
  const rlimit small{100 << 10, 100 << 10};
  ASSERT_EQ(prlimit(program.pid(), RLIMIT_FSIZE, &small, nullptr), 0);
  const Finished f = program.wait();
  EXPECT_THAT(f.err, HasSubstr("step 30/30")) << "training goes on";
  EXPECT_EQ(f.code, 74) << f.err;
  EXPECT_EQ(digest(mine_ / "run"), before) << "the previous checkpoint stays";
  for (const auto& entry : std::filesystem::directory_iterator(mine_ / "run" / "checkpoints"))
    EXPECT_THAT(entry.path().filename().string(), testing::Not(HasSubstr(".tmp"))) << "nothing is half-written";
}

}  // namespace mpibert::test
