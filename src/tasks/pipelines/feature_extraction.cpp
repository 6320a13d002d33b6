#include <memory>

#include "mpibert/model/heads.h"
#include "tasks/pipelines/pipelines.h"

namespace mpibert {

// transformers' FeatureExtractionPipeline: last_hidden_state [1, S, H], as nested lists.
Pipeline feature_extraction(const PipelineModel& model, const PipelineOptions& options) {
  const auto width = static_cast<size_t>(model.config.hidden_size);
  const auto result = [width](std::span<const std::vector<float>> logits) {
    const std::span<const float> hidden = logits[0];
    std::string text = "[[";
    for (size_t at = 0; at < hidden.size(); at += width) {
      if (at > 0) text += ',';
      append_numbers(hidden.subspan(at, width), text);
    }
    return text + "]]";
  };
  return {.head = {[](const BertConfig& config, ParameterArena& arena) { return std::make_unique<EncoderHead>(config, arena); }, false},
          .head_name = "an encoder",
          .call = [result, encode = PipelineEncoder(model, options)](const PipelineInput& input) -> PipelineCall {
            const PipelineArguments arguments(input, {"inputs", "text"});
            return {.sequences = {{encode(arguments.text({"inputs", "text"}), std::nullopt, arguments.where())}}, .result = result};
          },
          .large_results = true};
}

}  // namespace mpibert
