#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "mpibert/tasks/pipeline.h"

namespace mpibert {

// The pipelines, one file each.
Pipeline text_classification(const PipelineModel& model, const PipelineOptions& options);
Pipeline token_classification(const PipelineModel& model, const PipelineOptions& options);
Pipeline question_answering(const PipelineModel& model, const PipelineOptions& options);
Pipeline zero_shot_classification(const PipelineModel& model, const PipelineOptions& options);
Pipeline fill_mask(const PipelineModel& model, const PipelineOptions& options);
Pipeline feature_extraction(const PipelineModel& model, const PipelineOptions& options);
Pipeline sentence_embeddings(const PipelineModel& model, const PipelineOptions& options);

// The arguments of one call, by name; also as {"inputs": ..., "parameters": {...}}, the form of Hugging Face's inference servers.
class PipelineArguments {
 public:
  // A text is the argument `names.front()`. Throws kCorrupt on what is not JSON, neither a string nor an object, or has other names.
  PipelineArguments(const PipelineInput& input, const std::vector<std::string_view>& names);

  // The text, under whichever of these names it stands; kCorrupt without one, or with two.
  std::string text(const std::vector<std::string_view>& names) const;
  // Each: what the call says, else `otherwise`. kCorrupt on a value of another kind.
  std::optional<std::string> text_or(std::string_view name, const std::optional<std::string>& otherwise) const;
  std::optional<int64_t> integer_or(std::string_view name, const std::optional<int64_t>& otherwise) const;
  bool boolean_or(std::string_view name, bool otherwise) const;
  std::vector<std::string> texts_or(std::string_view name, const std::vector<std::string>& otherwise) const;  // a string: one text
  bool has(std::string_view name) const { return object_.contains(name); }
  bool is_text(std::string_view name) const { return has(name) && object_.at(name).is_string(); }
  bool is_null(std::string_view name) const { return has(name) && object_.at(name).is_null(); }
  const std::string& where() const { return where_; }

 private:
  [[noreturn]] void refuse(std::string_view name, const char* expected) const;
  nlohmann::json object_;
  std::string where_;
};

// Makes sequences of texts by --max-seq-length and --truncation.
class PipelineEncoder {
 public:
  // `most`: fewer tokens than the model takes; 0: the model's model_max_length (tokenizer_config.json) and max_position_embeddings.
  PipelineEncoder(const PipelineModel& model, const PipelineOptions& options, int64_t most = 0);
  int64_t max_length() const { return max_length_; }
  // Throws kCorrupt naming `where` on texts that are too long and may not be cut.
  Encoding operator()(std::string_view a, const std::optional<std::string>& b, const std::string& where,
                      Truncation truncation = Truncation::kLongestFirst) const;

 private:
  BertTokenizer tokenizer_;
  int64_t max_length_;
  bool truncation_;
};

// {"score", "start", "end", "answer"}; several are a list.
nlohmann::ordered_json to_json(const std::vector<QaAnswer>& answers);

// Of a classifier: id2label, or as transformers fills it in, LABEL_0, LABEL_1, ... by num_labels, 2 if that is not there.
std::vector<std::string> pipeline_labels(const BertConfig& config);
Model::MakeHead classifier(int64_t labels);
// "a,b" and " c" -> a, b, c
std::vector<std::string> comma_separated(const std::vector<std::string>& words);
// A file of the folder as JSON; null if it is not there. Throws kCorrupt.
nlohmann::json json_file(const std::filesystem::path& path);
// One line; bytes that are not UTF-8 become U+FFFD.
std::string json_line(const nlohmann::ordered_json& json);
// Appends "[a,b,...]", each number by the fewest digits that read back to it.
void append_numbers(std::span<const float> numbers, std::string& text);

}  // namespace mpibert
