#include <memory>

#include "apps/declarations.h"
#include "mpibert/base/error.h"
#include "mpibert/base/log.h"
#include "mpibert/interop/model_folder.h"
#include "mpibert/interop/weights_reader.h"
#include "mpibert/model/config.h"
#include "mpibert/text/tokenizer.h"
#include "mpibert/train/checkpoint.h"
#include "text/model_files.h"

namespace mpibert::apps {

namespace {

namespace fs = std::filesystem;

struct Settings {
  std::string from, to, output;
};

int run(const Settings& settings) {
  const bool is_file = fs::is_regular_file(settings.from) || fs::is_regular_file(settings.from + ".index");
  const fs::path from = is_file ? fs::path(settings.from) : resolve_model_path(settings.from);
  const fs::path config_path = config_file(fs::is_directory(from) ? from : from.parent_path());
  const BertConfig config = read_config(config_path);  // names are mapped as BERT's: it has to be one
  std::map<std::string, std::string> texts;
  if (const fs::path folder = config_path.parent_path(); has_word_list(folder)) {
    const BertTokenizer tokenizer = BertTokenizer::from_model(folder);
    for (const std::string& token : tokenizer.vocabulary().tokens()) texts["vocab.txt"] += token + "\n";
    texts["tokenizer_config.json"] = tokenizer.config_json();
  }
  if (config_path.filename() != "config.json") texts["config.json"] = config_to_json(config);
  const WeightsFormat format = settings.to == "pytorch" ? WeightsFormat::kPytorch
                               : settings.to == "tf"    ? WeightsFormat::kTensorflow
                                                        : WeightsFormat::kSafetensors;
  const LoadReport report = convert_model_folder(from, settings.output, format, texts);
  log_info("weights of ", from.string(), ": ", report.text());
  print_line(find_weights(settings.output)->string());
  return 0;
}

}  // namespace

std::function<int()> declare_convert(Options& options) {
  auto settings = std::make_shared<Settings>();
  options.add({.name = "from",
               .target = &settings->from,
               .help = "model folder, run (its newest checkpoint), or a file of weights beside its config.json",
               .required = true});
  options.add({.name = "to",
               .target = &settings->to,
               .help = "format to write: model.safetensors, pytorch_model.bin or Google's bert_model.ckpt",
               .choices = {"safetensors", "pytorch", "tf"},
               .required = true});
  options.add({.name = "output", .target = &settings->output, .help = "folder to write, new or empty", .required = true});
  return [settings] { return run(*settings); };
}

}  // namespace mpibert::apps
