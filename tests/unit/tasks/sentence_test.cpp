#include <zlib.h>

#include <bit>

#include "mpibert/tasks/task.h"
#include "tests/unit/data/data_support.h"

namespace mpibert {

using namespace test;

namespace {

const std::string kMrpcHeader = "\xEF\xBB\xBFQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n";
const std::string kSnliHeader = "gold_label\tsentence1_binary_parse\tsentence1_parse\tsentence1\tsentence2\tlabel1\n";

RawSplit read(const std::string& task, const std::filesystem::path& path, const std::string& split = "train") {
  return read_raw_split(make_task(task), path, split);
}

}  // namespace

TEST(Mrpc, ReadsColumnsByTheHeaderAndQuotesLiterally) {
  TemporaryFolder folder;
  write_text(folder / "train.tsv", kMrpcHeader + "1\t70\t71\t\"He said\tShe \"\" said \"\r\n0\t72\t73\tA\tB\n\n");
  const RawSplit split = read("mrpc", folder.path());
  ASSERT_EQ(split.examples.size(), 2u);
  EXPECT_EQ(split.examples[0].text_a, "\"He said");
  EXPECT_EQ(split.examples[0].text_b, "She \"\" said \"");
  EXPECT_EQ(split.examples[0].label, 1);
  EXPECT_EQ(split.examples[1].label, 0);
  EXPECT_TRUE(split.labelled);
}

TEST(Mrpc, TestHasNoLabels) {
  TemporaryFolder folder;
  write_text(folder / "test.tsv", "index\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t1\t2\tA\tB\n");
  const RawSplit split = read("mrpc", folder.path(), "test");
  EXPECT_FALSE(split.labelled);
  EXPECT_EQ(split.examples[0].label, std::nullopt);
  EXPECT_TRUE(labels_of(make_task("mrpc"), false).empty());
}

TEST(Sst2, HasOneSentence) {
  TemporaryFolder folder;
  write_text(folder / "one.tsv", "sentence\tlabel\nhide new secretions \t0\n");
  const RawSplit split = read("sst2", folder / "one.tsv");  // a file in place of a folder
  EXPECT_EQ(split.examples[0].text_a, "hide new secretions ");
  EXPECT_EQ(split.examples[0].text_b, std::nullopt);
}

TEST(Snli, ReadsEveryFormAndDropsRowsWithoutAGoldLabel) {
  TemporaryFolder folder;
  const std::string json =
      "{\"gold_label\": \"neutral\", \"sentence1\": \"A \\u00e9\", \"sentence2\": \"B\"}\n{\"gold_label\": \"-\", \"sentence1\": \"C\", "
      "\"sentence2\": \"D\"}\n"
      "{\"gold_label\": \"contradiction\", \"sentence1\": \"E\", \"sentence2\": \"F\", \"pairID\": 7}\n";
  const std::string table = kSnliHeader + "neutral\t( x )\t(y)\tA \xC3\xA9\tB\tneutral\n-\tx\ty\tC\tD\t\ncontradiction\tx\ty\tE\tF\t\n";
  write_text(folder / "snli_1.0_train.jsonl", json);
  write_text(folder / "dev.txt", table);
  gzFile file = gzopen((folder / "snli_1.0_test.txt.gz").c_str(), "wb");
  gzwrite(file, table.data(), static_cast<unsigned>(table.size()));
  gzclose(file);
  EXPECT_EQ(find_raw_splits(make_task("snli"), folder.path()), (std::vector<std::string>{"train", "dev", "test"}));
  for (const char* name : {"train", "dev", "test"}) {
    const RawSplit split = read("snli", folder.path(), name);
    ASSERT_EQ(split.examples.size(), 2u) << name;
    EXPECT_EQ(split.dropped, 1);
    EXPECT_EQ(split.examples[0].text_a, "A \xC3\xA9");
    EXPECT_EQ(split.examples[0].label, 1);
    EXPECT_EQ(split.examples[1].text_b, "F");
    EXPECT_EQ(split.examples[1].label, 2);
  }
}

TEST(RawSplit, ErrorsNameFileAndLine) {
  TemporaryFolder folder;
  const auto corrupt = [&](const std::string& task, const std::string& text) {
    write_text(folder / "raw", text);
    const std::string message = error_of(ErrorKind::kCorrupt, [&] { read(task, folder / "raw"); });
    EXPECT_NE(message.find("raw"), std::string::npos) << message;
    return message;
  };
  expect_contains(corrupt("mrpc", kMrpcHeader + "1\t2\t3\tA\tB\n1\t2\t3\tA B\n"), {"raw:3: 4 columns, expected 5"});
  expect_contains(corrupt("mrpc", kMrpcHeader + "1\t2\t3\tA\tB\tC\n"), {"raw:2: 6 columns, expected 5"});
  expect_contains(corrupt("mrpc", kMrpcHeader + "2\t2\t3\tA\tB\n"), {"raw:2: label '2' is none of '0', '1'"});
  expect_contains(corrupt("sst2", "a fine film\t1\n"), {"raw:1", "no column 'sentence'"});
  expect_contains(corrupt("snli", kSnliHeader + "maybe\tx\ty\tA\tB\t\n"), {"raw:2: label 'maybe'", "'contradiction', '-'"});
  expect_contains(corrupt("snli", "{\"gold_label\": \"neutral\", \"sentence1\": \"A\", \"sentence2\": \"B\"}\n{\"gold_label\": \n"),
                  {"raw:2: "});
  expect_contains(corrupt("snli", "{\"gold_label\": \"neutral\", \"sentence1\": \"A\"}\n"), {"raw:1: ", "sentence2"});
  expect_contains(corrupt("snli", "{\"sentence1\": \"A\", \"sentence2\": \"B\", \"label\": 1}\n"), {"raw:1: ", "no member 'gold_label'"});
  expect_contains(corrupt("snli", "{\"gold_label\": null, \"sentence1\": \"A\", \"sentence2\": \"B\"}\n"),
                  {"raw:1: ", "'gold_label' is null"});
  write_text(folder / "raw",
             "{\"sentence1\": \"A\", \"sentence2\": \"B\"}\n{\"gold_label\": \"neutral\", \"sentence1\": \"A\", \"sentence2\": \"B\"}\n");
  expect_contains(error_of(ErrorKind::kCorrupt, [&] { read("snli", folder / "raw", "test"); }), {"raw:2: has a label"});
  expect_contains(corrupt("sst2", "sentence\tlabel\n"), {"no example"});
  expect_contains(corrupt("sst2", ""), {"is empty"});
}

TEST(RawSplit, SaysWhichFilesItLookedFor) {
  TemporaryFolder folder;
  expect_contains(error_of(ErrorKind::kNotFound, [&] { read("snli", folder.path(), "dev"); }), {"'dev'", "snli_1.0_dev.jsonl", ".gz"});
  expect_contains(error_of(ErrorKind::kNotFound, [&] { find_raw_splits(make_task("mrpc"), folder.path()); }),
                  {"mrpc", "train.tsv, dev.tsv, test.tsv"});
  expect_contains(error_of(ErrorKind::kNotFound, [&] { read("mrpc", folder / "absent"); }), {"absent"});
}

TEST(RawSplit, ReadsTheSampleFiles) {
  const std::filesystem::path sample = std::filesystem::path(MPIBERT_SOURCE_DIR) / "datasets" / "sample";
  for (const char* name : {"mrpc", "sst2", "snli"}) {
    const Task task = make_task(name);
    EXPECT_EQ(find_raw_splits(task, sample / name), (std::vector<std::string>{"train", "dev", "test"}));
    EXPECT_GE(read_raw_split(task, sample / name, "dev").examples.size(), 100u) << name;
    EXPECT_GE(read_raw_split(task, sample / name, "train").examples.size(), 500u) << name;
  }
}

// Rows and classes of the published sets; runs where the data are.
TEST(RawSplit, CountsThePublishedSets) {
  const auto data = real_data();
  if (!data) GTEST_SKIP() << "no real data: MPIBERT_DATA names no folder with SHA256SUMS";
  const auto expect_counts = [&](const char* task, const std::filesystem::path& path, const char* split,
                                 const std::vector<int64_t>& counts) {
    const RawSplit read_split = read(task, path, split);
    std::vector<int64_t> found(counts.size());
    for (const Example& example : read_split.examples) ++found[static_cast<size_t>(example.label.value_or(0))];
    EXPECT_EQ(found, counts) << task << " " << split;
  };
  expect_counts("mrpc", *data / "glue/MRPC", "train", {1194, 2474});
  expect_counts("mrpc", *data / "glue/MRPC", "dev", {129, 279});
  expect_counts("mrpc", *data / "glue/MRPC", "test", {1725});
  expect_counts("mrpc", *data / "glue/MRPC/msr_paraphrase_test.txt", "test", {578, 1147});
  expect_counts("sst2", *data / "glue/SST-2", "train", {29780, 37569});
  expect_counts("sst2", *data / "glue/SST-2", "test", {1821});
  expect_counts("snli", *data / "snli", "dev", {3329, 3235, 3278});
  expect_counts("snli", *data / "snli", "test", {3368, 3219, 3237});
  expect_counts("snli", *data / "snli/cad_nli_train.tsv", "train", {2770, 2778, 2782});
  const RawSplit original = read("snli", *data / "snli/snli_1.0_dev.original_rows.jsonl.gz", "dev");
  EXPECT_EQ(original.examples.size(), 2527u);
  EXPECT_EQ(original.dropped, 39);
  expect_counts("sick", *data / "snli", "train", {1299, 2536, 665});
  expect_counts("sick", *data / "snli", "dev", {144, 282, 74});
  expect_counts("sick", *data / "snli", "test", {1414, 2793, 720});
  const RawSplit relatedness = read("sick-relatedness", *data / "snli", "train");
  ASSERT_EQ(relatedness.examples.size(), 4500u);
  EXPECT_EQ(relatedness.examples[0].label, std::bit_cast<int32_t>(4.5f));
}

}  // namespace mpibert
