#include "tasks/task_table.h"

namespace mpibert {

namespace {

const std::string kSplit = "%";  // stands for train, dev, test in names of files

std::vector<SentenceFiles::Split> splits(const std::vector<std::string>& files) {
  std::vector<SentenceFiles::Split> all;
  for (const std::string name : {"train", "dev", "test"}) {
    all.push_back({name, files});
    for (std::string& file : all.back().files) file.replace(file.find(kSplit), kSplit.size(), name);
  }
  return all;
}

const std::vector<SentenceFiles::Split> kGlue = splits({"%.tsv"});
const std::vector<SentenceFiles::Split> kOwn = splits({"%.csv", "%.tsv", "%.jsonl"});
const std::vector<SentenceFiles::Split> kSick = {
    {"train", {"SICK_train.txt"}}, {"dev", {"SICK_trial.txt"}}, {"test", {"SICK_test_annotated.txt"}}};
const std::vector<SentenceFiles::Split> kMnli = {{"train", {"train.tsv", "multinli_1.0_train.jsonl"}},
                                                 {"dev", {"dev_matched.tsv", "multinli_1.0_dev_matched.jsonl"}},
                                                 {"dev_mismatched", {"dev_mismatched.tsv", "multinli_1.0_dev_mismatched.jsonl"}},
                                                 {"test", {"test_matched.tsv"}},
                                                 {"test_mismatched", {"test_mismatched.tsv"}}};
const std::vector<std::string> kNli = {"entailment", "neutral", "contradiction"};

}  // namespace

// Files and columns as GLUE's archives have them (Wang et al. 2018, arXiv:1804.07461; gluebenchmark.com). Label numbers and names as on the
// Hugging Face hub. Metrics as GLUE's; SQuAD's as its official scripts'; CoLA's by Warstadt et al. 2018, STS-B's by Cer et al. 2017.
const std::vector<Task>& task_table() {
  static const std::vector<Task> tasks = {
      {.name = "pretraining",
       .kind = TaskKind::kPretraining,
       .pair = true,
       .summary = "masked language model and next-sentence prediction on raw text"},
      {.name = "masked-lm", .kind = TaskKind::kPretraining, .summary = "masked language model alone, on segments of documents, as RoBERTa"},

      {.name = "cola",
       .label_names = {"unacceptable", "acceptable"},
       .metrics = {"matthews_correlation", "accuracy"},
       .summary = "Corpus of Linguistic Acceptability (GLUE): is a sentence English?",
       .files = {.splits = kGlue,
                 .text_a = "sentence",
                 .label = "label",
                 .columns = {"source", "label", "mark", "sentence"},
                 .raw_labels = {"0", "1"}}},
      {.name = "sst2",
       .label_names = {"negative", "positive"},
       .metrics = {"accuracy"},
       .summary = "Stanford Sentiment Treebank (GLUE): is a sentence of a film review positive?",
       .files = {.splits = kGlue, .text_a = "sentence", .label = "label", .raw_labels = {"0", "1"}}},
      {.name = "mrpc",
       .pair = true,
       .label_names = {"not_equivalent", "equivalent"},
       .metrics = {"accuracy", "f1"},
       .summary = "Microsoft Research Paraphrase Corpus (GLUE): do two sentences mean the same?",
       .files = {.splits = kGlue, .text_a = "#1 String", .text_b = "#2 String", .label = "Quality", .raw_labels = {"0", "1"}}},
      // A few of its training rows are broken by line ends inside questions; GLUE's own readers leave them out.
      {.name = "qqp",
       .pair = true,
       .label_names = {"not_duplicate", "duplicate"},
       .metrics = {"accuracy", "f1"},
       .summary = "Quora Question Pairs (GLUE): do two questions ask the same?",
       .files = {.splits = kGlue,
                 .text_a = "question1",
                 .text_b = "question2",
                 .label = "is_duplicate",
                 .raw_labels = {"0", "1"},
                 .drop_ragged = true}},
      {.name = "stsb",
       .kind = TaskKind::kRegression,
       .pair = true,
       .minimum = 0,
       .maximum = 5,
       .metrics = {"pearson", "spearmanr", "combined_score"},
       .summary = "Semantic Textual Similarity Benchmark (GLUE): how alike are two sentences, 0 to 5?",
       .files = {.splits = kGlue, .text_a = "sentence1", .text_b = "sentence2", .label = "score"}},
      {.name = "mnli",
       .pair = true,
       .label_names = kNli,
       .metrics = {"accuracy"},
       .summary = "Multi-Genre Natural Language Inference (GLUE): entailment, neutral or contradiction?",
       .files = {.splits = kMnli, .text_a = "sentence1", .text_b = "sentence2", .label = "gold_label", .no_label = "-"}},
      {.name = "qnli",
       .pair = true,
       .label_names = {"entailment", "not_entailment"},
       .metrics = {"accuracy"},
       .summary = "Question-answering NLI (GLUE): does a sentence answer a question?",
       .files = {.splits = kGlue, .text_a = "question", .text_b = "sentence", .label = "label"}},
      {.name = "rte",
       .pair = true,
       .label_names = {"entailment", "not_entailment"},
       .metrics = {"accuracy"},
       .summary = "Recognizing Textual Entailment (GLUE): does the first sentence entail the second?",
       .files = {.splits = kGlue, .text_a = "sentence1", .text_b = "sentence2", .label = "label"}},
      {.name = "wnli",
       .pair = true,
       .label_names = {"not_entailment", "entailment"},
       .metrics = {"accuracy"},
       .summary = "Winograd NLI (GLUE): does the sentence with the pronoun replaced follow?",
       .files = {.splits = kGlue, .text_a = "sentence1", .text_b = "sentence2", .label = "label", .raw_labels = {"0", "1"}}},

      {.name = "snli",
       .pair = true,
       .label_names = kNli,
       .metrics = {"accuracy"},
       .summary = "Stanford Natural Language Inference: does the first sentence entail or contradict the second?",
       .files = {.splits = splits({"snli_1.0_%.jsonl", "snli_1.0_%.txt", "snli_1.0_%.tsv", "%.jsonl", "%.txt", "%.tsv"}),
                 .text_a = "sentence1",
                 .text_b = "sentence2",
                 .label = "gold_label",
                 .no_label = "-"}},
      {.name = "sick",
       .pair = true,
       .label_names = kNli,
       .metrics = {"accuracy"},
       .summary = "Sentences Involving Compositional Knowledge: entailment, neutral or contradiction?",
       .files = {.splits = kSick,
                 .text_a = "sentence_A",
                 .text_b = "sentence_B",
                 .label = "entailment_judgment",
                 .raw_labels = {"ENTAILMENT", "NEUTRAL", "CONTRADICTION"}}},
      {.name = "sick-relatedness",
       .kind = TaskKind::kRegression,
       .pair = true,
       .minimum = 1,
       .maximum = 5,
       .metrics = {"pearson", "spearmanr", "combined_score"},
       .summary = "Sentences Involving Compositional Knowledge: how related are two sentences, 1 to 5?",
       .files = {.splits = kSick, .text_a = "sentence_A", .text_b = "sentence_B", .label = "relatedness_score"}},

      {.name = "swag",
       .kind = TaskKind::kMultipleChoice,
       .pair = true,
       .label_names = choice_numbers(4),
       .metrics = {"accuracy"},
       .summary = "Situations With Adversarial Generations: which of four endings follows?",
       .files = {.splits = {{"train", {"train.csv"}}, {"dev", {"val.csv", "dev.csv"}}, {"test", {"test.csv"}}},
                 .text_a = "sent1",
                 .text_b = "sent2",
                 .choices = {"ending0", "ending1", "ending2", "ending3"},
                 .label = "label"}},

      {.name = "ner",
       .kind = TaskKind::kTokenClassification,
       .own = true,
       .metrics = {"f1", "precision", "recall", "accuracy"},
       .summary = "your own tags of words: named entities, parts of speech",
       .files = {.splits = {{"train", {"train.conll", "train.txt", "eng.train"}},
                            {"dev", {"dev.conll", "dev.txt", "valid.txt", "eng.testa"}},
                            {"test", {"test.conll", "test.txt", "eng.testb"}}},
                 .text_a = "first column",
                 .label = "last column"}},
      {.name = "squad",
       .kind = TaskKind::kQuestionAnswering,
       .metrics = {"exact_match", "f1"},
       .summary = "Stanford Question Answering Dataset 1.1: where is the answer?",
       .files = {.splits = splits({"%-v1.1.json", "%.json"})}},
      {.name = "squad2",
       .kind = TaskKind::kQuestionAnswering,
       .may_be_impossible = true,
       .metrics = {"f1", "exact"},
       .summary = "Stanford Question Answering Dataset 2.0: where is the answer, if there is one?",
       .files = {.splits = splits({"%-v2.0.json", "%.json"})}},

      {.name = "question-answering",
       .kind = TaskKind::kQuestionAnswering,
       .may_be_impossible = true,
       .metrics = {"f1", "exact"},
       .summary = "your own contexts and questions, in SQuAD's form; some may have no answer",
       .files = {.splits = splits({"%.json"})}},
      {.name = "classification",
       .own = true,
       .metrics = {"accuracy", "matthews_correlation"},
       .summary = "your own texts and labels",
       .files = {.splits = kOwn, .text_a = "text", .label = "label"}},
      {.name = "pair-classification",
       .pair = true,
       .own = true,
       .metrics = {"accuracy", "matthews_correlation"},
       .summary = "your own pairs of texts and labels",
       .files = {.splits = kOwn, .text_a = "text", .text_b = "second_text", .label = "label"}},
      {.name = "multiple-choice",
       .kind = TaskKind::kMultipleChoice,
       .own = true,
       .metrics = {"accuracy"},
       .summary = "your own contexts and choices, one of them right",
       .files = {.splits = kOwn, .text_a = "context", .choices = {"choices"}, .label = "label"}},
      {.name = "regression",
       .kind = TaskKind::kRegression,
       .own = true,
       .metrics = {"pearson", "spearmanr", "combined_score"},
       .summary = "your own texts, or pairs of texts, and numbers",
       .files = {.splits = kOwn, .text_a = "text", .label = "label"}},
  };
  return tasks;
}

}  // namespace mpibert
