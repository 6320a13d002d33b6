#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "mpibert/base/error.h"
#include "mpibert/base/file.h"
#include "mpibert/base/options.h"
#include "mpibert/model/heads.h"
#include "tasks/pipelines/pipelines.h"

namespace mpibert {

namespace {

// tokenizer_config.json: the longest sequence the tokenizer makes; a folder that says nothing, or transformers' 1e30, sets no limit.
int64_t model_max_length(const std::filesystem::path& folder) {
  const nlohmann::json config = json_file(folder / "tokenizer_config.json");
  const auto found = config.is_object() ? config.find("model_max_length") : config.end();
  constexpr double kNoLimit = 1e9;
  if (!config.is_object() || found == config.end() || !found->is_number() || found->get<double>() > kNoLimit)
    return static_cast<int64_t>(kNoLimit);
  return found->get<int64_t>();
}

}  // namespace

PipelineModel open_pipeline_model(const std::filesystem::path& folder) {
  return {.folder = folder, .config = read_config(folder / "config.json"), .tokenizer = BertTokenizer::from_model(folder)};
}

PipelineEncoder::PipelineEncoder(const PipelineModel& model, const PipelineOptions& options, int64_t most)
    : tokenizer_(model.tokenizer), max_length_(options.max_length), truncation_(options.truncation) {
  const int64_t positions = model.config.max_position_embeddings;
  MPIBERT_CHECK(max_length_ <= positions, kUsage, "--max-seq-length is ", max_length_, ", but the model has ", positions,
                " positions (max_position_embeddings)");
  MPIBERT_CHECK(tokenizer_.vocabulary().size() <= model.config.vocab_size, kInvalidArgument, model.folder.string(), ": the vocabulary has ",
                tokenizer_.vocabulary().size(), " tokens, the model ", model.config.vocab_size,
                " (vocab_size); the files are not of one model");
  if (max_length_ == 0) max_length_ = std::min(positions, most > 0 ? most : model_max_length(model.folder));
}

Encoding PipelineEncoder::operator()(std::string_view a, const std::optional<std::string>& b, const std::string& where,
                                     Truncation truncation) const {
  const std::optional<std::string_view> second = b ? std::optional<std::string_view>(*b) : std::nullopt;
  if (truncation_) return tokenizer_.encode(a, second, max_length_, truncation);
  constexpr int64_t kWhole = int64_t{1} << 31;
  Encoding encoding = tokenizer_.encode(a, second, kWhole);
  MPIBERT_CHECK(static_cast<int64_t>(encoding.ids.size()) <= max_length_, kCorrupt, where, ": a sequence of ", encoding.ids.size(),
                " tokens, more than the ", max_length_, " that are taken; shorten it, or leave --no-truncation out to have it cut");
  return encoding;
}

std::vector<std::string> pipeline_labels(const BertConfig& config) {
  std::vector<std::string> names = label_names_of(config);
  if (!names.empty()) return names;
  const auto found = config.other.find("num_labels");  // of older files
  const nlohmann::json number = found == config.other.end() ? nlohmann::json() : nlohmann::json::parse(found->second);
  const int64_t labels = number.is_number_integer() ? number.get<int64_t>() : 2;
  for (int64_t i = 0; i < labels; ++i) names.push_back(str_cat("LABEL_", i));
  return names;
}

Model::MakeHead classifier(int64_t labels) {
  return [labels](const BertConfig& config, ParameterArena& arena) {
    return std::make_unique<SequenceClassificationHead>(config, arena, labels);
  };
}

std::vector<std::string> comma_separated(const std::vector<std::string>& words) {
  std::vector<std::string> parts = split_at_commas(words);
  std::erase(parts, "");
  return parts;
}

nlohmann::json json_file(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return nullptr;
  nlohmann::json value = nlohmann::json::parse(read_file(path, size_t{1} << 24), nullptr, false);
  MPIBERT_CHECK(!value.is_discarded(), kCorrupt, path.string(), ": not JSON; the file is damaged");
  return value;
}

std::string json_line(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

void append_numbers(std::span<const float> numbers, std::string& text) {
  std::array<char, 32> digits{};
  char before = '[';
  for (const float number : numbers) {
    text += before;
    if (std::isfinite(number)) text.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr);
    else text += "null";  // JSON has no other word for it
    before = ',';
  }
  if (numbers.empty()) text += '[';
  text += ']';
}

}  // namespace mpibert
