#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mpibert/model/bert.h"
#include "mpibert/tasks/question_answering.h"
#include "mpibert/text/tokenizer.h"

namespace mpibert {

// What transformers calls a pipeline: arguments of a call → sequences for the model → its logits → the result, as JSON. Pipelines are rows
// of a table (src/tasks/pipelines/table.cpp), a file each; names, arguments, defaults and results are those of transformers 5.

// The folder a pipeline runs.
struct PipelineModel {
  std::filesystem::path folder;
  BertConfig config;
  BertTokenizer tokenizer;
};
PipelineModel open_pipeline_model(const std::filesystem::path& folder);  // throws kNotFound, kCorrupt, kInvalidArgument

// Arguments of all calls; a call given as JSON may have its own.
struct PipelineOptions {
  std::optional<int64_t> top_k{};             // results a text; text-classification: absent: the best alone, 0: all; fill-mask: absent: 5;
                                              // question-answering: absent: 1
  std::string function_to_apply = "default";  // text-classification: softmax, sigmoid, none; default: as the model's problem_type says
  std::string aggregation_strategy = "none";  // token-classification: what becomes one result: none, simple, first, average, max
  std::vector<std::string> ignore_labels = {"O"};           // token-classification
  std::vector<std::string> targets{};                       // fill-mask: words to choose from; empty: the whole vocabulary
  std::vector<std::string> candidate_labels{};              // zero-shot-classification
  std::string hypothesis_template = "This example is {}.";  // zero-shot-classification
  bool multi_label = false;                                 // zero-shot-classification: labels are judged each by itself
  std::string pooling = "auto",
              normalize =
                  "auto";  // sentence-embeddings: mean, cls, max; true, false; auto: as the folder's modules.json says, else mean, false
  int64_t max_answer_len = 15;  // question-answering: these as QaPipelineOptions,
  bool handle_impossible_answer = false, align_to_words = true;
  int64_t doc_stride = 128;  // question-answering: tokens that two windows of a long context share
  bool truncation = true;    // longer texts are cut; false: refused
  int64_t max_length = 0;    // tokens of a sequence; 0: as many as the model takes
};

// One call: a text, or JSON: a string, or an object of the pipeline's arguments.
struct PipelineInput {
  std::string text;
  bool json = false;
  std::string where = "the text";  // named in errors: "reviews.jsonl:3"
};

// A sequence for the model, and the tokens whose rows of logits are wanted where a head computes few (masked-LM).
struct PipelineSequence {
  Encoding encoding;
  std::vector<int32_t> positions{};
};

struct PipelineCall {
  std::vector<PipelineSequence> sequences;
  // The result as one line of JSON. logits[i] are the rows of sequences[i], one after the other: one row, or one a token, or one a
  // position, as the head's term says.
  std::function<std::string(std::span<const std::vector<float>> logits)> result;
};

// A question about a context: its features are the sequences, and `result` makes the line from their logits [length, 2].
using QaResult =
    std::function<std::string(const QaContext& context, std::span<const QaFeature> features, std::span<const Prediction> logits)>;
// Throws kCorrupt naming `where` if a question leaves no room for its context.
PipelineCall question_call(const BertTokenizer& tokenizer, const std::string& question, std::string context, const QaOptions& options,
                           const std::string& where, QaResult result);

// Holds what it needs of the model it was made for.
struct Pipeline {
  Model::MakeHead head;
  std::string head_name;  // for people: "a masked-LM head (BertForMaskedLM, BertForPreTraining)"
  // Throws kCorrupt, naming input.where, on what is no call of the pipeline.
  std::function<PipelineCall(const PipelineInput& input)> call;
  bool large_results = false;  // a vector a token: few at a time
};

std::vector<std::string> pipeline_names();  // with the other names that transformers has for some
// The members of PipelineOptions that are the pipeline's own, as flags: "top-k". Throws kUsage listing pipeline_names().
std::vector<std::string> pipeline_arguments(std::string_view name);
// Throws kUsage as that, or on an option's value; kInvalidArgument on a model that cannot serve.
Pipeline make_pipeline(std::string_view name, const PipelineModel& model, const PipelineOptions& options);

// Computes calls on a device. The model is planned by limits(), and outlives the runner.
class PipelineRunner {
 public:
  static BatchLimits limits(const BertConfig& config, int64_t micro_tokens);
  PipelineRunner(Backend& backend, Model& model) : backend_(backend), model_(model) {}

  // The results, in the order of the calls. Sequences are computed longest first, so that those of a batch are about as long: that spares a
  // card many shapes.
  std::vector<std::string> run(std::span<const PipelineCall> calls) const;

 private:
  Backend& backend_;
  Model& model_;
};

}  // namespace mpibert
