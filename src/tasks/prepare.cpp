#include "mpibert/tasks/prepare.h"

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <regex>
#include <stdexcept>

#include "mpibert/base/error.h"
#include "mpibert/base/file.h"
#include "mpibert/base/log.h"
#include "tasks/prepare_plan.h"

namespace mpibert {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

std::string shard_name(const std::string& split, int64_t unit, int64_t part) {
  std::array<char, 32> numbers{};
  std::snprintf(numbers.data(), numbers.size(), "-%05lld-%03lld.h5", static_cast<long long>(unit), static_cast<long long>(part));
  return split + numbers.data();
}

// Runs f on every rank. An error on one is thrown on all, so that none waits for ever.
void together(Exchange& exchange, const std::function<void()>& f) {
  std::exception_ptr error;
  json mine = nullptr;
  try {
    f();
  } catch (const Error& e) {
    error = std::current_exception();
    mine = {{"kind", static_cast<int>(e.kind())}, {"what", e.what()}};
  } catch (const std::exception& e) {
    error = std::current_exception();
    mine = {{"kind", static_cast<int>(ErrorKind::kCommunication)}, {"what", e.what()}};
  }
  const std::vector<std::string> all = exchange.all_gather(mine.dump(-1, ' ', false, json::error_handler_t::replace));
  if (error) std::rethrow_exception(error);
  for (size_t rank = 0; rank < all.size(); ++rank) {
    const json theirs = json::parse(all[rank]);
    if (!theirs.is_null()) throw Error(static_cast<ErrorKind>(theirs.at("kind").get<int>()), str_cat("rank ", rank, ": ", theirs.at("what").get<std::string>()));
  }
}

void check_options(const PrepareOptions& options) {
  MPIBERT_CHECK(!options.output.empty(), kInvalidArgument, "no output folder");
  MPIBERT_CHECK(!options.inputs.empty(), kInvalidArgument, "no input");
  MPIBERT_CHECK(options.max_seq_length >= 5, kInvalidArgument, "max_seq_length is ", options.max_seq_length, ", expected at least 5");
  MPIBERT_CHECK(options.shard_samples > 0, kInvalidArgument, "shard_samples is ", options.shard_samples, ", expected at least 1");
  MPIBERT_CHECK(options.dupe_factor > 0 && options.dupe_factor < 256, kInvalidArgument, "dupe_factor is ", options.dupe_factor, ", expected 1 to 255");
  MPIBERT_CHECK(options.short_seq_prob >= 0 && options.short_seq_prob <= 1, kInvalidArgument, "short_seq_prob is ", options.short_seq_prob, ", expected 0 to 1");
  static const std::regex name("[A-Za-z0-9_]*");
  for (const PrepareInput& input : options.inputs)
    MPIBERT_CHECK(std::regex_match(input.split, name), kInvalidArgument, "split name '", input.split, "'; letters, digits and _ are allowed");
}

// Leaves no shard of an earlier preparation behind, whether it finished or not.
void make_output(const PrepareOptions& options) {
  try {
    const fs::path manifest = options.output / "manifest.json";
    MPIBERT_CHECK(options.overwrite || !fs::exists(manifest), kBusy, options.output.string(), " holds a data set already; choose another folder or allow to overwrite it");
    fs::create_directories(options.output);
    fs::remove(manifest);
    static const std::regex shard("[A-Za-z0-9_]+-[0-9]{5,}-[0-9]{3,}\\.h5(\\.tmp)?");
    for (const fs::directory_entry& entry : fs::directory_iterator(options.output))
      if (std::regex_match(entry.path().filename().string(), shard)) fs::remove(entry.path());
  } catch (const fs::filesystem_error& error) {
    const bool refused = error.code() == std::errc::permission_denied || error.code() == std::errc::read_only_file_system;
    throw Error(refused ? ErrorKind::kPermission : ErrorKind::kIo, str_cat("cannot make the output folder ", options.output.string(), ": ", error.code().message()));
  }
}

json to_json(const ShardEntry& s) { return {s.file, s.count, s.tokens, s.longest, s.bytes, s.sha256}; }

ShardEntry shard_from_json(const json& j) {
  return {.file = j.at(0), .count = j.at(1), .tokens = j.at(2), .longest = j.at(3), .bytes = j.at(4), .sha256 = j.at(5)};
}

// This rank's units: number u of the list of all goes to rank u mod R.
json make_own_units(const PreparePlan& plan, const Exchange& exchange) {
  json made = json::array();
  int64_t number = 0;
  for (size_t split = 0; split < plan.splits.size(); ++split) {
    for (int64_t unit = 0; unit < plan.units[split]; ++unit, ++number) {
      if (number % exchange.size() != exchange.rank()) continue;
      int64_t samples = 0;
      json shards = json::array();
      for (const ShardEntry& shard : plan.make(split, unit)) {
        samples += shard.count;
        shards.push_back(to_json(shard));
      }
      made.push_back({number, std::move(shards)});
      log_info("split ", plan.splits[split].name, ": unit ", unit + 1, " of ", plan.units[split], ", ", samples, " samples");
    }
  }
  return made;
}

// The shards of all ranks, in the order of the units.
void collect_shards(const PreparePlan& plan, const std::vector<std::string>& all, std::vector<SplitEntry>& splits) {
  std::map<int64_t, json> by_number;
  for (const std::string& of_rank : all)
    for (const json& unit : json::parse(of_rank)) by_number[unit.at(0)] = unit.at(1);
  int64_t number = 0;
  for (size_t split = 0; split < splits.size(); ++split) {
    for (int64_t unit = 0; unit < plan.units[split]; ++unit, ++number)
      for (const json& shard : by_number.at(number)) splits[split].shards.push_back(shard_from_json(shard));
    MPIBERT_CHECK(splits[split].count() > 0, kInvalidArgument, "split '", splits[split].name, "' has no sample: its input holds no text in the format chosen");
  }
}

void write_vocabulary(const fs::path& folder, const BertTokenizer& tokenizer) {
  std::string text;
  for (const std::string& token : tokenizer.vocabulary().tokens()) text += token + "\n";
  write_file_atomically(folder / "vocab.txt", text);
  write_file_atomically(folder / "tokenizer_config.json", tokenizer.config_json());
}

}  // namespace

UnitWriter::UnitWriter(const PrepareOptions& options, const Vocabulary& vocabulary, const SplitEntry& split, int64_t unit)
    : options_(options), split_(split), shard_options_{.vocabulary_size = vocabulary.size(), .vocabulary_sha256 = vocabulary.sha256()}, unit_(unit) {}

void UnitWriter::add(const Sample& sample) {
  if (writer_ && writer_->size() == options_.shard_samples) {
    shards_.push_back(writer_->commit());
    writer_.reset();
  }
  if (!writer_) writer_.emplace(options_.output / shard_name(split_.name, unit_, static_cast<int64_t>(shards_.size())), split_.labels, shard_options_);
  writer_->add(sample);
}

std::vector<ShardEntry> UnitWriter::finish() {
  if (writer_) shards_.push_back(writer_->commit());
  writer_.reset();
  return std::move(shards_);
}

void for_each_in_parallel(int64_t n, const std::function<void(int64_t)>& f) {
  std::exception_ptr error;
  int64_t first_error = n;
#pragma omp parallel for schedule(dynamic)
  for (int64_t i = 0; i < n; ++i) {
    try {
      f(i);
    } catch (...) {
#pragma omp critical(mpibert_prepare_error)
      if (i < first_error) {
        first_error = i;
        error = std::current_exception();
      }
    }
  }
  if (error) std::rethrow_exception(error);
}

static PreparePlan make_plan(const PrepareOptions& options, const BertTokenizer& tokenizer) {
  switch (options.task.kind) {
    case TaskKind::kPretraining: return plan_pretraining(options, tokenizer);
    case TaskKind::kTokenClassification: return plan_tokens(options, tokenizer);
    case TaskKind::kQuestionAnswering: return plan_squad(options, tokenizer);
    case TaskKind::kClassification:
    case TaskKind::kMultipleChoice:
    case TaskKind::kRegression: return plan_sentences(options, tokenizer);
  }
  throw std::logic_error("unknown kind of task");
}

Manifest prepare(const PrepareOptions& options, const BertTokenizer& tokenizer, Exchange& exchange) {
  PreparePlan plan;
  together(exchange, [&] {
    check_options(options);
    plan = make_plan(options, tokenizer);
  });
  together(exchange, [&] {
    if (exchange.rank() == 0) make_output(options);
  });

  json made;
  together(exchange, [&] { made = make_own_units(plan, exchange); });
  Manifest manifest{.task = options.task.name,
                    .seed = options.seed,
                    .max_seq_length = options.max_seq_length,
                    .vocabulary_size = tokenizer.vocabulary().size(),
                    .vocabulary_sha256 = tokenizer.vocabulary().sha256(),
                    .do_lower_case = tokenizer.options().do_lower_case,
                    .label_names = plan.label_names,
                    .options = plan.options,
                    .splits = plan.splits};
  collect_shards(plan, exchange.all_gather(made.dump()), manifest.splits);

  together(exchange, [&] {
    if (exchange.rank() != 0) return;
    write_vocabulary(options.output, tokenizer);
    write_manifest(options.output, manifest);
  });
  return manifest;
}

}  // namespace mpibert
