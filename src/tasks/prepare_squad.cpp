#include <algorithm>

#include "base/parallel.h"
#include "mpibert/base/error.h"
#include "mpibert/base/file.h"
#include "mpibert/base/sha256.h"
#include "mpibert/tasks/question_answering.h"
#include "tasks/prepare_plan.h"
#include "tasks/raw_files.h"

namespace mpibert {

namespace {

constexpr int64_t kUnitQuestions = 2048;

// What is read once, on every rank.
struct RawSquad {
  std::string text;  // of the file
  SquadData data;
  bool labelled = false;
};

void check_answers(const Task& task, const RawSquad& raw, const std::string& where, bool training) {
  for (const SquadQuestion& question : raw.data.questions) {
    MPIBERT_CHECK(question.has_answers == raw.labelled, kCorrupt, where, ": question ", question.id,
                  question.has_answers ? " has" : " lacks", " \"answers\", unlike the first one");
    MPIBERT_CHECK(!training || question.has_answers, kCorrupt, where, ": question ", question.id, " has no \"answers\" to learn from");
    MPIBERT_CHECK(task.may_be_impossible || !question.has_answers || !question.answers.empty(), kCorrupt, where, ": question ", question.id,
                  " has no answer, as questions of SQuAD 2.0 may; task ", task.name,
                  " is for data in which all have one, use --task squad2");
  }
}

RawSquad read_split(const Task& task, const NamedSplit& split) {
  const std::filesystem::path file = raw_file_of(task, split.path, split.name);
  RawSquad raw{.text = read_squad_text(file), .data = {}};
  raw.data = parse_squad(raw.text, file.string());
  raw.labelled = raw.data.questions.front().has_answers;
  check_answers(task, raw, file.string(), split.name == "train");
  return raw;
}

// Questions begin .. end-1, with the contexts they are about.
SquadData part_of(const SquadData& data, size_t begin, size_t end) {
  SquadData part;
  const size_t first = data.questions[begin].context, last = data.questions[end - 1].context;
  part.contexts.assign(data.contexts.begin() + static_cast<ptrdiff_t>(first), data.contexts.begin() + static_cast<ptrdiff_t>(last) + 1);
  part.questions.assign(data.questions.begin() + static_cast<ptrdiff_t>(begin), data.questions.begin() + static_cast<ptrdiff_t>(end));
  for (SquadQuestion& question : part.questions) question.context -= first;
  return part;
}

void add_samples(const BertTokenizer& tokenizer, const QaSplit& split, bool labelled, UnitWriter& writer) {
  std::vector<std::optional<Span>> answers(split.data.questions.size());
  for_each_in_parallel(static_cast<int64_t>(answers.size()), [&](int64_t i) {
    const SquadQuestion& question = split.data.questions[static_cast<size_t>(i)];
    if (!question.impossible && !question.answers.empty())
      answers[static_cast<size_t>(i)] =
          answer_pieces(tokenizer, split.contexts[question.context], question.answers.front(), split.options.convention);
  });
  for (size_t i = 0; i < answers.size(); ++i) {
    for (const QaFeature& feature : split.features[i]) {
      const Span positions = positions_of(feature, answers[i]);
      Sample sample{.input_ids = feature.input_ids, .token_type_ids = feature.token_type_ids, .labels = {}};
      if (labelled) sample.labels = {{"start_positions", {positions.begin}}, {"end_positions", {positions.end}}};
      writer.add(sample);
    }
  }
}

}  // namespace

PreparePlan plan_squad(const PrepareOptions& options, const BertTokenizer& tokenizer) {
  QaOptions qa = options.qa;
  qa.max_seq_length = options.max_seq_length;
  MPIBERT_CHECK(qa.doc_stride > 0 && qa.max_query_length > 0, kInvalidArgument, "doc_stride is ", qa.doc_stride, ", max_query_length ",
                qa.max_query_length, "; expected at least 1");
  PreparePlan plan;
  plan.options = to_manifest(qa);
  auto raws = std::make_shared<std::vector<RawSquad>>();
  for (const NamedSplit& split : raw_splits(options, options.task)) {
    RawSquad& raw = raws->emplace_back(read_split(options.task, split));
    const int64_t dropped = split.name == "train" && qa.convention == QaConvention::kRunSquad ? drop_lost_answers(raw.data) : 0;
    plan.splits.push_back({.name = split.name, .labels = labels_of(options.task, raw.labelled), .dropped = dropped, .shards = {}});
    plan.units.push_back((static_cast<int64_t>(raw.data.questions.size()) + kUnitQuestions - 1) / kUnitQuestions);
    plan.options.emplace_back("sha256_" + raw_squad_file(split.name), sha256_hex(raw.text));
  }
  plan.make = [&options, &tokenizer, qa, raws, splits = plan.splits](size_t split, int64_t unit) {
    const RawSquad& raw = (*raws)[split];
    if (unit == 0) write_file_atomically(options.output / raw_squad_file(splits[split].name), raw.text);
    const auto begin = static_cast<size_t>(unit * kUnitQuestions),
               end = std::min(begin + static_cast<size_t>(kUnitQuestions), raw.data.questions.size());
    UnitWriter writer(options, tokenizer.vocabulary(), splits[split], unit);
    add_samples(tokenizer, make_qa_split(tokenizer, part_of(raw.data, begin, end), qa), raw.labelled, writer);
    return writer.finish();
  };
  return plan;
}

}  // namespace mpibert
