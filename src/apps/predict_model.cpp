#include "apps/predict.h"
#include "mpibert/base/error.h"

namespace mpibert::apps {

LoadedModel::LoadedModel(const PredictFlags& flags, Session& session, const ModelSource& source, const Model::MakeHead& head,
                         const std::string& head_name)
    : backend_(*session.backend), model_(source.config, arena_, head) {
  arena_.allocate(backend_, precision_on(backend_.device(), flags.precision), arena_.size());
  std::vector<float> masters;
  try {
    masters = load_masters(source, arena_, {}, 0);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kInvalidArgument) throw;
    throw Error(error.kind(), str_cat(error.what(), "; what is wanted is a model with ", head_name));
  }
  arena_.set_values(backend_, host_tensor(std::span(masters), {arena_.size()}));
  model_.plan(backend_, arena_.compute(), PipelineRunner::limits(source.config, flags.micro_tokens), false);
  model_.allocate(backend_);
}

InputTexts::InputTexts(const PredictFlags& flags) : flags_(flags), json_(flags.input_format == "json") {
  MPIBERT_CHECK(flags.text.empty() || flags.input.empty(), kUsage, "--text is a text, --input a file of texts; give one of them");
  if (!flags.text.empty()) return;
  const bool standard = flags.input.empty() || flags.input == "-";
  lines_ = std::make_unique<LineReader>(standard ? "/dev/stdin" : flags.input);
  const std::string name = flags.input.ends_with(".gz") ? flags.input.substr(0, flags.input.size() - 3) : flags.input;
  json_ = json_ || (flags.input_format == "auto" && name.ends_with(".jsonl"));
}

std::optional<std::string> InputTexts::next() {
  if (!lines_) return given_ < flags_.text.size() ? std::optional(flags_.text[given_++]) : std::nullopt;
  std::string line;
  if (!lines_->next(line)) return std::nullopt;
  if (lines_->number() == 1 && flags_.input_format == "auto" && line.starts_with("{")) json_ = true;
  return line;
}

std::string InputTexts::where(const PredictFlags& flags, int64_t number) {
  if (!flags.text.empty()) return str_cat("--text number ", number);
  return str_cat(flags.input.empty() || flags.input == "-" ? "standard input" : flags.input, ":", number);
}

}  // namespace mpibert::apps
