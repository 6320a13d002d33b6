#include "apps/command.h"
#include "apps/dealt_lines.h"
#include "apps/predict.h"

namespace mpibert::apps {

namespace {

constexpr char kJson = 'j', kText = 't';  // in front of a line on its way to its rank

}  // namespace

int predict_pipeline(const PredictFlags& flags) {
  Session session = flags.session.open();
  const ModelSource source = open_model_source(flags.model);
  const Pipeline pipeline = make_pipeline(flags.pipeline, open_pipeline_model(source.folder), flags.pipeline_options);
  LoadedModel model(flags, session, source, pipeline.head, pipeline.head_name);

  const auto open = [&]() -> DealtLines::Next {
    return [texts = std::make_shared<InputTexts>(flags)]() -> std::optional<std::string> {
      const std::optional<std::string> text = texts->next();
      return text ? std::optional((texts->is_json() ? kJson : kText) + *text) : std::nullopt;
    };
  };
  const auto compute = [&](const std::vector<std::string>& lines, int64_t first) {
    std::vector<PipelineCall> calls;
    for (const std::string& line : lines)
      calls.push_back(pipeline.call({.text = line.substr(1),
                                     .json = line.front() == kJson,
                                     .where = InputTexts::where(flags, first + static_cast<int64_t>(calls.size()))}));
    return model.run(calls);
  };
  // A token of text is some four bytes: a window is a batch, or a few.
  deal_lines(*session.comm,
             {.open = open, .compute = compute, .use = print_line, .window_bytes = (pipeline.large_results ? 4 : 16) * flags.micro_tokens});
  return 0;
}

}  // namespace mpibert::apps
