#include "mpibert/tasks/prepare.h"

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/corpus_flags.h"
#include "apps/declarations.h"
#include "apps/model_inputs.h"
#include "apps/qa_flags.h"
#include "apps/session.h"
#include "apps/task_flags.h"
#include "mpibert/base/error.h"

namespace mpibert::apps {

namespace {

struct Settings {
  SessionFlags session;
  TokenizerFlags tokenizer;
  TaskFlags task;
  QaFlags qa;
  CorpusFlags corpus;
  PrepareOptions prepare;
  std::vector<std::string> input, dev_input;
  std::string output, truncation = "longest-first", masking = "dynamic", storage = "tokens", rng = "philox", check;
  int64_t seed = 0, block_mib = 32;
};

// One JSON object about what is in the folder.
void print_manifest(const Manifest& manifest, const std::string& output, double seconds) {
  nlohmann::ordered_json result = {
      {"task", manifest.task}, {"output", output}, {"splits", nlohmann::ordered_json::object()}, {"seconds", seconds}};
  const char* counted = manifest.storage == Storage::kTokens ? "documents" : "samples";
  for (const SplitEntry& split : manifest.splits)
    result["splits"][split.name] = {
        {counted, split.count()}, {"tokens", split.tokens()}, {"shards", split.shards.size()}, {"dropped", split.dropped}};
  print_line(result.dump());
}

int run(Settings& settings, const Options& command_line) {
  const Session session = settings.session.open();
  RankExchange exchange(*session.comm);
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  if (!settings.check.empty()) {
    MPIBERT_CHECK(settings.input.empty() && settings.output.empty(), kUsage,
                  "--check reads a data set that is there, expected without --input and --output");
    const Manifest manifest = check_dataset(settings.check, exchange);
    if (session.comm->rank() == 0) print_manifest(manifest, settings.check, seconds());
    return 0;
  }
  for (const auto& [name, missing] :
       {std::pair("task", settings.task.task.empty()), {"input", settings.input.empty()}, {"output", settings.output.empty()}})
    MPIBERT_CHECK(!missing, kUsage, "--", name, " is missing: ", command_line.find(name)->help);
  const BertTokenizer tokenizer = settings.tokenizer.open();
  PrepareOptions& options = settings.prepare;
  options.task = settings.task.open();
  options.output = settings.output;
  options.qa = settings.qa.feature_options();
  choose_max_seq_length(command_line, options.task, options.max_seq_length);
  options.seed = static_cast<uint64_t>(settings.seed);
  options.corpus = settings.corpus.open();
  options.block_bytes = settings.block_mib << 20;
  options.static_masking = settings.masking == "static";
  if (options.task.kind == TaskKind::kPretraining && settings.storage == "tokens") {
    options.storage = Storage::kTokens;
    for (const char* name : {"masking", "dupe-factor", "short-seq-prob", "shard-samples", "masked-lm-prob", "max-predictions-per-seq",
                             "whole-word-mask", "rng"})
      MPIBERT_CHECK(command_line.find(name)->origin == "default", kUsage, "--", name,
                    " is of stored samples, expected with --storage samples, found with --storage tokens; of a store, pretrain says how "
                    "samples are made");
  }
  options.python_random = settings.rng == "python";
  options.truncation = settings.truncation == "longest-first" ? Truncation::kLongestFirst : Truncation::kLongestFirstPop;
  const auto add_input = [&](const char* split, const std::vector<std::string>& paths) {
    if (!paths.empty()) options.inputs.push_back({split, {paths.begin(), paths.end()}});
  };
  const bool folder_of_splits =
      options.task.kind != TaskKind::kPretraining && !settings.input.empty() && std::filesystem::is_directory(settings.input.front());
  add_input(folder_of_splits ? "" : "train", settings.input);
  add_input("dev", settings.dev_input);

  const Manifest manifest = prepare(options, tokenizer, exchange);
  if (session.comm->rank() == 0) print_manifest(manifest, settings.output, seconds());
  return 0;
}

}  // namespace

std::function<int()> declare_prepare(Options& options) {
  auto s = std::make_shared<Settings>();
  PrepareOptions& p = s->prepare;
  s->task.declare(options, "what the text is for", false);
  s->task.declare_label_column(options);
  s->task.declare_labels(options);
  options.add({.name = "input",
               .target = &s->input,
               .help = "pre-training: files and folders of text; a task: its folder, or one file to train on"});
  options.add(
      {.name = "dev-input", .target = &s->dev_input, .help = "pre-training: files and folders of text to evaluate on; a task: one file"});
  s->tokenizer.declare(options);
  options.add({.name = "output", .target = &s->output, .help = "folder for the shards"});
  options.add(
      {.name = "check", .target = &s->check, .help = "instead of preparing: read every byte of this data set and say whether it is whole"});
  options.add({.name = "max-seq-length",
               .target = &p.max_seq_length,
               .help = "tokens of a sequence at most, [CLS] and [SEP] among them; of question answering 384 if not given",
               .minimum = 5});
  s->qa.declare_features(options);
  options.add({.name = "seed",
               .target = &s->seed,
               .help = "of the sentence pairs and static masks of --storage samples; tokens are stored without chance, and pretrain has a "
                       "seed of its own",
               .minimum = 0});
  options.add({.name = "overwrite", .target = &p.overwrite, .help = "replace a data set that is there"});
  options.add({.name = "shard-samples", .target = &p.shard_samples, .help = "samples of a shard at most", .minimum = 1});
  options.add({.name = "truncation",
               .target = &s->truncation,
               .help = "how a pair that is too long is cut: as Hugging Face's fast tokenizers, or as Google's",
               .choices = {"longest-first", "pop"}});
  s->corpus.declare(options);
  s->corpus.declare_sentences(options);
  options.add({.name = "drop-duplicates",
               .target = &p.drop_duplicates,
               .help = "pre-training: documents that equal one before them are left out; reads the text twice"});
  options.add({.name = "storage",
               .target = &s->storage,
               .help = "pre-training: tokens, of which pretrain makes samples of any length, other ones in every epoch; or samples as they "
                       "are made now",
               .choices = {"tokens", "samples"}});
  options.add({.name = "block-mib", .target = &s->block_mib, .help = "pre-training: input of a unit of work", .minimum = 1});
  options.add({.name = "short-seq-prob",
               .target = &p.short_seq_prob,
               .help = "--storage samples: share of documents that aim at shorter sequences",
               .minimum = 0,
               .maximum = 1});
  options.add({.name = "dupe-factor",
               .target = &p.dupe_factor,
               .help = "--storage samples: passes over the text, each with other pairs",
               .minimum = 1,
               .maximum = 255});
  options.add({.name = "masking",
               .target = &s->masking,
               .help = "--storage samples: dynamic: anew in each epoch, when training; static: now",
               .choices = {"dynamic", "static"}});
  options.add({.name = "rng",
               .target = &s->rng,
               .help = "--storage samples: python: pairs and masks as Google's create_pretraining_data.py, bit for bit; all text in the "
                       "memory of one rank",
               .choices = {"philox", "python"}});
  options.add({.name = "masked-lm-prob",
               .target = &p.masking.masked_lm_prob,
               .help = "static masking: share of tokens",
               .minimum = 0,
               .maximum = 1});
  options.add({.name = "max-predictions-per-seq",
               .target = &p.masking.max_predictions_per_seq,
               .help = "static masking: most masks of a sequence",
               .minimum = 1});
  options.add(
      {.name = "whole-word-mask", .target = &p.masking.do_whole_word_mask, .help = "static masking: mask all pieces of a word together"});
  s->session.declare(options);
  return [s, &options] { return run(*s, options); };
}

}  // namespace mpibert::apps
