// GLUE's nine tasks, as its archives spell them: columns, headers and labels of every file.

#include <bit>

#include "mpibert/tasks/task.h"
#include "tests/unit/data/data_support.h"

namespace mpibert {

using namespace test;

namespace {

struct File {
  const char *task, *name, *split, *text;
  Example example;  // of its first row
};

const std::vector<File> kFiles = {
    {"cola",
     "train.tsv",
     "train",
     "gj04\t1\t\tOur friends won't buy this.\ngj04\t0\t*\tMore done you did.\n",
     {"Our friends won't buy this.", {}, 1}},
    {"cola", "dev.tsv", "dev", "bc01\t0\t*\tThey drank the pub.\n", {"They drank the pub.", {}, 0}},
    {"cola", "test.tsv", "test", "index\tsentence\n0\tBill whistled.\n", {"Bill whistled.", {}, {}}},
    {"sst2", "dev.tsv", "dev", "sentence\tlabel\nhide new secretions \t0\n", {"hide new secretions ", {}, 0}},
    {"sst2", "test.tsv", "test", "index\tsentence\n0\tuneasy mishmash\n", {"uneasy mishmash", {}, {}}},
    {"mrpc", "dev.tsv", "dev", "\xEF\xBB\xBFQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n1\t7\t8\tA \"b\tB\r\n", {"A \"b", "B", 1}},
    {"qqp", "train.tsv", "train", "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n1\t2\t3\tWhy?\tHow?\t1\n", {"Why?", "How?", 1}},
    {"qqp", "test.tsv", "test", "id\tquestion1\tquestion2\n0\tWhy?\tHow?\n", {"Why?", "How?", {}}},
    {"stsb",
     "train.tsv",
     "train",
     "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n0\tmain\tMSR\t2012\t1\tnone\tnone\tA "
     "plane.\tAn air plane.\t4.75\n",
     {"A plane.", "An air plane.", std::bit_cast<int32_t>(4.75f)}},
    {"stsb",
     "test.tsv",
     "test",
     "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\n0\tm\tM\t2012\t1\tn\tn\tA\tB\n",
     {"A", "B", {}}},
    {"mnli",
     "train.tsv",
     "train",
     "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\tsentence2_"
     "parse\tsentence1\tsentence2\tlabel1\tgold_label\n"
     "0\t3\t3n\tgov\tb\tb\tp\tp\tA\tB\tneutral\tneutral\n",
     {"A", "B", 1}},
    {"mnli",
     "dev_matched.tsv",
     "dev",
     "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\tsentence2_"
     "parse\tsentence1\tsentence2\tlabel1\tlabel2\tlabel3\tlabel4\tlabel5\tgold_label\n"
     "0\t3\t3c\tgov\tb\tb\tp\tp\tC\tD\tneutral\tcontradiction\tcontradiction\tneutral\tcontradiction\tcontradiction\n",
     {"C", "D", 2}},
    {"mnli", "dev_mismatched.tsv", "dev_mismatched", "index\tsentence1\tsentence2\tgold_label\n0\tE\tF\tentailment\n", {"E", "F", 0}},
    {"mnli", "test_matched.tsv", "test", "index\tsentence1\tsentence2\n0\tG\tH\n", {"G", "H", {}}},
    {"mnli", "test_mismatched.tsv", "test_mismatched", "index\tsentence1\tsentence2\n0\tI\tJ\n", {"I", "J", {}}},
    {"qnli", "train.tsv", "train", "index\tquestion\tsentence\tlabel\n0\tWhen?\tIn 1066.\tentailment\n", {"When?", "In 1066.", 0}},
    {"rte", "dev.tsv", "dev", "index\tsentence1\tsentence2\tlabel\n0\tA\tB\tnot_entailment\n", {"A", "B", 1}},
    {"wnli", "train.tsv", "train", "index\tsentence1\tsentence2\tlabel\n0\tIt fell.\tThe cup fell.\t1\n", {"It fell.", "The cup fell.", 1}},
};

}  // namespace

TEST(Glue, ReadsTheFirstRowOfEveryFile) {
  for (const File& file : kFiles) {
    SCOPED_TRACE(std::string(file.task) + " " + file.name);
    TemporaryFolder folder;
    write_text(folder / file.name, file.text);
    const Task task = make_task(file.task);
    EXPECT_EQ(find_raw_splits(task, folder.path()), std::vector<std::string>{file.split});
    const RawSplit read = read_raw_split(task, folder.path(), file.split);
    EXPECT_EQ(read.labelled, file.example.label.has_value());
    EXPECT_EQ(read.examples[0].text_a, file.example.text_a);
    EXPECT_EQ(read.examples[0].text_b, file.example.text_b);
    EXPECT_EQ(read.examples[0].label, file.example.label);
  }
}

TEST(Glue, ColaHasNoHeaderToLoseAsARow) {
  TemporaryFolder folder;
  write_text(folder / "train.tsv", kFiles[0].text);
  EXPECT_EQ(read_raw_split(make_task("cola"), folder.path(), "train").examples.size(), 2u);
  write_text(folder / "dev.tsv", "gj04\t1\tOur friends won't buy this.\n");
  expect_contains(error_of(ErrorKind::kCorrupt, [&] { read_raw_split(make_task("cola"), folder.path(), "dev"); }),
                  {"dev.tsv:1: 3 columns, expected 4"});
}

// A row that is left out of a test file would shift the index of all after it.
TEST(Glue, BrokenRowsOfQqpAreCountedButNotInTheTestFile) {
  TemporaryFolder folder;
  write_text(folder / "train.tsv",
             "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n1\t2\t3\tWhy\n now?\tHow?\t1\n4\t5\t6\tA?\tB?\t0\n");
  const RawSplit read = read_raw_split(make_task("qqp"), folder.path(), "train");
  EXPECT_EQ(read.dropped, 2);
  ASSERT_EQ(read.examples.size(), 1u);
  EXPECT_EQ(read.examples[0].text_a, "A?");
  write_text(folder / "test.tsv", "id\tquestion1\tquestion2\n0\tWhy\n");
  expect_contains(error_of(ErrorKind::kCorrupt, [&] { read_raw_split(make_task("qqp"), folder.path(), "test"); }),
                  {"test.tsv:2: 2 columns, expected 3"});
}

TEST(Glue, ErrorsNameFileLineAndWhatWasExpected) {
  TemporaryFolder folder;
  const auto corrupt = [&](const std::string& task, const std::string& text) {
    write_text(folder / "dev.tsv", text);
    return error_of(ErrorKind::kCorrupt, [&] { read_raw_split(make_task(task), folder / "dev.tsv", "dev"); });
  };
  expect_contains(corrupt("stsb", "sentence1\tsentence2\tscore\nA\tB\t3,5\n"), {"dev.tsv:2: label '3,5' is not a number"});
  expect_contains(corrupt("stsb", "sentence1\tsentence2\tscore\nA\tB\tnan\n"), {"dev.tsv:2: label 'nan'"});
  expect_contains(corrupt("stsb", "sentence1\tsentence2\tscore\nA\tB\t5.2\n"), {"dev.tsv:2: label 5.2 is outside 0 to 5"});
  expect_contains(corrupt("rte", "index\tsentence1\tsentence2\n0\tA\tB\n"), {"dev.tsv:1", "no column 'label'"});
  expect_contains(corrupt("rte", "index\tsentence1\tsentense2\tlabel\n0\tA\tB\tentailment\n"),
                  {"dev.tsv:1", "no column 'sentence2'", "did you mean 'sentence1'"});
  expect_contains(corrupt("rte", "index\tsentence1\tsentence2\tlabel\n" + std::string(50, '\t') + "\n"),
                  {"dev.tsv:2: 51 columns, expected 4"});
  expect_contains(corrupt("rte", "index\tsentence1\tsentence2\tlabel\n0\tA\tB\tneutral\n"),
                  {"dev.tsv:2: label 'neutral' is none of 'entailment', 'not_entailment'"});
}

}  // namespace mpibert
