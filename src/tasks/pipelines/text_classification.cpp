#include <algorithm>
#include <cmath>
#include <numeric>

#include "mpibert/base/error.h"
#include "mpibert/tasks/task.h"
#include "tasks/pipelines/pipelines.h"

namespace mpibert {

namespace {

enum class Function : uint8_t { kSoftmax, kSigmoid, kNone };

Function default_function(const BertConfig& config, size_t labels) {
  const auto found = config.other.find("problem_type");
  const std::string type = found == config.other.end() ? "" : found->second;
  if (type == "\"regression\"") return Function::kNone;
  return type == "\"multi_label_classification\"" || labels == 1 ? Function::kSigmoid : Function::kSoftmax;
}

Function function_named(const std::string& name, Function otherwise, const std::string& where) {
  if (name == "default") return otherwise;
  if (name == "softmax") return Function::kSoftmax;
  if (name == "sigmoid") return Function::kSigmoid;
  MPIBERT_CHECK(name == "none", kCorrupt, where, ": function_to_apply is '", name, "'; there are softmax, sigmoid, none and default");
  return Function::kNone;
}

std::vector<double> applied(Function function, std::span<const float> logits) {
  if (function == Function::kSoftmax) return softmax(logits);
  std::vector<double> scores(logits.begin(), logits.end());
  if (function == Function::kSigmoid)
    for (double& score : scores) score = 1 / (1 + std::exp(-score));
  return scores;
}

struct Classification {
  std::vector<std::string> names;
  Function function;
  std::optional<int64_t> top_k;  // absent: the best, not in a list; 0: all

  std::string result(std::span<const float> logits) const {
    const std::vector<double> scores = applied(function, logits);
    std::vector<size_t> order(scores.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::ranges::stable_sort(order, [&](size_t a, size_t b) { return scores[a] > scores[b]; });
    if (top_k && *top_k > 0) order.resize(std::min(order.size(), static_cast<size_t>(*top_k)));
    const auto object = [&](size_t label) { return nlohmann::ordered_json{{"label", names[label]}, {"score", scores[label]}}; };
    if (!top_k) return json_line(object(order[0]));
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const size_t label : order) list.push_back(object(label));
    return json_line(list);
  }
};

}  // namespace

// transformers' TextClassificationPipeline: {"label", "score"}; with top_k a list of them.
Pipeline text_classification(const PipelineModel& model, const PipelineOptions& options) {
  const std::vector<std::string> names = pipeline_labels(model.config);
  const Function function = function_named(options.function_to_apply, default_function(model.config, names.size()), "--function-to-apply");
  const Classification common{.names = names, .function = function, .top_k = options.top_k};
  return {.head = classifier(static_cast<int64_t>(names.size())),
          .head_name = "a classifier (BertForSequenceClassification)",
          .call = [common, encode = PipelineEncoder(model, options)](const PipelineInput& input) -> PipelineCall {
            const PipelineArguments arguments(input, {"text", "inputs", "text_pair", "top_k", "function_to_apply"});
            Classification mine = common;
            if (arguments.has("top_k")) mine.top_k = arguments.is_null("top_k") ? 0 : arguments.integer_or("top_k", 0);
            MPIBERT_CHECK(mine.top_k.value_or(0) >= 0, kCorrupt, arguments.where(), ": top_k is ", *mine.top_k,
                          "; expected at least 1, or null for all labels");
            mine.function = function_named(*arguments.text_or("function_to_apply", "default"), common.function, arguments.where());
            std::optional<std::string> pair = arguments.text_or("text_pair", std::nullopt);
            if (pair && pair->empty()) pair.reset();  // as transformers, whose tokenizer takes an empty second text for none
            Encoding encoding = encode(arguments.text({"text", "inputs"}), pair, arguments.where());
            return {.sequences = {{std::move(encoding)}},
                    .result = [mine](std::span<const std::vector<float>> logits) { return mine.result(logits[0]); }};
          }};
}

}  // namespace mpibert
