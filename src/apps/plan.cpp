#include <array>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/declarations.h"
#include "apps/heads.h"
#include "apps/model_inputs.h"
#include "apps/train.h"
#include "mpibert/base/error.h"
#include "mpibert/ops/cards.h"
#include "mpibert/ops/planning_backend.h"
#include "mpibert/train/trainer.h"

namespace mpibert::apps {

namespace {

struct Settings {
  std::string model, device = "cpu", precision = "fp32", head = "pretraining", optimizer = "adamw", reduction = "exact";
  int64_t ranks = 1, slots = 0, micro_tokens = 8192, global_batch_size = 32, max_seq_length = 128, bucket_mib = 25;
  double memory_gib = 0;
  bool json = false;
};

constexpr double kGib = 1 << 30;
constexpr int64_t kMostTokens = 1 << 20;  // of --micro-tokens
// What a card holds beside what the backend counts: CUDA's context and kernels, cuBLASLt's workspace, partial sums, the batch itself.
constexpr int64_t kCardReserveBytes = int64_t{1} << 30;

// Rank 0 of so many, alone: a trainer can be made of it, not run.
class AbsentRanks final : public Communicator {
 public:
  explicit AbsentRanks(int size) : size_(size) {}
  int rank() const override { return 0; }
  int size() const override { return size_; }
  int local_rank() const override { return 0; }
  int local_size() const override { return size_; }
  void reduce_scatter(std::span<const Tensor>, const Tensor&, Reduction, std::string_view) override { refuse(); }
  void all_gather(const Tensor&, const Tensor&, std::string_view) override { refuse(); }
  void sum(const Tensor&, std::string_view) override { refuse(); }
  void progress() override {}
  void join() override {}
  void wait() override {}
  void all_reduce(std::span<int64_t>, ReduceOp, std::string_view) override { refuse(); }
  void all_reduce(std::span<double>, ReduceOp, std::string_view) override { refuse(); }
  void broadcast(const Tensor&, int, std::string_view) override { refuse(); }
  void barrier(std::string_view) override { refuse(); }
  std::vector<std::vector<std::byte>> gather_bytes(std::span<const std::byte>, int, std::string_view) override { refuse(); }
  std::vector<std::vector<std::byte>> all_gather_bytes(std::span<const std::byte>, std::string_view) override { refuse(); }
  void set_slots(int64_t) override {}
  std::string transport() const override { return "none"; }

 private:
  [[noreturn]] static void refuse() { throw std::logic_error("a plan has no other ranks"); }
  int size_;
};

// A rank's memory for the settings of a training, found by making its trainer and model on a backend that only counts.
class Planned {
 public:
  explicit Planned(const Settings& settings)
      : settings_(settings),
        config_(open_model_source(settings.model).config),
        backend_(make_planning_backend(settings.device == "cuda" ? DeviceType::kCuda : DeviceType::kCpu)),
        comm_(static_cast<int>(settings.ranks)),
        model_(config_, arena_, head_maker(task_of(settings))),
        trainer_(*backend_, comm_, model_, arena_, precision_from_name(settings.precision),
                 {.schedule = {.kind = "constant"},
                  .optimizer = {.kind = settings.optimizer},
                  .reduction = settings.reduction == "exact" ? Reduction::kExact : Reduction::kFast,
                  .slots = settings.slots > 0 ? settings.slots : settings.ranks,
                  .bucket_mib = settings.bucket_mib}) {}

  int64_t parameters() const {
    int64_t n = 0;
    for (const Parameter& p : arena_.parameters()) n += p.shape.size();
    return n;
  }
  int64_t trainer_bytes() const { return static_cast<int64_t>(backend_->allocated_bytes()); }
  const std::vector<std::pair<std::string, int64_t>>& trainer_parts() const { return trainer_.memory(); }
  int64_t activation_bytes(int64_t micro_tokens) { return model_.plan(*backend_, arena_.compute(), limits_of(micro_tokens, config_.max_position_embeddings), true); }
  int64_t micro_tokens() const { return micro_tokens_of(settings_.micro_tokens, settings_.global_batch_size * settings_.max_seq_length, settings_.max_seq_length); }
  // Of a step on full sequences, 15 % of their tokens masked.
  double flops() const {
    const int64_t b = settings_.global_batch_size, s = settings_.max_seq_length;
    const int64_t masked = settings_.head == "pretraining" ? b * ((15 * s + 50) / 100) : 0;
    return training_flops(config_, b * s, static_cast<double>(b * s * s), masked);
  }
  // The largest --micro-tokens whose memory stays within `bytes`; 0 if there is none.
  int64_t largest_micro_tokens(int64_t bytes) {
    int64_t fits = 0, exceeds = kMostTokens + 1;
    while (exceeds - fits > 1) {
      const int64_t middle = fits + (exceeds - fits) / 2;
      (trainer_bytes() + activation_bytes(middle) <= bytes ? fits : exceeds) = middle;
    }
    return fits < settings_.max_seq_length ? 0 : fits;
  }

 private:
  static Task task_of(const Settings& settings) {
    return settings.head == "classification" ? Task{.name = "plan", .kind = TaskKind::kClassification, .label_names = {"0", "1"}} : make_task("pretraining");
  }

  const Settings& settings_;
  BertConfig config_;
  std::unique_ptr<Backend> backend_;
  AbsentRanks comm_;
  ParameterArena arena_;
  Model model_;
  Trainer trainer_;
};

// Bytes that a rank may use: --memory-gib, or the memory of the first card; 0 if neither is known.
int64_t budget_of(const Settings& settings) {
  const int64_t reserve = settings.device == "cuda" ? kCardReserveBytes : 0;
  if (settings.memory_gib > 0) return static_cast<int64_t>(settings.memory_gib * kGib) - reserve;
  const std::vector<CardDescription> cards = settings.device == "cuda" ? describe_cards() : std::vector<CardDescription>();
  return cards.empty() ? 0 : static_cast<int64_t>(cards.front().free_bytes) - reserve;
}

std::string gib(int64_t bytes) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3f GiB", static_cast<double>(bytes) / kGib);
  return text.data();
}

int run(const Settings& settings) {
  MPIBERT_CHECK(settings.ranks <= 65536, kUsage, "--ranks ", settings.ranks, ": expected at most 65536");
  Planned planned(settings);
  auto parts = planned.trainer_parts();
  parts.emplace_back("activations", planned.activation_bytes(planned.micro_tokens()));
  int64_t total = 0;
  nlohmann::ordered_json bytes;
  for (const auto& [name, part] : parts) {
    bytes[name] = part;
    total += part;
  }
  const int64_t budget = budget_of(settings);
  const int64_t largest = budget > 0 ? planned.largest_micro_tokens(budget) : 0;
  if (settings.json) {
    nlohmann::ordered_json object = {{"parameters", planned.parameters()}, {"micro_tokens", planned.micro_tokens()}, {"flops_per_step", planned.flops()}, {"bytes", bytes}, {"total_bytes", total}};
    if (settings.device == "cuda") object["reserve_bytes"] = kCardReserveBytes;
    if (budget > 0) object["largest_micro_tokens"] = largest;
    print_line(object.dump());
    return 0;
  }
  print_line(str_cat("parameters: ", planned.parameters()));
  print_line(str_cat("a step of ", settings.global_batch_size, " x ", settings.max_seq_length, " tokens: ", number_text(std::round(planned.flops() / 1e9) / 1e3), " TFLOP over all ranks"));
  for (const auto& [name, part] : parts) print_line(str_cat(name, ": ", gib(part)));
  print_line(str_cat("each rank, with ", planned.micro_tokens(), " tokens at a time: ", gib(total), settings.device == "cuda" ? str_cat(", and about ", gib(kCardReserveBytes), " of CUDA's own") : ""));
  if (budget > 0)
    print_line(largest > 0 ? str_cat("largest --micro-tokens that fits: ", largest) : str_cat("not even one sequence of ", settings.max_seq_length, " tokens fits; use more ranks or a smaller model"));
  return 0;
}

}  // namespace

std::function<int()> declare_plan(Options& options) {
  auto s = std::make_shared<Settings>();
  options.add({.name = "model", .target = &s->model, .help = "model folder, run, or CONFIG.json, such as launch/configs/models/large.json", .required = true});
  options.add({.name = "device", .target = &s->device, .help = "where to compute", .choices = {"cpu", "cuda"}});
  options.add({.name = "precision", .target = &s->precision, .help = "of computing", .choices = {"fp32", "bf16"}});
  options.add({.name = "head", .target = &s->head, .help = "what is trained", .choices = {"pretraining", "classification"}});
  options.add({.name = "optimizer", .target = &s->optimizer, .help = "update rule", .choices = {"adamw", "adamw-hf", "adam", "lamb", "nvlamb"}});
  options.add({.name = "reduction", .target = &s->reduction, .help = "order of sums over ranks", .choices = {"exact", "fast"}});
  options.add({.name = "ranks", .target = &s->ranks, .help = "ranks of the job", .minimum = 1});
  options.add({.name = "slots", .target = &s->slots, .help = "parts of a global batch; 0: one a rank", .minimum = 0});
  options.add({.name = "micro-tokens", .target = &s->micro_tokens, .help = "most tokens computed at a time by a rank", .minimum = 16, .maximum = static_cast<double>(kMostTokens)});
  options.add({.name = "global-batch-size", .target = &s->global_batch_size, .help = "sequences of a step, over all ranks", .minimum = 1});
  options.add({.name = "max-seq-length", .target = &s->max_seq_length, .help = "tokens of the longest sequence", .minimum = 5});
  options.add({.name = "bucket-mib", .target = &s->bucket_mib, .help = "size of the gradient ranges that are summed while backward goes on", .minimum = 1});
  options.add({.name = "memory-gib", .target = &s->memory_gib, .help = "memory of a rank, for the largest --micro-tokens; 0: what is free on the card", .minimum = 0});
  options.add({.name = "json", .target = &s->json, .help = "one JSON object"});
  return [s] { return run(*s); };
}

}  // namespace mpibert::apps
