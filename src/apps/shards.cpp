#include <chrono>
#include <limits>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <regex>

#include "apps/declarations.h"
#include "apps/model_inputs.h"
#include "apps/session.h"
#include "comm/rank_0.h"
#include "mpibert/base/error.h"
#include "mpibert/base/log.h"
#include "mpibert/data/corpus.h"
#include "mpibert/data/foreign.h"
#include "tasks/dataset_files.h"

namespace mpibert::apps {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int64_t kRowsAtATime = 1024;  // of a shard of ours
constexpr int64_t kAnyVocabulary = std::numeric_limits<int32_t>::max();

struct Settings {
  SessionFlags session;
  TokenizerFlags tokenizer;
  std::vector<std::string> input, dev_input;
  std::string to, output;
  int64_t max_seq_length = 0, max_predictions_per_seq = 0, shard_samples = 65536;
  bool overwrite = false;

  bool to_ours() const { return to == "mpibert"; }
};

// One file of the input: the piece of work that a rank does alone. Its outputs are named by its number in its split.
struct Unit {
  size_t split = 0;
  int64_t number = 0;
  fs::path path;
};

struct Input {
  Manifest manifest;  // of ours; of others what is known beforehand
  bool is_ours = false;
  std::vector<Unit> units;
};

Input list_input(const Settings& settings) {
  Input input;
  input.is_ours = fs::exists(fs::path(settings.input.front()) / "manifest.json");
  const auto add_units = [&](const std::vector<fs::path>& files) {
    for (size_t i = 0; i < files.size(); ++i)
      input.units.push_back({.split = input.manifest.splits.size() - 1, .number = static_cast<int64_t>(i), .path = files[i]});
  };
  if (input.is_ours) {
    MPIBERT_CHECK(settings.input.size() == 1 && settings.dev_input.empty(), kUsage, settings.input.front(),
                  " is a data set of mpibert with its splits; give it alone as --input");
    MPIBERT_CHECK(settings.tokenizer.vocab.empty() && settings.tokenizer.model.empty(), kUsage,
                  "a data set of mpibert has its own vocabulary; leave out --vocab and --model");
    const Manifest manifest = read_manifest(settings.input.front());
    MPIBERT_CHECK(manifest.storage == Storage::kSamples, kInvalidArgument, settings.input.front(),
                  " holds tokens, of which pretrain makes other samples in every epoch; for samples to give away: mpibert prepare "
                  "--storage samples --masking static");
    input.manifest = manifest;
    input.manifest.splits.clear();
    for (const SplitEntry& split : manifest.splits) {
      const Dataset checks_sizes(settings.input.front(), split.name);
      std::vector<fs::path> files;
      for (const ShardEntry& shard : split.shards) files.push_back(fs::path(settings.input.front()) / shard.file);
      input.manifest.splits.push_back({.name = split.name, .labels = split.labels, .dropped = split.dropped, .shards = {}});
      add_units(files);
    }
    return input;
  }
  for (const auto& [name, words] : {std::pair{"train", settings.input}, {"dev", settings.dev_input}}) {
    if (words.empty()) continue;
    const std::vector<fs::path> paths(words.begin(), words.end());
    input.manifest.splits.push_back({.name = name, .labels = foreign_labels(), .dropped = 0, .shards = {}});
    add_units(list_corpus_files(paths));
  }
  return input;
}

// The samples of a file, one a call; false at the end.
std::function<bool(Sample&)> open_unit(const Unit& unit, bool is_ours, int64_t vocabulary_size) {
  if (!is_ours) {
    const std::shared_ptr<ForeignReader> reader = open_foreign(unit.path, vocabulary_size);
    return [reader](Sample& sample) { return reader->next(sample); };
  }
  struct Shard {
    explicit Shard(const fs::path& path) : reader(path) {}
    ShardReader reader;
    std::vector<Sample> block;
    int64_t given = 0;
  };
  const auto shard = std::make_shared<Shard>(unit.path);
  return [shard](Sample& sample) {
    if (shard->given == shard->reader.size()) return false;
    const int64_t place = shard->given % kRowsAtATime;
    if (place == 0) shard->block = shard->reader.read(shard->given, std::min(shard->given + kRowsAtATime, shard->reader.size()));
    sample = std::move(shard->block[static_cast<size_t>(place)]);
    ++shard->given;
    return true;
  };
}

// What padded rows have, of the files of all ranks.
RowWidths find_widths(const Settings& settings, const Input& input, RankExchange& exchange) {
  RowWidths found;
  if (input.is_ours) {
    found.max_seq_length = input.manifest.max_seq_length;
    found.max_predictions_per_seq = input.manifest.option(kMaxPredictionsOption) ? input.manifest.whole_number(kMaxPredictionsOption) : 0;
  } else {
    for (size_t i = static_cast<size_t>(exchange.rank()); i < input.units.size(); i += static_cast<size_t>(exchange.size())) {
      const RowWidths of_file = open_foreign(input.units[i].path, kAnyVocabulary)->widths();
      found = {std::max(found.max_seq_length, of_file.max_seq_length),
               std::max(found.max_predictions_per_seq, of_file.max_predictions_per_seq)};
    }
    for (const std::string& of_rank : exchange.all_gather(json{found.max_seq_length, found.max_predictions_per_seq}.dump())) {
      const json theirs = json::parse(of_rank);
      found = {std::max(found.max_seq_length, theirs[0].get<int64_t>()), std::max(found.max_predictions_per_seq, theirs[1].get<int64_t>())};
    }
  }
  if (settings.max_seq_length > 0) found.max_seq_length = settings.max_seq_length;
  if (settings.max_predictions_per_seq > 0) found.max_predictions_per_seq = settings.max_predictions_per_seq;
  const bool is_padded = !settings.to_ours() && settings.to != "mlperf-varlength";
  MPIBERT_CHECK(!is_padded || (found.max_seq_length > 0 && found.max_predictions_per_seq > 0), kUsage, "--to ", settings.to,
                " pads rows, and the input does not say to what; give --max-seq-length and --max-predictions-per-seq");
  return found;
}

// Names by which the programs that read a format find their files: run_pretraining.py of NVIDIA takes those with "training" in them, that
// of MLPerf those with "part".
fs::path part_path(const Settings& settings, const std::string& split, int64_t unit, size_t part) {
  if (settings.to_ours()) return fs::path(settings.output) / shard_name(split, unit, static_cast<int64_t>(part));
  const std::string name = settings.to == "nvidia" ? "training" : "part";
  return fs::path(settings.output) / split /
         (name + part_number(unit, static_cast<int64_t>(part)) + (settings.to == "tfrecord" ? ".tfrecord" : ".hdf5"));
}

// One file that is being written.
class PartWriter {
 public:
  PartWriter(const Settings& settings, const fs::path& path, const Schema& labels, RowWidths widths, const ShardOptions& vocabulary)
      : entry_{.file = path.filename().string()} {
    if (settings.to_ours()) ours_.emplace(path, labels, vocabulary);
    else theirs_ = make_foreign_writer(foreign_format_from_name(settings.to), path, widths, vocabulary.vocabulary_size);
  }
  void add(const Sample& sample) {
    ours_ ? ours_->add(sample) : theirs_->add(sample);
    const auto tokens = std::ssize(sample.input_ids);
    ++entry_.count;
    entry_.tokens += tokens;
    entry_.longest = std::max(entry_.longest, tokens);
  }
  int64_t size() const { return entry_.count; }
  ShardEntry commit() {
    if (ours_) return ours_->commit();
    theirs_->commit();
    return entry_;
  }

 private:
  std::optional<ShardWriter> ours_;
  std::unique_ptr<ForeignWriter> theirs_;
  ShardEntry entry_;
};

std::vector<ShardEntry> convert(const Settings& settings, const Input& input, const Unit& unit, RowWidths widths,
                                const ShardOptions& vocabulary) {
  const SplitEntry& split = input.manifest.splits[unit.split];
  const std::function<bool(Sample&)> next =
      open_unit(unit, input.is_ours, vocabulary.vocabulary_size > 0 ? vocabulary.vocabulary_size : kAnyVocabulary);
  std::vector<ShardEntry> written;
  std::optional<PartWriter> part;
  for (Sample sample; next(sample);) {
    if (part && part->size() == settings.shard_samples) {
      written.push_back(part->commit());
      part.reset();
    }
    if (!part) part.emplace(settings, part_path(settings, split.name, unit.number, written.size()), split.labels, widths, vocabulary);
    part->add(sample);
  }
  if (part) written.push_back(part->commit());
  return written;
}

// Leaves no file of an earlier conversion behind, whether it finished or not.
void make_output(const Settings& settings, const Input& input) {
  static const std::regex made("[A-Za-z0-9_]+-[0-9]{5,}-[0-9]{3,}\\.(h5|hdf5|tfrecord)(\\.tmp)?|manifest\\.json");
  std::vector<fs::path> folders = {settings.output};
  for (const SplitEntry& split : input.manifest.splits)
    if (!settings.to_ours()) folders.push_back(fs::path(settings.output) / split.name);
  change_folder(settings.output, [&] {
    for (const fs::path& folder : folders) {
      fs::create_directories(folder);
      for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
        if (!std::regex_match(entry.path().filename().string(), made)) continue;
        MPIBERT_CHECK(settings.overwrite, kBusy, folder.string(), " holds ", entry.path().filename().string(),
                      " already; choose another folder, or --overwrite");
        fs::remove(entry.path());
      }
    }
  });
}

// Number u of the units of all goes to rank u mod R; what each makes is a function of its file, so the output is the same for any R.
void convert_all(const Settings& settings, Input& input, RowWidths widths, const ShardOptions& vocabulary, RankExchange& exchange) {
  json mine = json::array();
  for (size_t i = static_cast<size_t>(exchange.rank()); i < input.units.size(); i += static_cast<size_t>(exchange.size())) {
    json files = json::array();
    for (const ShardEntry& entry : convert(settings, input, input.units[i], widths, vocabulary)) files.push_back(to_json(entry));
    log_info(input.units[i].path.string(), ": file ", i + 1, " of ", input.units.size());
    mine.push_back({i, std::move(files)});
  }
  std::map<size_t, json> by_unit;
  for (const std::string& of_rank : exchange.all_gather(mine.dump()))
    for (const json& unit : json::parse(of_rank)) by_unit[unit.at(0)] = unit.at(1);
  for (const auto& [i, files] : by_unit)
    for (const json& file : files) input.manifest.splits[input.units[i].split].shards.push_back(shard_entry_from_json(file));
  for (const SplitEntry& split : input.manifest.splits)
    MPIBERT_CHECK(split.count() > 0, kInvalidArgument, "the files of split '", split.name, "' have no sample");
}

void finish_manifest(const Settings& settings, Input& input, RowWidths widths, const BertTokenizer& tokenizer) {
  Manifest& manifest = input.manifest;
  if (!input.is_ours) {
    manifest.task = "pretraining";
    manifest.vocabulary_size = tokenizer.vocabulary().size();
    manifest.vocabulary_sha256 = tokenizer.vocabulary().sha256();
    manifest.do_lower_case = tokenizer.options().do_lower_case;
    manifest.max_seq_length = widths.max_seq_length;
    for (const SplitEntry& split : manifest.splits) manifest.max_seq_length = std::max(manifest.max_seq_length, split.longest());
    manifest.options = {{"masking", "static"}, {"shard_samples", std::to_string(settings.shard_samples)}};
    if (widths.max_predictions_per_seq > 0)
      manifest.options.emplace_back(kMaxPredictionsOption, std::to_string(widths.max_predictions_per_seq));
  }
  write_vocabulary(settings.output, tokenizer);
  write_manifest(settings.output, manifest);
}

int run(const Settings& settings) {
  const Session session = settings.session.open();
  const auto start = std::chrono::steady_clock::now();
  RankExchange exchange(*session.comm);
  Input input = list_input(settings);
  std::optional<BertTokenizer> tokenizer;
  if (input.is_ours) tokenizer = BertTokenizer::from_model(settings.input.front());
  else if (settings.to_ours() || !settings.tokenizer.vocab.empty() || !settings.tokenizer.model.empty())
    tokenizer = settings.tokenizer.open();
  const ShardOptions vocabulary{.vocabulary_size = tokenizer ? tokenizer->vocabulary().size() : 0,
                                .vocabulary_sha256 = tokenizer ? tokenizer->vocabulary().sha256() : ""};
  const RowWidths widths = find_widths(settings, input, exchange);
  on_rank_0(*session.comm, "output", [&] { make_output(settings, input); });
  convert_all(settings, input, widths, vocabulary, exchange);
  if (session.comm->rank() != 0) return 0;
  if (settings.to_ours()) finish_manifest(settings, input, widths, *tokenizer);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  nlohmann::ordered_json result = {
      {"format", settings.to}, {"output", settings.output}, {"splits", nlohmann::ordered_json::object()}, {"seconds", seconds}};
  for (const SplitEntry& split : input.manifest.splits)
    result["splits"][split.name] = {{"samples", split.count()}, {"tokens", split.tokens()}, {"files", split.shards.size()}};
  print_line(result.dump());
  return 0;
}

}  // namespace

std::function<int()> declare_shards(Options& options) {
  auto s = std::make_shared<Settings>();
  options.add({.name = "input",
               .target = &s->input,
               .help = "a data set of mpibert; or files and folders of Google's TFRecord, NVIDIA's or MLPerf's HDF5, which are told apart "
                       "by what they hold",
               .required = true});
  options.add({.name = "dev-input", .target = &s->dev_input, .help = "files and folders of others' that become the split dev"});
  options.add({.name = "to",
               .target = &s->to,
               .help = "format to write",
               .choices = {"mpibert", "tfrecord", "nvidia", "mlperf", "mlperf-varlength"},
               .required = true});
  options.add({.name = "output",
               .target = &s->output,
               .help = "folder for the files; others' formats get a folder in it for each split",
               .required = true});
  s->tokenizer.declare(options);
  options.add({.name = "max-seq-length",
               .target = &s->max_seq_length,
               .help = "tokens that rows are padded to; 0: as the input says",
               .minimum = 0});
  options.add({.name = "max-predictions-per-seq",
               .target = &s->max_predictions_per_seq,
               .help = "predictions that rows are padded to; 0: as the input says",
               .minimum = 0});
  options.add({.name = "shard-samples", .target = &s->shard_samples, .help = "samples of a file at most", .minimum = 1});
  options.add({.name = "overwrite", .target = &s->overwrite, .help = "replace files of an earlier conversion"});
  s->session.declare(options);
  return [s] { return run(*s); };
}

}  // namespace mpibert::apps
