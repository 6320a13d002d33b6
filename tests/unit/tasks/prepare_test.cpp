#include "mpibert/tasks/prepare.h"

#include <omp.h>

#include <algorithm>
#include <set>
#include <thread>

#include "mpibert/base/log.h"
#include "mpibert/base/sha256.h"
#include "tests/unit/data/data_support.h"
#include "tests/unit/tasks/thread_exchange.h"

namespace mpibert {

using namespace test;

namespace {

// prepare() on that many ranks of so many threads; the message of each rank's error, or "".
std::vector<std::string> prepare_on(int ranks, const PrepareOptions& options, const BertTokenizer& tokenizer, int threads_of_rank = 1) {
  ThreadExchange::Meeting meeting(ranks);
  std::vector<std::string> errors(static_cast<size_t>(ranks));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank)
    threads.emplace_back([&, rank] {
      omp_set_num_threads(threads_of_rank);
      ThreadExchange exchange(meeting, rank);
      try {
        prepare(options, tokenizer, exchange);
      } catch (const Error& error) {
        errors[static_cast<size_t>(rank)] = error.what();
      }
    });
  for (std::thread& thread : threads) thread.join();
  return errors;
}

// The digest of every file of a folder, by name.
std::map<std::string, std::string> digests(const std::filesystem::path& folder) {
  std::map<std::string, std::string> all;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (!entry.is_directory()) all[entry.path().filename().string()] = sha256_hex_of_file(entry.path());
  return all;
}

BertTokenizer small_tokenizer() {
  std::vector<std::string> tokens = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "."};
  for (int i = 0; i < 300; ++i) tokens.push_back("w" + std::to_string(i));
  return BertTokenizer(Vocabulary::from_tokens(tokens));
}

std::string word(int64_t i) { return "w" + std::to_string(i % 300); }

// Documents of one-line sentences.
std::string corpus_text(int64_t documents, int64_t seed) {
  std::string text;
  for (int64_t d = 0; d < documents; ++d) {
    for (int64_t s = 0; s < 3 + (d * 5 + seed) % 11; ++s) {
      for (int64_t w = 0; w < 4 + (s * 7 + d) % 13; ++w) text += word(seed + d * 31 + s * 17 + w * w) + " ";
      text += ".\n";
    }
    text += "\n";
  }
  return text;
}

class PrepareTest : public testing::Test {
 protected:
  PrepareTest() {
    set_log_level(LogLevel::kWarning);
    std::filesystem::create_directories(folder_ / "raw");
    write_text(folder_ / "raw" / "a.txt", corpus_text(60, 1));
    write_text(folder_ / "raw" / "b.txt", corpus_text(5, 2));
    write_text(folder_ / "raw" / "c.txt", corpus_text(7, 3));
    write_text(folder_ / "mrpc.tsv",
               "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t1\t2\tw1 w2 .\tw3\n0\t1\t2\tw4\tw5 "
               "w6\n1\t1\t2\tw7\tw8\n0\t1\t2\tw9\tw10\n1\t1\t2\tw11\tw12\n");
  }
  PrepareOptions pretraining(const std::string& output) const {
    return {.inputs = {{.split = "", .paths = {folder_ / "raw"}}, {.split = "dev", .paths = {folder_ / "raw" / "c.txt"}}},
            .output = folder_ / output,
            .max_seq_length = 32,
            .shard_samples = 50,
            .block_bytes = 4000};
  }
  PrepareOptions store(const std::string& output) const {
    PrepareOptions options = pretraining(output);
    options.storage = Storage::kTokens;
    return options;
  }
  PrepareOptions sentences(const std::string& output) const {
    return {.task = make_task("mrpc"),
            .inputs = {{.split = "train", .paths = {folder_ / "mrpc.tsv"}}},
            .output = folder_ / output,
            .max_seq_length = 16,
            .shard_samples = 2};
  }
  TemporaryFolder folder_;
  BertTokenizer tokenizer_ = small_tokenizer();
};

}  // namespace

TEST_F(PrepareTest, MakesADataSetThatCanBeRead) {
  NoExchange alone;
  const Manifest manifest = prepare(pretraining("out"), tokenizer_, alone);
  const Dataset train(folder_ / "out", "train", true), dev(folder_ / "out", "dev", true);
  EXPECT_EQ(train.size(), manifest.split("train").count());
  EXPECT_GT(manifest.split("train").shards.size(), 5u);
  EXPECT_EQ(train.manifest().task, "pretraining");
  EXPECT_EQ(train.manifest().vocabulary_sha256, tokenizer_.vocabulary().sha256());
  EXPECT_LE(train.longest(), 32);
  EXPECT_EQ(Vocabulary::from_file(folder_ / "out" / "vocab.txt").sha256(), tokenizer_.vocabulary().sha256());
  EXPECT_TRUE(std::filesystem::exists(folder_ / "out" / "tokenizer_config.json"));
  std::vector<int64_t> ids;
  for (int64_t id = 0; id < train.size(); ++id) ids.push_back(id);
  int64_t random = 0;
  for (const Sample& sample : train.read(ids)) {
    EXPECT_EQ(sample.input_ids.front(), 2);
    EXPECT_EQ(std::count(sample.input_ids.begin(), sample.input_ids.end(), 3), 2);
    EXPECT_EQ(sample.labels.size(), 1u);
    random += sample.label("next_sentence_labels")[0];
  }
  EXPECT_GT(random, train.size() / 4);
  EXPECT_LT(random, train.size());
  EXPECT_EQ(std::count(manifest.options.begin(), manifest.options.end(), std::pair<std::string, std::string>("format", "auto")), 1);
}

TEST_F(PrepareTest, BytesDoNotDependOnRanksOrThreads) {
  for (const bool static_masking : {false, true}) {
    PrepareOptions options = pretraining("one");
    options.static_masking = static_masking;
    options.dupe_factor = 2;
    options.overwrite = true;
    EXPECT_EQ(prepare_on(1, options, tokenizer_), std::vector<std::string>{""});
    const auto expected = digests(options.output);
    EXPECT_GT(expected.size(), 10u);
    for (const int ranks : {1, 2, 3, 7}) {
      for (const int threads : {1, 2}) {
        options.output = folder_ / "other";
        EXPECT_EQ(prepare_on(ranks, options, tokenizer_, threads), std::vector<std::string>(static_cast<size_t>(ranks), ""));
        EXPECT_EQ(digests(options.output), expected) << ranks << " ranks, " << threads << " threads";
      }
    }
  }
}

TEST_F(PrepareTest, BytesOfASentenceTaskDoNotDependOnRanks) {
  EXPECT_EQ(prepare_on(1, sentences("one"), tokenizer_), std::vector<std::string>{""});
  EXPECT_EQ(prepare_on(3, sentences("three"), tokenizer_), std::vector<std::string>(3, ""));
  EXPECT_EQ(digests(folder_ / "one"), digests(folder_ / "three"));
  const Dataset data(folder_ / "three", "train", true);
  EXPECT_EQ(data.size(), 5);
  EXPECT_EQ(data.manifest().label_names, (std::vector<std::string>{"not_equivalent", "equivalent"}));
  const Sample first = data.read(std::vector<int64_t>{0})[0];
  const auto id = [&](const char* token) { return tokenizer_.vocabulary().id(token); };
  EXPECT_EQ(first.input_ids, (std::vector<int32_t>{2, id("w1"), id("w2"), id("."), 3, id("w3"), 3}));
  EXPECT_EQ(first.token_type_ids, (std::vector<int32_t>{0, 0, 0, 0, 0, 1, 1}));
  EXPECT_EQ(first.label("labels"), std::vector<int32_t>{1});
}

TEST_F(PrepareTest, SeedAndPassChangeThePairs) {
  NoExchange alone;
  PrepareOptions options = pretraining("a");
  prepare(options, tokenizer_, alone);
  options.output = folder_ / "b";
  options.seed = 2;
  prepare(options, tokenizer_, alone);
  EXPECT_NE(Dataset(folder_ / "a", "train").fingerprint(), Dataset(folder_ / "b", "train").fingerprint());
  options.output = folder_ / "c";
  options.dupe_factor = 3;
  const Manifest thrice = prepare(options, tokenizer_, alone);
  const int64_t once = Dataset(folder_ / "b", "train").size();
  EXPECT_NEAR(static_cast<double>(thrice.split("train").count()), 3.0 * static_cast<double>(once), 0.2 * static_cast<double>(once));
  const Dataset data(folder_ / "c", "train");
  std::set<std::vector<int32_t>> different;
  for (int64_t i = 0; i < data.size(); ++i) different.insert(data.read(std::vector{i})[0].input_ids);
  EXPECT_GT(static_cast<int64_t>(different.size()), data.size() * 3 / 4);
}

TEST_F(PrepareTest, AnErrorOnOneRankIsThrownOnAll) {
  // The damaged file belongs to one rank's unit.
  write_text(folder_ / "raw" / "d.gz", "\x1f\x8b\x08 this is no gzip stream");
  PrepareOptions options = pretraining("out");
  options.inputs.pop_back();
  const std::vector<std::string> errors = prepare_on(3, options, tokenizer_);
  for (const std::string& error : errors) expect_contains(error, {"d.gz"});
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out" / "manifest.json"));
}

TEST_F(PrepareTest, ReplacesOnlyWhenAllowedAndLeavesNothingStale) {
  NoExchange alone;
  PrepareOptions options = sentences("out");
  std::filesystem::create_directories(folder_ / "out");
  write_text(folder_ / "out" / "notes.txt", "mine");
  write_text(folder_ / "out" / "train-00099-000.h5", "stale");
  prepare(options, tokenizer_, alone);
  options.shard_samples = 10;
  expect_contains(error_of(ErrorKind::kBusy, [&] { prepare(options, tokenizer_, alone); }), {"out", "overwrite"});
  options.overwrite = true;
  prepare(options, tokenizer_, alone);
  std::set<std::string> names;
  for (const auto& [name, digest] : digests(folder_ / "out")) names.insert(name);
  EXPECT_EQ(names, (std::set<std::string>{"manifest.json", "notes.txt", "prepare.json", "tokenizer_config.json", "train-00000-000.h5",
                                          "vocab.txt"}));
}

TEST_F(PrepareTest, SaysWhatIsWrongWithItsOptions) {
  NoExchange alone;
  const auto refused = [&](ErrorKind kind, const std::function<void(PrepareOptions&)>& change) {
    PrepareOptions options = sentences("out");
    change(options);
    return error_of(kind, [&] { prepare(options, tokenizer_, alone); });
  };
  expect_contains(refused(ErrorKind::kUsage,
                          [](PrepareOptions& o) {
                            o.task = make_task("classification");
                            o.inputs[0].split = "dev";
                          }),
                  {"training split", "--labels"});
  expect_contains(refused(ErrorKind::kInvalidArgument, [](PrepareOptions& o) { o.inputs[0].split = ""; }), {"mrpc.tsv", "name the split"});
  expect_contains(refused(ErrorKind::kInvalidArgument, [](PrepareOptions& o) { o.inputs.push_back(o.inputs[0]); }),
                  {"'train' is given twice"});
  expect_contains(refused(ErrorKind::kInvalidArgument, [](PrepareOptions& o) { o.inputs.clear(); }), {"no input"});
  expect_contains(refused(ErrorKind::kInvalidArgument, [](PrepareOptions& o) { o.inputs[0].split = "../x"; }), {"'../x'"});
  expect_contains(refused(ErrorKind::kInvalidArgument, [](PrepareOptions& o) { o.shard_samples = 0; }), {"shard_samples is 0"});
  expect_contains(refused(ErrorKind::kInvalidArgument, [](PrepareOptions& o) { o.max_seq_length = 4; }), {"max_seq_length is 4"});
  expect_contains(refused(ErrorKind::kNotFound, [](PrepareOptions& o) { o.inputs[0].paths[0] += "x"; }), {"mrpc.tsvx"});
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out"));
}

// Everything that a preparation leaves after a kill: units that are done, claims of a rank that is gone, a shard that was being written.
TEST_F(PrepareTest, GoesOnWhereItWasStopped) {
  const std::filesystem::path last = folder_ / "raw" / "e.jsonl";
  const std::string line = "{\"text\": \"w1 w2 w3 .\\nw4 w5 .\"}";
  write_text(last, line);
  const auto changed = std::filesystem::last_write_time(last);
  PrepareOptions options = store("whole");
  EXPECT_EQ(prepare_on(1, options, tokenizer_), std::vector<std::string>{""});
  const auto expected = digests(options.output);
  options.output = folder_ / "stopped";
  // The last file is damaged, so that the units before it are done when the preparation ends.
  write_text(last, line.substr(0, line.size() - 1) + "x");
  std::filesystem::last_write_time(last, changed);
  expect_contains(prepare_on(1, options, tokenizer_)[0], {"e.jsonl"});
  EXPECT_FALSE(std::filesystem::exists(options.output / "manifest.json"));
  write_text(last, line);
  std::filesystem::last_write_time(last, changed);
  const auto first = options.output / "train-00000-000.h5";
  const auto written = std::filesystem::last_write_time(first);
  write_text(options.output / "train-00001-000.h5.tmp", "half a shard");
  write_text(options.output / "units" / "000001.claim", "");
  std::filesystem::remove(options.output / "train-00002-000.h5");  // lost: made again
  EXPECT_EQ(prepare_on(2, options, tokenizer_), std::vector<std::string>(2, ""));
  EXPECT_EQ(std::filesystem::last_write_time(first), written) << "a unit that was done was made again";
  EXPECT_EQ(digests(options.output), expected);
}

TEST_F(PrepareTest, AnotherUnfinishedPreparationIsNotContinued) {
  PrepareOptions options = store("out");
  std::filesystem::create_directories(options.output / "units");
  write_text(options.output / "prepare.json", "of another");
  write_text(options.output / "units" / "000000", "{\"shards\": [], \"summary\": {}}");
  EXPECT_EQ(prepare_on(1, options, tokenizer_), std::vector<std::string>{""});
  EXPECT_FALSE(std::filesystem::exists(options.output / "units"));
}

TEST_F(PrepareTest, TheSameAgainDoesNothing) {
  PrepareOptions options = store("out");
  EXPECT_EQ(prepare_on(2, options, tokenizer_), std::vector<std::string>(2, ""));
  const auto written = std::filesystem::last_write_time(options.output / "manifest.json");
  EXPECT_EQ(prepare_on(2, options, tokenizer_), std::vector<std::string>(2, ""));
  EXPECT_EQ(std::filesystem::last_write_time(options.output / "manifest.json"), written);
  write_text(folder_ / "raw" / "b.txt", corpus_text(6, 2));
  expect_contains(prepare_on(1, options, tokenizer_)[0], {"another data set", "--overwrite"});
}

TEST_F(PrepareTest, StoreDoesNotDependOnRanks) {
  EXPECT_EQ(prepare_on(1, store("one"), tokenizer_), std::vector<std::string>{""});
  const auto expected = digests(folder_ / "one");
  EXPECT_TRUE(expected.contains("summary.json"));
  for (const int ranks : {2, 3, 5}) {
    const std::string name = std::to_string(ranks);
    EXPECT_EQ(prepare_on(ranks, store(name), tokenizer_, 2), std::vector<std::string>(static_cast<size_t>(ranks), ""));
    EXPECT_EQ(digests(folder_ / name), expected) << ranks << " ranks";
  }
}

TEST_F(PrepareTest, StoredSamplesAreThoseOfTheStore) {
  PrepareOptions tokens = store("tokens"), samples = pretraining("samples");
  samples.dupe_factor = 2;
  NoExchange alone;
  prepare(tokens, tokenizer_, alone);
  prepare(samples, tokenizer_, alone);
  EXPECT_FALSE(std::filesystem::exists(samples.output / "tokens"));
  const Dataset made(tokens.output, "train", true, {.max_seq_length = 0, .seed = tokens.seed}), stored(samples.output, "train", true);
  ASSERT_EQ(stored.size(), 2 * made.size());
  for (int64_t id = 0; id < stored.size(); ++id) {
    Sample expected = made.read(id % made.size(), id / made.size());
    expected.id = id;
    EXPECT_EQ(stored.read(id), expected);
    EXPECT_EQ(made.length(id % made.size(), id / made.size()), static_cast<int64_t>(expected.input_ids.size()));
  }
}

TEST_F(PrepareTest, ATokenStoreHasNoFixedEpochsOrMasks) {
  PrepareOptions options = store("out");
  options.dupe_factor = 2;
  expect_contains(prepare_on(1, options, tokenizer_)[0], {"dupe_factor"});
  options = sentences("out");
  options.storage = Storage::kTokens;
  expect_contains(prepare_on(1, options, tokenizer_)[0], {"mrpc"});
}

TEST_F(PrepareTest, DuplicatesAreLeftOutOfAnyUnit) {
  NoExchange alone;
  std::filesystem::copy(folder_ / "raw" / "b.txt", folder_ / "raw" / "d.txt");
  std::filesystem::copy(folder_ / "raw" / "c.txt", folder_ / "raw" / "z.txt");
  PrepareOptions options = store("once");
  options.inputs.pop_back();
  options.drop_duplicates = true;
  for (const int ranks : {1, 3}) {
    options.output = folder_ / std::to_string(ranks);
    EXPECT_EQ(prepare_on(ranks, options, tokenizer_, 2), std::vector<std::string>(static_cast<size_t>(ranks), ""));
  }
  EXPECT_EQ(digests(folder_ / "1"), digests(folder_ / "3"));
  const std::string summary = read_text(folder_ / "1" / "summary.json");
  expect_contains(summary, {"\"documents\":72,", "\"documents_read\":84,", "\"duplicates\":12,"});
  EXPECT_EQ(read_manifest(folder_ / "1").split("train").count(), 60 + 5 + 7);
}

TEST_F(PrepareTest, CheckFindsAByteThatChanged) {
  NoExchange alone;
  for (const PrepareOptions& options : {store("tokens"), pretraining("samples")}) {
    prepare(options, tokenizer_, alone);
    EXPECT_EQ(check_dataset(options.output, alone).splits.size(), 2u);
    const std::filesystem::path shard = options.output / "train-00001-000.h5";
    std::string bytes = read_text(shard);
    bytes[bytes.size() / 2] ^= 1;
    write_text(shard, bytes);
    expect_contains(error_of(ErrorKind::kCorrupt, [&] { check_dataset(options.output, alone); }), {"train-00001-000.h5", "SHA-256"});
  }
}

TEST_F(PrepareTest, NoTextIsAnError) {
  NoExchange alone;
  write_text(folder_ / "blank", "\n\n \n");
  PrepareOptions options = pretraining("out");
  options.inputs = {{.split = "train", .paths = {folder_ / "blank"}}};
  expect_contains(error_of(ErrorKind::kInvalidArgument, [&] { prepare(options, tokenizer_, alone); }), {"'train' has no sample"});
}

}  // namespace mpibert
