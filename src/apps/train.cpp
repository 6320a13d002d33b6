#include "apps/train.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/command.h"
#include "apps/exit_code.h"
#include "apps/heads.h"
#include "apps/memory_plan.h"
#include "mpibert/base/file.h"
#include "mpibert/base/log.h"
#include "mpibert/ops/cards.h"
#include "mpibert/train/rates.h"

namespace mpibert::apps {

namespace {

struct Plan {
  int64_t total_steps = 0, slots = 0, micro_tokens = 0;
};

// The largest power of two up to 8 that leaves at least 1,024 tokens in a slot, but one slot a rank at least.
int64_t chosen_slots(int64_t global_batch_size, const Dataset& dataset, int64_t ranks) {
  const int64_t tokens = global_batch_size * dataset.tokens() / std::max<int64_t>(1, dataset.size());
  const auto fitting = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(std::clamp<int64_t>(tokens / 1024, 1, 8))));
  return std::max(fitting, ranks);
}

int64_t total_steps(const TrainFlags& flags, const TrainJob& job, const Dataset& dataset) {
  if (flags.max_steps > 0) return flags.max_steps;
  MPIBERT_CHECK(flags.num_epochs > 0, kUsage, "give --max-steps or --num-epochs: one of them says when to end");
  const double epochs = flags.num_epochs;
  if (job.cross_epochs)
    return static_cast<int64_t>(std::ceil(epochs * static_cast<double>(dataset.size()) / static_cast<double>(flags.global_batch_size)));
  return static_cast<int64_t>(std::ceil(epochs * static_cast<double>(steps_per_epoch(dataset.size(), flags.global_batch_size))));
}

void check_same_run(const TrainingState& state, const TrainFlags& flags, const Dataset& dataset, const std::filesystem::path& from) {
  const auto differs = [&](const std::string& what, const auto& saved, const auto& now) {
    return str_cat(from.string(), " was made with ", what, " ", saved, ", now it is ", now, "; use another --output-dir for another run");
  };
  MPIBERT_CHECK(state.dataset_fingerprint == dataset.fingerprint(), kInvalidArgument,
                differs("data of SHA-256", state.dataset_fingerprint.substr(0, 12), dataset.fingerprint().substr(0, 12)));
  MPIBERT_CHECK(state.seed == static_cast<uint64_t>(flags.seed), kInvalidArgument, differs("--seed", state.seed, flags.seed));
  const auto batch = state.options.find("global-batch-size");
  MPIBERT_CHECK(batch == state.options.end() || batch->second == std::to_string(flags.global_batch_size), kInvalidArgument,
                differs("--global-batch-size", batch->second, flags.global_batch_size));
}

// A resumed run keeps its slots, so that the sums stay the same; --slots changes them from here on.
int64_t resumed_slots(const TrainingState& state, const TrainFlags& flags, int ranks) {
  if (flags.slots == 0) {
    MPIBERT_CHECK(ranks <= state.slots, kInvalidArgument, "this run has ", state.slots, " slots, but there are ", ranks, " ranks; start ",
                  state.slots, " ranks or fewer, or give --slots ", ranks, " to change them from this step on");
    return state.slots;
  }
  if (flags.slots != state.slots)
    log_info("slots change from ", state.slots, " to ", flags.slots, " at step ", state.step,
             ": from here on sums differ in their last bits");
  return flags.slots;
}

Snapshot read_snapshot(const std::filesystem::path& checkpoint, const Trainer& trainer) {
  return load_checkpoint(checkpoint, trainer.slices(), trainer.optimizer_buffers());
}

RunIdentity identity_of(const TrainJob& job, const BertConfig& config, const Dataset& dataset) {
  RunIdentity identity;
  identity.files["config.json"] = config_to_json(config);
  for (const char* name : {"vocab.txt", "tokenizer_config.json"}) identity.files[name] = read_file(job.data / name);
  for (const Option& option : job.options->all()) {
    const auto* text = std::get_if<std::string*>(&option.target);
    identity.options[option.name] = text ? **text : Options::value_text(option);
  }
  identity.dataset_fingerprint = dataset.fingerprint();
  return identity;
}

bool has_split(const Manifest& manifest, const std::string& name) {
  return std::any_of(manifest.splits.begin(), manifest.splits.end(),
                     [&](const SplitEntry& split) { return split.name == name && !split.labels.empty(); });
}

// The slots of all ranks in the first steps, until there are dozens of micro-batches: what a run measures must not depend on the number of
// its ranks.
std::vector<Slot> first_slots(Dataset dataset, LoaderOptions options, int64_t total_steps) {
  constexpr size_t kMicroBatches = 32;
  options.first_slot = 0;
  options.last_slot = options.slots;
  BatchLoader loader(std::move(dataset), options);
  std::vector<Slot> slots;
  size_t found = 0;
  for (int64_t step = 0; step < total_steps && found < kMicroBatches; ++step) {
    for (Slot& slot : loader.next()) {
      found += slot.micro_batches.size();
      slots.push_back(std::move(slot));
    }
  }
  return slots;
}

// What would fit, for a card that had too little memory: free again, since the training that wanted it has ended.
std::string advice(const MemoryPlanInputs& memory, Device device) {
  const std::vector<CardDescription> cards = describe_cards();
  const auto index = static_cast<size_t>(device.index);
  std::string text = "\nmemory of a rank:";
  for (const std::string& line :
       MemoryPlan(memory).lines(index < cards.size() ? static_cast<int64_t>(cards[index].free_bytes) - kCardReserveBytes : 0))
    text += "\n  " + line;
  return text;
}

void print_result(const RunResult& result) {
  nlohmann::ordered_json object = {{"code", result.code}, {"reason", result.reason}, {"step", result.step}, {"loss", result.loss}};
  for (const auto& [name, value] : result.scores) object["eval_" + name] = value;
  object["checkpoint"] = result.checkpoint.string();
  print_line(object.dump());
}

// memory: what is filled in before the device's memory is taken.
int train(const TrainFlags& flags, const TrainJob& job, ModelSource source, Session& session, MemoryPlanInputs& memory) {
  Communicator& comm = *session.comm;
  const DType compute = precision_on(session.backend->device(), flags.precision);
  const LossScaleOptions loss_scale = flags.loss_scale_options();
  Dataset dataset(job.data, "train", comm.rank() == 0, job.samples);
  const Manifest manifest = dataset.manifest();
  MPIBERT_CHECK(manifest.task == job.task.name, kInvalidArgument, job.data.string(), " was prepared for task ", manifest.task, ", not ",
                job.task.name);
  set_head(source.config, job.task);
  const BertConfig published = source.config;
  if (flags.dropout >= 0)
    source.config.hidden_dropout_prob = source.config.attention_probs_dropout_prob = static_cast<float>(flags.dropout);

  TrainingRun run(comm, {.output_dir = flags.output_dir,
                         .total_steps = total_steps(flags, job, dataset),
                         .report_steps = flags.report_steps,
                         .save_steps = flags.save_steps,
                         .evaluate_steps = flags.evaluate_steps,
                         .save_total_limit = flags.save_total_limit,
                         .save_best = flags.save_best,
                         .metric = !flags.metric.empty()      ? flags.metric
                                   : job.task.metrics.empty() ? "loss"
                                                              : job.task.metrics.front(),
                         .early_stopping = {.patience = flags.early_stopping_patience, .threshold = flags.early_stopping_threshold},
                         .peak_flops = measured_peak_flops(*session.backend, comm, compute),
                         .samples_per_epoch = dataset.size()});
  const auto checkpoint = find_resume_checkpoint(comm, flags.output_dir);
  MPIBERT_CHECK(!checkpoint || flags.resume == "auto", kBusy, flags.output_dir,
                " holds a run already, and --resume is never; use another --output-dir");

  Plan plan{.total_steps = total_steps(flags, job, dataset)};
  TrainingState saved;
  if (checkpoint) {
    saved = TrainingState::from_json(read_file(*checkpoint / "state.json"), (*checkpoint / "state.json").string());
    check_same_run(saved, flags, dataset, *checkpoint);
    plan.slots = resumed_slots(saved, flags, comm.size());
  } else {
    plan.slots = flags.slots > 0 ? flags.slots : chosen_slots(flags.global_batch_size, dataset, comm.size());
  }
  plan.micro_tokens =
      micro_tokens_of(flags.micro_tokens, flags.global_batch_size * dataset.longest(), manifest.max_seq_length * dataset.choices());

  const std::optional<Masker> masking =
      job.masking ? std::optional<Masker>(Masker(Vocabulary::from_file(job.data / "vocab.txt"), *job.masking)) : std::nullopt;
  LoaderOptions loading{.global_batch_size = flags.global_batch_size,
                        .slots = plan.slots,
                        .micro_tokens = plan.micro_tokens,
                        .max_position_embeddings = source.config.max_position_embeddings,
                        .vocab_size = source.config.vocab_size,
                        .seed = static_cast<uint64_t>(flags.seed),
                        .cross_epochs = job.cross_epochs,
                        .masking = masking};
  const BatchLimits limits = limits_of(plan.micro_tokens, source.config.max_position_embeddings);
  choose_matmul_algorithms(flags.matmul, session, flags.output_dir, checkpoint.has_value(), [&] {
    return products_of_training(session.backend->device().type, source.config, head_maker(job.task), compute, limits,
                                first_slots(Dataset(job.data, "train", false, job.samples), loading, plan.total_steps));
  });

  memory = {.config = source.config,
            .make_head = head_maker(job.task),
            .device = session.backend->device().type,
            .compute = compute,
            .optimizer = flags.optimizer_options(),
            .reduction = flags.reduction == "exact" ? Reduction::kExact : Reduction::kFast,
            .ranks = comm.size(),
            .slots = plan.slots,
            .bucket_mib = flags.bucket_mib,
            .micro_tokens = plan.micro_tokens,
            .max_seq_length = dataset.longest()};
  ParameterArena arena;
  Model model(source.config, arena, head_maker(job.task));
  set_rates(arena, {.freeze = split_at_commas(flags.freeze), .freeze_layers = flags.freeze_layers, .layer_decay = flags.layer_decay});
  Trainer trainer(*session.backend, comm, model, arena, compute,
                  {.schedule = flags.schedule_options(plan.total_steps),
                   .optimizer = memory.optimizer,
                   .reduction = memory.reduction,
                   .slots = plan.slots,
                   .bucket_mib = flags.bucket_mib,
                   .max_grad_norm = flags.max_grad_norm,
                   .loss_scale = loss_scale,
                   .label_smoothing = static_cast<float>(flags.label_smoothing),
                   .seed = static_cast<uint64_t>(flags.seed),
                   .cuda_graphs = flags.cuda_graphs});
  model.plan(*session.backend, arena.compute(), limits, true);
  model.allocate(*session.backend);
  if (checkpoint) {
    Snapshot snapshot = read_snapshot(*checkpoint, trainer);
    if (const auto before = saved.options.find("precision"); before != saved.options.end() && before->second != flags.precision) {
      log_info("precision changes from ", before->second, " to ", flags.precision, " at step ", saved.step);
      snapshot.state.loss_scale = loss_scale.initial;
      snapshot.state.loss_scale_good_steps = 0;
    }
    trainer.restore(snapshot);
    log_info("going on from ", checkpoint->string(), " at step ", trainer.steps(), " of ", plan.total_steps);
  } else {
    const auto seed = static_cast<uint64_t>(flags.seed);
    trainer.set_weights(source.has_weights ? load_masters(source, arena, job.fresh_heads, seed) : new_masters(source.config, arena, seed));
  }

  const RunIdentity identity = identity_of(job, published, dataset);
  Evaluator evaluator(*session.backend, comm, model,
                      {.micro_tokens = plan.micro_tokens,
                       .masking = masking,
                       .samples = {.max_seq_length = job.samples.max_seq_length, .short_seq_prob = job.samples.short_seq_prob},
                       .answers = job.answers});
  TrainingRun::Evaluate evaluate;
  if (has_split(manifest, "dev"))
    evaluate = [&] {
      Scores scores = evaluator.evaluate(job.task, {job.data, "dev"});
      if (has_split(manifest, "dev_mismatched"))  // MNLI's, with GLUE's names
        for (auto& [name, value] : evaluator.evaluate(job.task, {job.data, "dev_mismatched"})) scores.emplace_back(name + "_mm", value);
      return scores;
    };
  log_info(job.task.name, ": ", dataset.size(), " samples, ", arena.size(), " parameters, ", comm.size(), " ranks, ", plan.slots,
           " slots, ", plan.total_steps, " steps of ", flags.global_batch_size, " samples");
  const SlotRange mine = slots_of_rank(plan.slots, comm.size(), comm.rank());
  loading.first_slot = mine.first;
  loading.last_slot = mine.last;
  loading.start_step = trainer.steps();
  BatchLoader loader(std::move(dataset), loading);
  RunResult result;
  try {
    result = run.run(trainer, loader, identity, evaluate,
                     {.checkpoint = checkpoint ? checkpoint->filename().string() : "", .extra = saved.extra});
  } catch (const Error& error) {
    write_exit_file(flags.output_dir, exit_code(error.kind()), error.what(), trainer.steps(), "", comm.rank());
    throw;
  }
  if (comm.rank() == 0) print_result(result);
  return result.code;
}

}  // namespace

BatchLimits limits_of(int64_t tokens, int64_t max_seq_length) {
  // No sequence is shorter than [CLS] x [SEP]; a quarter of the tokens of a sequence is the most that masking rounds up to.
  return {.tokens = tokens, .sequences = tokens / 2 + 1, .predictions = tokens / 4 + 1, .max_seq_length = max_seq_length};
}

int64_t micro_tokens_of(int64_t flag, int64_t batch_tokens, int64_t longest) { return std::max(std::min(flag, batch_tokens), longest); }

int run_training(const TrainFlags& flags, const TrainJob& job, ModelSource source, Session& session) {
  MemoryPlanInputs memory;
  try {
    return train(flags, job, std::move(source), session, memory);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kOutOfDeviceMemory || memory.micro_tokens == 0) throw;
    throw Error(error.kind(), error.what() + advice(memory, session.backend->device()));
  }
}

}  // namespace mpibert::apps
