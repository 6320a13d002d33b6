// Tasks of the user's own: columns by name or number, in CSV, TSV or JSON lines.

#include <bit>

#include "mpibert/tasks/task.h"
#include "tests/unit/data/data_support.h"

namespace mpibert {

using namespace test;

namespace {

Task own(const std::string& name, const std::string& text, const std::string& label, const std::string& second = {}) {
  Task task = make_task(name);
  task.files.text_a = text;
  task.files.label = label;
  if (!second.empty()) task.files.text_b = second;
  if (task.kind == TaskKind::kClassification) task.label_names = {"bad", "good"};
  return task;
}

class OwnTask : public testing::Test {
 protected:
  RawSplit read(const Task& task, const std::string& name, const std::string& text, const std::string& split = "train") {
    write_text(folder_ / name, text);
    return read_raw_split(task, folder_ / name, split);
  }
  std::string refused(const Task& task, const std::string& name, const std::string& text, ErrorKind kind = ErrorKind::kCorrupt) {
    return error_of(kind, [&] { read(task, name, text); });
  }
  TemporaryFolder folder_;
};

}  // namespace

TEST_F(OwnTask, ReadsCsvByTheRulesOfRfc4180) {
  const RawSplit split = read(own("classification", "review", "stars"), "a.csv",
                              "id,review,stars\r\n1,\"one, \"\"two\"\"\r\nthree\",good\r\n\r\n2,5\" tall,bad\r\n\"3\",\"\",\"good\"\r\n");
  ASSERT_EQ(split.examples.size(), 3u);
  EXPECT_EQ(split.examples[0].text_a, "one, \"two\"\nthree");
  EXPECT_EQ(split.examples[0].label, 1);
  EXPECT_EQ(split.examples[1].text_a, "5\" tall");
  EXPECT_EQ(split.examples[1].label, 0);
  EXPECT_EQ(split.examples[2].text_a, "");
}

TEST_F(OwnTask, ReadsTheSameRowsFromEveryForm) {
  const Task task = own("pair-classification", "premise", "is", "claim");
  const Task numbered = own("pair-classification", "3", "1", "2");
  for (const RawSplit& split : {read(task, "a.tsv", "is\tclaim\tpremise\ngood\t\"b\tA\n"),
                                read(task, "a.jsonl", "{\"premise\": \"A\", \"claim\": \"\\\"b\", \"is\": \"good\"}\n"),
                                read(task, "a.csv", "is,claim,premise\ngood,\"\"\"b\",A\n"), read(numbered, "b.tsv", "good\t\"b\tA\n"),
                                read(numbered, "b.csv", "good,\"\"\"b\",A\n")}) {
    ASSERT_EQ(split.examples.size(), 1u);
    EXPECT_EQ(split.examples[0].text_a, "A");
    EXPECT_EQ(split.examples[0].text_b, "\"b");
    EXPECT_EQ(split.examples[0].label, 1);
  }
}

TEST_F(OwnTask, OnlyATestFileMayLackLabels) {
  const Task task = own("classification", "text", "label");
  const RawSplit test = read(task, "a.csv", "text\nx\n", "test");
  EXPECT_FALSE(test.labelled);
  EXPECT_EQ(test.examples.size(), 1u);
  expect_contains(refused(task, "a.csv", "text,lable\nx,good\n"),
                  {"a.csv:1", "no column 'label' (did you mean 'lable'?); it has 'text', 'lable'"});
}

TEST_F(OwnTask, FindsLabelsSortedAndNumbersByValue) {
  const auto labels = [&](const std::string& text) {
    write_text(folder_ / "a.csv", "text,label\n" + text);
    return find_labels(make_task("classification"), folder_ / "a.csv", "train");
  };
  EXPECT_EQ(labels("a,good\nb,bad\nc,good\n"), (std::vector<std::string>{"bad", "good"}));
  EXPECT_EQ(labels("a,10\nb,2\nc,-1\n"), (std::vector<std::string>{"-1", "2", "10"}));
  EXPECT_EQ(labels("a,10\nb,2\nc,x\n"), (std::vector<std::string>{"10", "2", "x"}));
  expect_contains(error_of(ErrorKind::kCorrupt, [&] { labels("a,good\nb,good\n"); }), {"a.csv: 1 different labels in column 'label'"});
  expect_contains(error_of(ErrorKind::kCorrupt, [&] { labels("a,good\nb,\n"); }), {"a.csv:3: the label is empty"});
  write_text(folder_ / "a.jsonl", "{\"text\": \"a\", \"label\": 1}\n{\"text\": \"b\", \"label\": 0}\n");
  EXPECT_EQ(find_labels(make_task("classification"), folder_ / "a.jsonl", "train"), (std::vector<std::string>{"0", "1"}));
}

TEST_F(OwnTask, ARegressionTakesAnyFiniteNumber) {
  const Task task = own("regression", "text", "value");
  EXPECT_EQ(read(task, "a.csv", "text,value\nx,-1.5e3\n").examples[0].label, std::bit_cast<int32_t>(-1500.0f));
  EXPECT_EQ(read(task, "a.jsonl", "{\"text\": \"x\", \"value\": 0.25}\n").examples[0].label, std::bit_cast<int32_t>(0.25f));
  for (const char* bad : {"good", "", "1.5 ", "inf", "1e99"})
    expect_contains(refused(task, "a.csv", std::string("text,value\nx,1\ny,") + bad + "\n"), {std::string("a.csv:3: label '") + bad + "'"});
}

TEST_F(OwnTask, ErrorsNameFileAndLine) {
  const Task task = own("classification", "text", "label"), numbered = own("classification", "1", "2");
  expect_contains(refused(task, "a.csv", "text,label\n\"a\nb\",good\nc,good,4\n"), {"a.csv:4: 3 columns, expected 2 as in the header"});
  expect_contains(refused(task, "a.csv", "text,label\na,good\n\"b,bad\nc,bad\n"),
                  {"a.csv:3: a quote is opened in column 1 and never closed"});
  expect_contains(refused(task, "a.csv", "text,label\n\"a\"b,good\n"), {"a.csv:2: column 1 goes on after its closing quote"});
  expect_contains(refused(task, "a.csv", "text,label\n\na,ugly\n"), {"a.csv:3: label 'ugly' is none of 'bad', 'good'"});
  expect_contains(refused(task, "a.jsonl", "{\"text\": \"a\", \"label\": \"good\"}\n{\"text\": [], \"label\": \"good\"}\n"),
                  {"a.jsonl:2: member 'text' is []"});
  expect_contains(refused(task, "a.jsonl", "{\"text\": \"a\", \"label\": \"good\"}\n[1]\n"), {"a.jsonl:2: expected one JSON object"});
  expect_contains(refused(numbered, "a.tsv", "a\n"), {"a.tsv:1: no column 2; the first row has 1"});
  expect_contains(refused(own("classification", "1", "0"), "a.tsv", "a\tgood\n", ErrorKind::kInvalidArgument),
                  {"column 0: columns are numbered from 1"});
  expect_contains(refused(own("classification", "1", "label"), "a.tsv", "a\tgood\n", ErrorKind::kInvalidArgument),
                  {"column 'label'", "name all columns, or give the numbers"});
  expect_contains(refused(numbered, "a.jsonl", "{\"text\": \"a\"}\n", ErrorKind::kInvalidArgument), {"column 1 is a number"});
}

}  // namespace mpibert
