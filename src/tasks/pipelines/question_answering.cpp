#include <algorithm>

#include "mpibert/base/error.h"
#include "mpibert/model/heads.h"
#include "tasks/pipelines/pipelines.h"

namespace mpibert {

namespace {

// A text is "question<tab>context".
struct Question {
  std::string question, context;
};

Question question_of(const PipelineInput& input, const PipelineArguments& arguments) {
  Question read;
  if (const size_t tab = input.text.find('\t'); !input.json && tab != std::string::npos) {
    read = {input.text.substr(0, tab), input.text.substr(tab + 1)};
  } else if (input.json) {
    read = {arguments.text_or("question", "").value(), arguments.text_or("context", "").value()};
  }
  MPIBERT_CHECK(!read.question.empty() && !read.context.empty(), kCorrupt, input.where,
                R"(: expected a question and a context, neither empty, with a tab between them or as {"question": .., "context": ..})");
  return read;
}

}  // namespace

PipelineCall question_call(const BertTokenizer& tokenizer, const std::string& question, std::string context, const QaOptions& options,
                           const std::string& where, QaResult result) {
  const auto pieces = std::make_shared<const QaContext>(encode_context(tokenizer, std::move(context), options.convention));
  PipelineCall call;
  std::vector<QaFeature> features;
  try {
    features = encode_question(tokenizer, question, *pieces, options);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kInvalidArgument) throw;
    throw Error(ErrorKind::kCorrupt, str_cat(where, ": ", error.what()));
  }
  for (const QaFeature& feature : features) {
    PipelineSequence& sequence = call.sequences.emplace_back();
    sequence.encoding.ids = feature.input_ids;
    sequence.encoding.type_ids = feature.token_type_ids;
  }
  call.result = [pieces, features, result = std::move(result)](std::span<const std::vector<float>> logits) {
    std::vector<Prediction> predictions;
    for (const std::vector<float>& values : logits)
      predictions.push_back({.sample = static_cast<int64_t>(predictions.size()), .values = values});
    return result(*pieces, features, predictions);
  };
  return call;
}

nlohmann::ordered_json to_json(const std::vector<QaAnswer>& answers) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const QaAnswer& each : answers)
    list.push_back({{"score", each.score}, {"start", each.start}, {"end", each.end}, {"answer", each.answer}});
  return answers.size() == 1 ? list.front() : list;
}

// transformers' QuestionAnsweringPipeline (4.57; 5 has it no more), with the windows of run_qa.py.
Pipeline question_answering(const PipelineModel& model, const PipelineOptions& options) {
  const int64_t most = PipelineEncoder(model, options).max_length(),
                max_length = options.max_length > 0 ? most : std::min(most, QaOptions{}.max_seq_length);
  const auto call = [tokenizer = model.tokenizer, options, max_length](const PipelineInput& input) -> PipelineCall {
    const PipelineArguments arguments(
        input, {"question", "context", "top_k", "max_answer_len", "handle_impossible_answer", "align_to_words", "doc_stride"});
    const Question read = question_of(input, arguments);
    const auto at_least_1 = [&](const char* name, int64_t otherwise) {
      const int64_t value = *arguments.integer_or(name, otherwise);
      MPIBERT_CHECK(value >= 1, kCorrupt, input.where, ": ", name, " is ", value, "; expected at least 1");
      return value;
    };
    const QaPipelineOptions mine{
        .top_k = at_least_1("top_k", options.top_k.value_or(1)),
        .max_answer_len = at_least_1("max_answer_len", options.max_answer_len),
        .handle_impossible_answer = arguments.boolean_or("handle_impossible_answer", options.handle_impossible_answer),
        .align_to_words = arguments.boolean_or("align_to_words", options.align_to_words)};
    const QaOptions windows{.max_seq_length = max_length,
                            .doc_stride = std::min(at_least_1("doc_stride", options.doc_stride), max_length / 2)};
    return question_call(
        tokenizer, read.question, read.context, windows, input.where,
        [tokenizer, mine](const QaContext& context, std::span<const QaFeature> features, std::span<const Prediction> logits) {
          return json_line(to_json(pipeline_answers(tokenizer, context, features, logits, mine)));
        });
  };
  return {.head = {[](const BertConfig& config, ParameterArena& arena) { return std::make_unique<QuestionAnsweringHead>(config, arena); },
                   false},
          .head_name = "a head for questions (BertForQuestionAnswering)",
          .call = call};
}

}  // namespace mpibert
