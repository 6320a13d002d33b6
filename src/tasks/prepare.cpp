#include "mpibert/tasks/prepare.h"

#include <chrono>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <regex>
#include <stdexcept>

#include "mpibert/base/error.h"
#include "mpibert/base/file.h"
#include "mpibert/base/log.h"
#include "mpibert/base/sha256.h"
#include "tasks/dataset_files.h"
#include "tasks/duplicates.h"
#include "tasks/prepare_plan.h"
#include "tasks/together.h"

namespace mpibert {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

void check_options(const PrepareOptions& options) {
  MPIBERT_CHECK(!options.output.empty(), kInvalidArgument, "no output folder");
  MPIBERT_CHECK(!options.inputs.empty(), kInvalidArgument, "no input");
  MPIBERT_CHECK(options.max_seq_length >= 5, kInvalidArgument, "max_seq_length is ", options.max_seq_length, ", expected at least 5");
  MPIBERT_CHECK(options.shard_samples > 0, kInvalidArgument, "shard_samples is ", options.shard_samples, ", expected at least 1");
  MPIBERT_CHECK(options.dupe_factor > 0 && options.dupe_factor < 256, kInvalidArgument, "dupe_factor is ", options.dupe_factor,
                ", expected 1 to 255");
  MPIBERT_CHECK(options.short_seq_prob >= 0 && options.short_seq_prob <= 1, kInvalidArgument, "short_seq_prob is ", options.short_seq_prob,
                ", expected 0 to 1");
  static const std::regex name("[A-Za-z0-9_]*");
  MPIBERT_CHECK(options.storage == Storage::kSamples || options.task.kind == TaskKind::kPretraining, kInvalidArgument,
                "a store of tokens is for pre-training, not for task ", options.task.name);
  MPIBERT_CHECK(options.storage == Storage::kSamples || (options.dupe_factor == 1 && !options.static_masking), kInvalidArgument,
                "a store of tokens gives other samples and masks in every epoch: dupe_factor and static masking are for stored samples");
  MPIBERT_CHECK(!options.python_random || (options.task.kind == TaskKind::kPretraining && options.storage == Storage::kSamples),
                kInvalidArgument,
                "random numbers as Python's are for stored samples of pre-training (--task pretraining --storage samples)");
  for (const PrepareInput& input : options.inputs)
    MPIBERT_CHECK(std::regex_match(input.split, name), kInvalidArgument, "split name '", input.split,
                  "'; letters, digits and _ are allowed");
}

// What is prepared, for people to read and for a second start to compare: equal text, equal shards.
std::string identity_of(const PrepareOptions& o, const BertTokenizer& tokenizer, const PreparePlan& plan) {
  json inputs = json::array();
  for (const PrepareInput& input : o.inputs) {
    for (const fs::path& file : list_corpus_files(input.paths)) {
      std::error_code code;
      const auto bytes = fs::file_size(file, code);
      const auto changed = fs::last_write_time(file, code).time_since_epoch().count();
      MPIBERT_CHECK(!code, kIo, "cannot examine ", file.string(), ": ", code.message());
      inputs.push_back({input.split, file.string(), bytes, changed});
    }
  }
  json task = {o.task.name,        o.task.label_names,   o.task.files.text_a, o.task.files.text_b,
               o.task.files.label, o.task.files.choices, o.task.files.columns};
  return json({{"program", MPIBERT_VERSION},
               {"task", std::move(task)},
               {"inputs", std::move(inputs)},
               {"cuts_sha256", sha256_hex(plan.cuts)},
               {"vocabulary_sha256", tokenizer.vocabulary().sha256()},
               {"tokenizer", json::parse(tokenizer.config_json())},
               {"storage", static_cast<int>(o.storage)},
               {"max_seq_length", o.max_seq_length},
               {"seed", o.seed},
               {"python_random", o.python_random},
               {"drop_duplicates", o.drop_duplicates},
               {"shard_samples", o.shard_samples},
               {"truncation", static_cast<int>(o.truncation)},
               {"qa", {static_cast<int>(o.qa.convention), o.qa.doc_stride, o.qa.max_query_length}},
               {"corpus", named_options(o.corpus)},
               {"block_bytes", o.block_bytes},
               {"short_seq_prob", o.short_seq_prob},
               {"dupe_factor", o.dupe_factor},
               {"static_masking", o.static_masking},
               {"masking", {o.masking.masked_lm_prob, o.masking.max_predictions_per_seq, o.masking.do_whole_word_mask}}})
      .dump(1, ' ', false, json::error_handler_t::replace);
}

// Units of all splits under one number.
int64_t all_units(const PreparePlan& plan) { return std::accumulate(plan.units.begin(), plan.units.end(), int64_t{0}); }
std::pair<size_t, int64_t> split_and_unit(const PreparePlan& plan, int64_t number) {
  size_t split = 0;
  while (number >= plan.units[split]) number -= plan.units[split++];
  return {split, number};
}

// The units that this rank gets hold of: each takes the next that nobody has, whenever it is ready for one.
json make_units(const PreparePlan& plan, PrepareJournal& journal, const std::map<int64_t, MadeUnit>& done) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  json made = json::array();
  const int64_t all = all_units(plan), left = all - static_cast<int64_t>(done.size());
  CorpusSummary work;
  for (int64_t number = 0, behind = 0; number < all; ++number) {
    if (done.contains(number)) continue;
    ++behind;
    if (!journal.claim(number)) continue;
    const auto [split, unit] = split_and_unit(plan, number);
    const MadeUnit result = plan.make(split, unit);
    journal.record(number, result);
    made.push_back({number, result.json()});
    work += result.summary;
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count(),
                 remaining = seconds * static_cast<double>(left - behind) / static_cast<double>(behind);
    const std::string rate = work.bytes > 0 ? str_cat(", ", static_cast<int64_t>(static_cast<double>(work.bytes) / seconds / 1e4) / 100.0,
                                                      " MB/s of text by this rank")
                                            : "";
    log_info("split ", plan.splits[split].name, ": unit ", unit + 1, " of ", plan.units[split], rate, ", eta ",
             static_cast<int64_t>(remaining) / 60, ":", static_cast<int64_t>(remaining) / 10 % 6, static_cast<int64_t>(remaining) % 10);
  }
  return made;
}

// The shards of all units, in their order.
CorpusSummary collect_shards(const PreparePlan& plan, const std::map<int64_t, MadeUnit>& made, std::vector<SplitEntry>& splits) {
  CorpusSummary summary;
  for (const auto& [number, unit] : made) {
    std::vector<ShardEntry>& shards = splits[split_and_unit(plan, number).first].shards;
    shards.insert(shards.end(), unit.shards.begin(), unit.shards.end());
    summary += unit.summary;
  }
  for (const SplitEntry& split : splits)
    MPIBERT_CHECK(split.count() > 0, kInvalidArgument, "split '", split.name,
                  "' has no sample: its input holds no text in the format chosen");
  return summary;
}

std::string pack_units(const std::map<int64_t, MadeUnit>& units) {
  json packed = json::array();
  for (const auto& [number, unit] : units) packed.push_back({number, unit.json()});
  return packed.dump();
}

void unpack_units(const std::string& text, std::map<int64_t, MadeUnit>& units) {
  for (const json& unit : json::parse(text))
    units.insert_or_assign(unit.at(0).get<int64_t>(), MadeUnit::from_json(unit.at(1).get<std::string>(), "a rank's units"));
}

}  // namespace

UnitWriter::UnitWriter(const PrepareOptions& options, const Vocabulary& vocabulary, const SplitEntry& split, int64_t unit)
    : options_(options),
      split_(split),
      shard_options_{.vocabulary_size = vocabulary.size(), .vocabulary_sha256 = vocabulary.sha256()},
      unit_(unit) {}

void UnitWriter::add(const Sample& sample) {
  if (writer_ && writer_->size() == options_.shard_samples) {
    shards_.push_back(writer_->commit());
    writer_.reset();
  }
  if (!writer_)
    writer_.emplace(options_.output / shard_name(split_.name, unit_, static_cast<int64_t>(shards_.size())), split_.labels, shard_options_);
  writer_->add(sample);
}

MadeUnit UnitWriter::finish() {
  if (writer_) shards_.push_back(writer_->commit());
  writer_.reset();
  return {.shards = std::move(shards_)};
}

namespace {

PreparePlan make_plan(const PrepareOptions& options, const BertTokenizer& tokenizer) {
  switch (options.task.kind) {
    case TaskKind::kPretraining:
      break;
    case TaskKind::kTokenClassification:
      return plan_tokens(options, tokenizer);
    case TaskKind::kQuestionAnswering:
      return plan_squad(options, tokenizer);
    case TaskKind::kClassification:
    case TaskKind::kMultipleChoice:
    case TaskKind::kRegression:
      return plan_sentences(options, tokenizer);
  }
  throw std::logic_error("unknown kind of task");
}

// What rank 0 says, on every rank.
std::string from_rank_0(Exchange& exchange, const std::string& mine) { return exchange.all_gather(exchange.rank() == 0 ? mine : "")[0]; }

// Makes the units of a plan that are not there yet, on all ranks, and the manifest.
// make_input: if not empty, what has to be there before there is a plan; collective.
Manifest carry_out(const PrepareOptions& options, const BertTokenizer& tokenizer, Exchange& exchange,
                   const std::function<void()>& make_input, const std::function<PreparePlan()>& plan_units) {
  PreparePlan plan;
  std::string identity;
  together(exchange, [&] {
    if (!make_input) plan = plan_units();
    identity = identity_of(options, tokenizer, plan);
  });
  PrepareJournal journal(options.output, identity);
  bool finished = false;
  together(exchange, [&] {
    if (exchange.rank() == 0) finished = journal.begin(options.overwrite);
  });
  if (from_rank_0(exchange, finished ? "finished" : "") == "finished") {
    log_info(options.output.string(), " is prepared already, of the same input and with the same options");
    return read_manifest(options.output);
  }
  if (make_input) make_input();
  std::map<int64_t, MadeUnit> made;
  together(exchange, [&] {
    if (make_input) plan = plan_units();
    if (exchange.rank() == 0) made = journal.made();
  });
  unpack_units(from_rank_0(exchange, pack_units(made)), made);
  if (!made.empty()) log_info(options.output.string(), ": ", made.size(), " of ", all_units(plan), " units were made before");

  json mine;
  together(exchange, [&] { mine = make_units(plan, journal, made); });
  for (const std::string& of_rank : exchange.all_gather(mine.dump())) unpack_units(of_rank, made);
  Manifest manifest{.task = options.task.name,
                    .storage = options.storage,
                    .seed = options.seed,
                    .max_seq_length = options.max_seq_length,
                    .vocabulary_size = tokenizer.vocabulary().size(),
                    .vocabulary_sha256 = tokenizer.vocabulary().sha256(),
                    .do_lower_case = tokenizer.options().do_lower_case,
                    .label_names = plan.label_names,
                    .options = plan.options,
                    .splits = plan.splits};
  const CorpusSummary summary = collect_shards(plan, made, manifest.splits);
  together(exchange, [&] {
    if (exchange.rank() != 0) return;
    write_vocabulary(options.output, tokenizer);
    if (options.storage == Storage::kTokens) {
      write_file_atomically(options.output / "summary.json", to_json(summary) + "\n");
      log_info(describe(summary));
    }
    write_manifest(options.output, manifest);
    journal.finish();
  });
  return manifest;
}

Manifest make_store(const PrepareOptions& options, const BertTokenizer& tokenizer, Exchange& exchange) {
  std::vector<std::vector<std::vector<int64_t>>> duplicates;  // by split and unit
  if (options.drop_duplicates) {
    std::vector<std::vector<CorpusUnit>> units;
    together(exchange, [&] { units = units_of_corpus(options); });
    for (const std::vector<CorpusUnit>& of_split : units) duplicates.push_back(find_duplicates(of_split, options.corpus, exchange));
  }
  return carry_out(options, tokenizer, exchange, {}, [&] { return plan_token_store(options, tokenizer, duplicates); });
}

}  // namespace

Manifest prepare(const PrepareOptions& options, const BertTokenizer& tokenizer, Exchange& exchange) {
  together(exchange, [&] { check_options(options); });
  if (options.storage == Storage::kTokens) return make_store(options, tokenizer, exchange);
  if (options.task.kind != TaskKind::kPretraining)
    return carry_out(options, tokenizer, exchange, {}, [&] { return make_plan(options, tokenizer); });
  if (options.python_random) return carry_out(options, tokenizer, exchange, {}, [&] { return plan_google_instances(options, tokenizer); });
  PrepareOptions store = options;
  store.storage = Storage::kTokens;
  store.output = options.output / kStoreOfSamples;
  store.overwrite = false;
  return carry_out(
      options, tokenizer, exchange, [&] { make_store(store, tokenizer, exchange); },
      [&] { return plan_samples_of_store(options, tokenizer, store.output); });
}

}  // namespace mpibert
