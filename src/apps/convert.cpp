#include <memory>

#include "apps/declarations.h"
#include "mpibert/base/error.h"
#include "mpibert/base/log.h"
#include "mpibert/interop/model_folder.h"
#include "mpibert/interop/weights_reader.h"
#include "mpibert/model/config.h"
#include "mpibert/train/checkpoint.h"

namespace mpibert::apps {

namespace {

namespace fs = std::filesystem;

struct Settings {
  std::string from, to, output;
};

int run(const Settings& settings) {
  const fs::path from = fs::is_regular_file(settings.from) ? fs::path(settings.from) : resolve_model_path(settings.from);
  read_config((fs::is_directory(from) ? from : from.parent_path()) / "config.json");  // names are mapped as BERT's: it has to be one
  const WeightsFormat format = settings.to == "pytorch" ? WeightsFormat::kPytorch : WeightsFormat::kSafetensors;
  const LoadReport report = convert_model_folder(from, settings.output, format);
  log_info("weights of ", from.string(), ": ", report.text());
  print_line(find_weights(settings.output)->string());
  return 0;
}

}  // namespace

std::function<int()> declare_convert(Options& options) {
  auto settings = std::make_shared<Settings>();
  options.add({.name = "from", .target = &settings->from, .help = "model folder, run (its newest checkpoint), or a file of weights beside its config.json", .required = true});
  options.add({.name = "to", .target = &settings->to, .help = "format to write: model.safetensors or pytorch_model.bin", .choices = {"safetensors", "pytorch"}, .required = true});
  options.add({.name = "output", .target = &settings->output, .help = "folder to write, new or empty", .required = true});
  return [settings] { return run(*settings); };
}

}  // namespace mpibert::apps
