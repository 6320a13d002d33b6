// Contexts and choices: SWAG's own files, and those of the user in other forms.

#include "mpibert/tasks/prepare.h"
#include "tests/unit/data/data_support.h"

namespace mpibert {

using namespace test;

namespace {

Task own(const std::vector<std::string>& choices, const std::string& beginning = "") {
  Task task = make_task("multiple-choice");
  task.files.choices = choices;
  task.files.text_b = beginning;
  task.pair = !beginning.empty();
  return task;
}

class MultipleChoice : public testing::Test {
 protected:
  RawSplit read(const Task& task, const std::string& name, const std::string& text, const std::string& split = "train") {
    write_text(folder_ / name, text);
    return read_raw_split(task, folder_ / name, split);
  }
  std::string refused(const Task& task, const std::string& name, const std::string& text, const std::string& split = "train") {
    return error_of(ErrorKind::kCorrupt, [&] { read(task, name, text, split); });
  }
  TemporaryFolder folder_;
};

const std::string kSwagHeader = ",video-id,fold-ind,startphrase,sent1,sent2,gold-source,ending0,ending1,ending2,ending3";

}  // namespace

TEST_F(MultipleChoice, ReadsSwagsFiles) {
  const RawSplit train =
      read(make_task("swag"), "train.csv",
           kSwagHeader + ",label\n0,v,1,\"A, b. She\",\"A, b.\",She,gold,runs.,\"sits, and\",flies.,\"\"\"sings.\"\"\",3\n");
  ASSERT_EQ(train.examples.size(), 1u);
  EXPECT_EQ(train.examples[0].text_a, "A, b.");
  EXPECT_FALSE(train.examples[0].text_b);
  EXPECT_EQ(train.examples[0].choices, (std::vector<std::string>{"She runs.", "She sits, and", "She flies.", "She \"sings.\""}));
  EXPECT_EQ(train.examples[0].label, 3);
  const RawSplit test = read(make_task("swag"), "test.csv", kSwagHeader + "\n0,v,1,A. She,A.,She,gold,a,b,c,d\n", "test");
  EXPECT_FALSE(test.labelled);
  EXPECT_EQ(test.examples[0].choices.size(), 4u);
  for (const char* file : {"train.csv", "val.csv"}) write_text(folder_ / file, "");
  EXPECT_EQ(find_raw_splits(make_task("swag"), folder_.path()), (std::vector<std::string>{"train", "dev", "test"}));
}

TEST_F(MultipleChoice, ReadsTheSameRowsFromEveryForm) {
  const std::vector<std::string> columns = {"a", "b"};
  Task numbered = own({"3", "4"});
  numbered.files.text_a = "1";
  numbered.files.label = "2";
  for (const RawSplit& split :
       {read(own({"choices"}), "a.jsonl",
             R"({"context": "c", "choices": ["x", "y z"], "label": 1})"
             "\n"),
        read(own({"choices"}), "b.jsonl",
             R"({"label": "1", "choices": ["x", "y z"], "context": "c"})"
             "\n"),
        read(own(columns), "c.jsonl",
             R"({"context": "c", "a": "x", "b": "y z", "label": 1})"
             "\n"),
        read(own(columns), "a.csv", "b,label,context,a\ny z,1,c,x\n"), read(own(columns), "a.tsv", "context\ta\tb\tlabel\nc\tx\ty z\t1\n"),
        read(numbered, "b.tsv", "c\t1\tx\ty z\n")}) {
    ASSERT_EQ(split.examples.size(), 1u);
    EXPECT_EQ(split.examples[0].text_a, "c");
    EXPECT_EQ(split.examples[0].choices, (std::vector<std::string>{"x", "y z"}));
    EXPECT_EQ(split.examples[0].label, 1);
  }
  const RawSplit begun = read(own({"choices"}, "she"), "d.jsonl",
                              R"({"context": "c", "she": "She", "choices": ["x", ""], "label": 0})"
                              "\n");
  EXPECT_EQ(begun.examples[0].choices, (std::vector<std::string>{"She x", "She "})) << "with a space, as run_swag.py joins them";
}

TEST_F(MultipleChoice, ErrorsNameFileAndLine) {
  const Task list = own({"choices"}), two = own({"a", "b"});
  const auto line = [](const std::string& choices, const std::string& label) {
    return R"({"context": "c", "choices": )" + choices + R"(, "label": )" + label + "}\n";
  };
  expect_contains(refused(make_task("swag"), "a.csv", "sent1,sent2,ending0,ending1,ending2,label\na,b,c,d,e,0\n"),
                  {"a.csv:1", "no column 'ending3' (did you mean 'ending0'?)"});
  expect_contains(refused(list, "a.csv", "context,a,b,label\nc,x,y,0\n"), {"a.csv:1", "no column 'choices'"});
  expect_contains(refused(list, "a.jsonl", line(R"(["x", "y"])", "0") + line(R"(["x", "y", "z"])", "0")),
                  {"a.jsonl:2: 3 choices, expected 2 as in all other rows"});
  expect_contains(refused(list, "a.jsonl", line(R"(["x"])", "0")), {"a.jsonl:1: 1 choices, expected at least 2"});
  expect_contains(refused(list, "a.jsonl", line(R"("x")", "0")), {"a.jsonl:1: 1 choices, expected at least 2"});
  expect_contains(refused(list, "a.jsonl", line(R"(["x", null])", "0")),
                  {"a.jsonl:1: member 'choices' has null, expected a text or a number"});
  expect_contains(refused(list, "a.jsonl", line(R"(["x", "y"])", "2")), {"a.jsonl:1: label '2' is none of '0', '1'"});
  expect_contains(refused(two, "a.csv", "context,a,b,label\nc,x,y,-1\n"), {"a.csv:2: label '-1' is none of '0', '1'"});
  expect_contains(refused(two, "a.jsonl",
                          R"({"context": "c", "a": ["x"], "b": "y", "label": 0})"
                          "\n"),
                  {"member 'a' is [\"x\"]"});
  expect_contains(refused(two, "a.csv", "context,a,b\nc,x,y\n"), {"a.csv:1", "no column 'label'"});
}

TEST_F(MultipleChoice, ASampleIsPreparedAsSequencesEndToEnd) {
  write_text(folder_ / "train.jsonl", R"({"context": "a b", "choices": ["c", "a a a a a a", "b"], "label": 2})"
                                      "\n");
  write_text(folder_ / "test.jsonl", R"({"context": "a", "choices": ["b", "c", "c c"]})"
                                     "\n");
  const BertTokenizer tokenizer(Vocabulary::from_tokens({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c"}));
  NoExchange alone;
  const Manifest manifest =
      prepare({.task = make_task("multiple-choice"), .inputs = {{"", {folder_.path()}}}, .output = folder_ / "shards", .max_seq_length = 8},
              tokenizer, alone);
  EXPECT_EQ(manifest.label_names, (std::vector<std::string>{"0", "1", "2"}));
  const Dataset train(folder_ / "shards", "train"), test(folder_ / "shards", "test");
  EXPECT_EQ(train.choices(), 3);
  EXPECT_EQ(train.longest(), 20);
  EXPECT_EQ(train.longest_sequence(), 8) << "which is what a model must have positions for";
  const Sample sample = train.read(std::vector<int64_t>{0})[0];
  EXPECT_EQ(sample.input_ids, (std::vector<int32_t>{2, 5, 6, 3, 7, 3, 2, 5, 6, 3, 5, 5, 5, 3, 2, 5, 6, 3, 6, 3}));
  EXPECT_EQ(sample.token_type_ids, (std::vector<int32_t>{0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1}));
  EXPECT_EQ(sample.label(kChoiceLengths), (std::vector<int32_t>{6, 8, 6}));
  EXPECT_EQ(sample.label("labels"), (std::vector<int32_t>{2}));
  EXPECT_FALSE(has_field(test.labels(), "labels"));
  EXPECT_EQ(test.read(std::vector<int64_t>{0})[0].label(kChoiceLengths), (std::vector<int32_t>{5, 5, 6}));

  write_text(folder_ / "dev.jsonl", R"({"context": "a", "choices": ["b", "c"], "label": 0})"
                                    "\n");
  expect_contains(error_of(ErrorKind::kCorrupt,
                           [&] {
                             prepare(
                                 {.task = make_task("multiple-choice"), .inputs = {{"", {folder_.path()}}}, .output = folder_ / "other"},
                                 tokenizer, alone);
                           }),
                  {"dev.jsonl:1: 2 choices, expected 3"});
}

}  // namespace mpibert
