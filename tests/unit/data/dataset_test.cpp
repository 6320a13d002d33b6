#include "mpibert/data/dataset.h"

#include <numeric>

#include "mpibert/data/sampler.h"
#include "tests/unit/data/data_support.h"

namespace mpibert {

using namespace test;

TEST(Dataset, ReadsSamplesByIdAcrossShards) {
  TemporaryFolder folder;
  write_dataset(folder.path(), 1000, 300);
  const Dataset data(folder.path(), "train", true);
  EXPECT_EQ(data.size(), 1000);
  EXPECT_EQ(data.longest(), 31);
  EXPECT_EQ(data.labels(), class_labels());
  const std::vector<int64_t> ids = {999, 0, 299, 300, 255, 256, 600, 0};
  const std::vector<Sample> samples = data.read(ids);
  ASSERT_EQ(samples.size(), ids.size());
  for (size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(samples[i], closed_form_sample(ids[i]));
  for (const int64_t id : ids) EXPECT_EQ(data.length(id), static_cast<int64_t>(closed_form_sample(id).input_ids.size()));
  expect_contains(error_of(ErrorKind::kInvalidArgument, [&] { data.read(std::vector<int64_t>{1000}); }), {"sample 1000", "which has 1000"});
}

// More chunks and shards than the caches hold.
TEST(Dataset, ForgetsAndReadsAgain) {
  TemporaryFolder folder;
  const int64_t count = kSamplesPerChunk * (kChunksPerWindow + 40);
  write_dataset(folder.path(), count, 200, "train", 3);
  const Dataset data(folder.path(), "train");
  for (int pass = 0; pass < 2; ++pass)
    for (int64_t id = 5; id < count; id += 199) ASSERT_EQ(data.read(std::vector{id})[0], closed_form_sample(id, 3));
}

TEST(Dataset, FingerprintIsOfTheDataAlone) {
  TemporaryFolder folder;
  write_dataset(folder / "a", 50, 20, "train");
  write_dataset(folder / "b", 50, 20, "dev");
  write_dataset(folder / "c", 51, 20, "train");
  const std::string a = Dataset(folder / "a", "train").fingerprint();
  EXPECT_EQ(a, Dataset(folder / "b", "dev").fingerprint());
  EXPECT_NE(a, Dataset(folder / "c", "train").fingerprint());
}

TEST(Dataset, ChecksSizesAlwaysAndDigestsOnRequest) {
  TemporaryFolder folder;
  write_dataset(folder.path(), 50, 20);
  const std::string bytes = read_text(folder / "train-1.h5");
  test::truncate_to(folder / "train-1.h5", bytes.size() - 1);
  expect_contains(error_of(ErrorKind::kCorrupt, [&] { Dataset(folder.path(), "train"); }),
                  {"train-1.h5", std::to_string(bytes.size() - 1), std::to_string(bytes.size())});
  write_text(folder / "train-1.h5", bytes);
  flip_byte(folder / "train-1.h5", bytes.size() / 2);
  EXPECT_NO_THROW(Dataset(folder.path(), "train"));
  expect_contains(error_of(ErrorKind::kCorrupt, [&] { Dataset(folder.path(), "train", true); }), {"train-1.h5", "SHA-256"});
  std::filesystem::remove(folder / "train-1.h5");
  expect_contains(error_of(ErrorKind::kNotFound, [&] { Dataset(folder.path(), "train"); }), {"train-1.h5"});
}

TEST(Dataset, DoesNotTakeAShardForAnother) {
  TemporaryFolder folder;
  write_dataset(folder.path(), 40, 20);
  Manifest manifest = read_manifest(folder.path());
  manifest.splits[0].shards[0].count += 1;
  manifest.splits[0].shards[1].count -= 1;
  write_manifest(folder.path(), manifest);
  const Dataset data(folder.path(), "train");
  expect_contains(error_of(ErrorKind::kCorrupt, [&] { data.length(0); }), {"train-0.h5 has 20 samples", "the manifest says 21"});
  manifest = read_manifest(folder.path());
  manifest.vocabulary_sha256 = "other";
  manifest.splits[0].shards[0].count = manifest.splits[0].shards[1].count = 20;
  write_manifest(folder.path(), manifest);
  expect_contains(error_of(ErrorKind::kCorrupt, [&] { Dataset(folder.path(), "train").length(0); }), {"another vocabulary"});
}

TEST(Manifest, GivesBackWhatWasWritten) {
  TemporaryFolder folder;
  Manifest manifest{.task = "snli",
                    .seed = 18446744073709551615u,
                    .max_seq_length = 128,
                    .vocabulary_size = 7,
                    .vocabulary_sha256 = "v",
                    .do_lower_case = false,
                    .label_names = {"a", "b"},
                    .options = {{"x", "1"}, {"y", "\xff"}},
                    .splits = {}};
  manifest.splits.push_back({.name = "train",
                             .labels = class_labels(),
                             .dropped = 3,
                             .shards = {{.file = "t.h5", .count = 2, .tokens = 9, .longest = 5, .bytes = 4, .sha256 = "d"}}});
  manifest.splits.push_back({.name = "test", .labels = {}, .shards = {}});
  write_manifest(folder.path(), manifest);
  const Manifest read = read_manifest(folder.path());
  EXPECT_EQ(read.task, "snli");
  EXPECT_EQ(read.seed, manifest.seed);
  EXPECT_EQ(read.max_seq_length, 128);
  EXPECT_FALSE(read.do_lower_case);
  EXPECT_EQ(read.label_names, manifest.label_names);
  EXPECT_EQ(read.options.at(0), manifest.options[0]);
  EXPECT_EQ(read.whole_number("x"), 1);
  expect_contains(error_of(ErrorKind::kCorrupt, [&] { read.whole_number("y"); }), {"manifest.json", "\"y\"", "whole number"});
  expect_contains(error_of(ErrorKind::kCorrupt, [&] { read.whole_number("z"); }), {"\"z\"", "whole number"});
  EXPECT_EQ(read.split("train").shards, manifest.splits[0].shards);
  EXPECT_EQ(read.split("train").labels, class_labels());
  EXPECT_EQ(read.split("train").dropped, 3);
  EXPECT_TRUE(read.split("test").labels.empty());
  expect_contains(error_of(ErrorKind::kNotFound, [&] { read.split("dev"); }), {"'dev'", "train, test"});
}

TEST(Manifest, SaysWhatIsWrong) {
  TemporaryFolder folder;
  expect_contains(error_of(ErrorKind::kNotFound, [&] { read_manifest(folder / "absent"); }), {"absent", "mpibert prepare"});
  expect_contains(error_of(ErrorKind::kNotFound, [&] { read_manifest(folder.path()); }), {"manifest.json is missing", "mpibert prepare"});
  write_dataset(folder.path(), 5, 5);
  const std::string good = read_text(folder / "manifest.json");
  const auto corrupt = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    write_text(folder / "manifest.json", text);
    return error_of(ErrorKind::kCorrupt, [&] { read_manifest(folder.path()); });
  };
  expect_contains(corrupt("\"version\": 2", "\"version\": 1"), {"version 1", "reads version 2"});
  expect_contains(corrupt("mpibert-dataset", "other"), {"format is 'other'"});
  expect_contains(corrupt("\"seed\"", "\"sead\""), {"'seed'"});
  expect_contains(corrupt("train-0.h5", "../train-0.h5"), {"'../train-0.h5' is not the name of a file"});
  expect_contains(corrupt("\"count\": 5", "\"count\": -5"), {"count"});
  expect_contains(corrupt("{", "["), {"manifest.json"});
  expect_contains(corrupt("\"task\": \"test\"", "\"task\": 7"), {"'task'"});
}

}  // namespace mpibert
