#include <algorithm>
#include <cmath>
#include <numeric>

#include "mpibert/base/error.h"
#include "mpibert/tasks/task.h"
#include "tasks/pipelines/pipelines.h"

namespace mpibert {

namespace {

// Which of the model's labels says that the hypothesis follows, and which that it does not: as transformers looks for them.
struct Nli {
  size_t entailment = 0, contradiction = 0;
};

Nli labels_of_nli(const std::vector<std::string>& names, const std::filesystem::path& folder) {
  const auto is_entailment = [](std::string name) {
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return name.starts_with("entail");
  };
  const auto found = std::ranges::find_if(names, is_entailment);
  MPIBERT_CHECK(found != names.end() && names.size() >= 2, kInvalidArgument, folder.string(),
                ": zero-shot-classification needs a model of natural language inference: no label in its config.json (id2label) begins "
                "with 'entail'");
  const auto entailment = static_cast<size_t>(found - names.begin());
  return {.entailment = entailment, .contradiction = entailment == 0 ? names.size() - 1 : 0};
}

// Python's template.format(label) for templates with one {}, or {0}.
std::string formatted(std::string_view form, std::string_view label, const std::string& where) {
  std::string text;
  int places = 0;
  for (size_t i = 0; i < form.size(); ++i) {
    const std::string_view rest = form.substr(i);
    if (rest.starts_with("{{") || rest.starts_with("}}")) {
      text += form[i++];
    } else if (rest.starts_with("{}") || rest.starts_with("{0}")) {
      text += label;
      i += rest.starts_with("{}") ? 1 : 2;
      ++places;
    } else {
      MPIBERT_CHECK(form[i] != '{' && form[i] != '}', kUsage, where, ": the hypothesis template '", form,
                    "' has a lone brace; {} stands for the label, {{ for a brace");
      text += form[i];
    }
  }
  MPIBERT_CHECK(places == 1, kUsage, where, ": the hypothesis template '", form, "' has ", places,
                " places for the label; one {} is expected, as in 'This example is {}.'");
  return text;
}

std::string ranking(const std::string& text, const std::vector<std::string>& labels, const std::vector<double>& scores) {
  std::vector<size_t> order(labels.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, [&](size_t a, size_t b) { return scores[a] < scores[b]; });
  std::ranges::reverse(order);
  nlohmann::ordered_json object = {
      {"sequence", text}, {"labels", nlohmann::ordered_json::array()}, {"scores", nlohmann::ordered_json::array()}};
  for (const size_t i : order) {
    object["labels"].push_back(labels[i]);
    object["scores"].push_back(scores[i]);
  }
  return json_line(object);
}

// One label, or several that do not exclude each other: entailment against contradiction of each. Otherwise entailment of one against that
// of the others.
std::vector<double> scores_of(const Nli& nli, bool each_alone, std::span<const std::vector<float>> logits) {
  std::vector<float> entailments;
  std::vector<double> scores;
  for (const std::vector<float>& row : logits) {
    entailments.push_back(row[nli.entailment]);
    scores.push_back(softmax(std::vector<float>{row[nli.contradiction], row[nli.entailment]})[1]);
  }
  return each_alone ? scores : softmax(entailments);
}

}  // namespace

// transformers' ZeroShotClassificationPipeline: every candidate label makes a hypothesis, the text is its premise. {"sequence", "labels",
// "scores"}, best first.
Pipeline zero_shot_classification(const PipelineModel& model, const PipelineOptions& options) {
  const std::vector<std::string> names = pipeline_labels(model.config);
  const auto call = [nli = labels_of_nli(names, model.folder), options,
                     encode = PipelineEncoder(model, options)](const PipelineInput& input) -> PipelineCall {
    const PipelineArguments arguments(input, {"sequences", "text", "inputs", "candidate_labels", "hypothesis_template", "multi_label"});
    const std::string text = arguments.text({"sequences", "text", "inputs"});
    std::vector<std::string> labels = arguments.texts_or("candidate_labels", options.candidate_labels);
    if (!arguments.has("candidate_labels") || arguments.is_text("candidate_labels"))
      labels = comma_separated(labels);  // a list's labels may have commas
    MPIBERT_CHECK(
        !labels.empty(), kUsage, arguments.where(),
        ": zero-shot-classification has no labels to choose from; give --candidate-labels a,b,c, or candidate_labels in the line");
    const std::string form = *arguments.text_or("hypothesis_template", options.hypothesis_template);
    PipelineCall made;
    for (const std::string& label : labels)
      made.sequences.push_back({encode(text, formatted(form, label, arguments.where()), arguments.where(), Truncation::kOnlyFirst)});
    const bool each_alone = arguments.boolean_or("multi_label", options.multi_label) || labels.size() == 1;
    made.result = [nli, text, labels, each_alone](std::span<const std::vector<float>> logits) {
      return ranking(text, labels, scores_of(nli, each_alone, logits));
    };
    return made;
  };
  return {.head = classifier(static_cast<int64_t>(names.size())),
          .head_name = "a classifier (BertForSequenceClassification) trained on natural language inference",
          .call = call};
}

}  // namespace mpibert
