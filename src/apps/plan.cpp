#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/declarations.h"
#include "apps/heads.h"
#include "apps/memory_plan.h"
#include "apps/model_inputs.h"
#include "apps/train.h"
#include "mpibert/base/error.h"
#include "mpibert/ops/cards.h"

namespace mpibert::apps {

namespace {

struct Settings {
  std::string model, device = "cpu", precision = "fp32", head = "pretraining", optimizer = "adamw", reduction = "exact";
  int64_t ranks = 1, slots = 0, micro_tokens = 8192, global_batch_size = 32, max_seq_length = 128, bucket_mib = 25;
  double memory_gib = 0, peak_tflops = 0, utilization = 0.4;
  bool json = false;
};

constexpr double kGib = 1 << 30;

// Cards that can be planned for without being there. Source: NVIDIA's data sheets of A100 (2021), H100 and H200 (2024), SXM: dense products
// with 16-bit operands and in fp32; memory as the driver reports it, rounded down.
struct KnownCard {
  const char* name;
  double memory_gib, tflops_16, tflops_32;
};
constexpr KnownCard kKnownCards[] = {{"a100-40", 39, 312, 19.5}, {"a100-80", 79, 312, 19.5}, {"h100", 79, 989, 67}, {"h200", 139, 989, 67}};

const KnownCard* known_card(const std::string& name) {
  for (const KnownCard& card : kKnownCards)
    if (name == card.name) return &card;
  return nullptr;
}

MemoryPlanInputs inputs_of(const Settings& s) {
  const DType compute = precision_from_name(s.precision);
  MPIBERT_CHECK(s.device != "cpu" || compute != DType::kFloat16, kUsage,
                "--precision fp16 is for cards; plan for one (--device h200), or with --precision bf16");
  const Task task =
      s.head == "classification" ? Task{.name = "plan", .kind = TaskKind::kClassification, .label_names = {"0", "1"}} : make_task(s.head);
  return {.config = open_model_source(s.model).config,
          .make_head = head_maker(task),
          .device = s.device == "cpu" ? DeviceType::kCpu : DeviceType::kCuda,
          .compute = compute,
          .optimizer = {.kind = s.optimizer},
          .reduction = s.reduction == "exact" ? Reduction::kExact : Reduction::kFast,
          .ranks = s.ranks,
          .slots = s.slots > 0 ? s.slots : s.ranks,
          .bucket_mib = s.bucket_mib,
          .micro_tokens = micro_tokens_of(s.micro_tokens, s.global_batch_size * s.max_seq_length, s.max_seq_length),
          .max_seq_length = s.max_seq_length};
}

// Of a step on full sequences, 15 % of their tokens masked.
double flops_of(const Settings& settings, const BertConfig& config) {
  const int64_t b = settings.global_batch_size, s = settings.max_seq_length;
  const int64_t masked = settings.head != "classification" ? b * ((15 * s + 50) / 100) : 0;
  return training_flops(config, b * s, static_cast<double>(b * s * s), masked);
}

// Bytes that a rank may use: --memory-gib, or the memory of the known or the first card; 0 if neither is known.
int64_t budget_of(const Settings& settings) {
  const int64_t reserve = settings.device == "cpu" ? 0 : kCardReserveBytes;
  const KnownCard* card = known_card(settings.device);
  const double gib = settings.memory_gib > 0 ? settings.memory_gib : card ? card->memory_gib : 0;
  if (gib > 0) return static_cast<int64_t>(gib * kGib) - reserve;
  const std::vector<CardDescription> cards = settings.device == "cuda" ? describe_cards() : std::vector<CardDescription>();
  return cards.empty() ? 0 : static_cast<int64_t>(cards.front().free_bytes) - reserve;
}

// What a rank's device can do at most, in TFLOP/s; 0 if that is not known.
double peak_of(const Settings& settings) {
  if (settings.peak_tflops > 0) return settings.peak_tflops;
  const KnownCard* card = known_card(settings.device);
  return !card ? 0 : settings.precision == "fp32" ? card->tflops_32 : card->tflops_16;
}

int run(const Settings& settings) {
  MPIBERT_CHECK(settings.ranks <= 65536, kUsage, "--ranks ", settings.ranks, ": expected at most 65536");
  const MemoryPlanInputs inputs = inputs_of(settings);
  const MemoryPlan plan(inputs);
  const double flops = flops_of(settings, inputs.config), peak = peak_of(settings);
  const double seconds = peak > 0 ? flops / (peak * 1e12 * settings.utilization * static_cast<double>(settings.ranks)) : 0;
  const int64_t budget = budget_of(settings);
  if (settings.json) {
    nlohmann::ordered_json bytes;
    for (const auto& [name, part] : plan.parts(inputs.micro_tokens)) bytes[name] = part;
    nlohmann::ordered_json object = {{"parameters", plan.parameters()},
                                     {"micro_tokens", inputs.micro_tokens},
                                     {"flops_per_step", flops},
                                     {"bytes", bytes},
                                     {"total_bytes", plan.bytes(inputs.micro_tokens)}};
    if (inputs.device == DeviceType::kCuda) object["reserve_bytes"] = kCardReserveBytes;
    if (budget > 0) object["largest_micro_tokens"] = plan.largest_micro_tokens(budget);
    if (peak > 0) object["expected_step_s"] = seconds;
    print_line(object.dump());
    return 0;
  }
  print_line(str_cat("parameters: ", plan.parameters()));
  print_line(str_cat("a step of ", settings.global_batch_size, " x ", settings.max_seq_length,
                     " tokens: ", number_text(std::round(flops / 1e9) / 1e3), " TFLOP over all ranks"));
  if (peak > 0)
    print_line(str_cat("expected time of a step: ", number_text(std::round(seconds * 1e5) / 1e2), " ms, if each rank does ",
                       number_text(settings.utilization * 100), " % of ", number_text(peak),
                       " TFLOP/s (--utilization, --peak-tflops: not measured)"));
  for (const std::string& line : plan.lines(budget)) print_line(line);
  return 0;
}

}  // namespace

std::function<int()> declare_plan(Options& options) {
  auto s = std::make_shared<Settings>();
  options.add({.name = "model",
               .target = &s->model,
               .help = "model folder, run, or CONFIG.json, such as launch/configs/models/large.json",
               .required = true});
  options.add({.name = "device",
               .target = &s->device,
               .help = "where to compute; cuda: on the first card here",
               .choices = {"cpu", "cuda", "a100-40", "a100-80", "h100", "h200"}});
  options.add({.name = "precision", .target = &s->precision, .help = "of computing", .choices = {"fp32", "bf16", "fp16"}});
  options.add({.name = "head",
               .target = &s->head,
               .help = "what is trained",
               .choices = {"pretraining", "masked-lm", "classification", "question-answering"}});
  options.add(
      {.name = "optimizer", .target = &s->optimizer, .help = "update rule", .choices = {"adamw", "adamw-hf", "adam", "lamb", "nvlamb"}});
  options.add({.name = "reduction", .target = &s->reduction, .help = "order of sums over ranks", .choices = {"exact", "fast"}});
  options.add({.name = "ranks", .target = &s->ranks, .help = "ranks of the job", .minimum = 1});
  options.add({.name = "slots", .target = &s->slots, .help = "parts of a global batch; 0: one a rank", .minimum = 0});
  options.add({.name = "micro-tokens",
               .target = &s->micro_tokens,
               .help = "most tokens computed at a time by a rank",
               .minimum = 16,
               .maximum = static_cast<double>(kMostMicroTokens)});
  options.add({.name = "global-batch-size", .target = &s->global_batch_size, .help = "sequences of a step, over all ranks", .minimum = 1});
  options.add({.name = "max-seq-length", .target = &s->max_seq_length, .help = "tokens of the longest sequence", .minimum = 5});
  options.add({.name = "bucket-mib",
               .target = &s->bucket_mib,
               .help = "size of the gradient ranges that are summed while backward goes on",
               .minimum = 1});
  options.add({.name = "memory-gib",
               .target = &s->memory_gib,
               .help = "memory of a rank, for the largest --micro-tokens; 0: the card's",
               .minimum = 0});
  options.add({.name = "peak-tflops",
               .target = &s->peak_tflops,
               .help = "what a rank's device can do at most, for the expected time; 0: what is known of the card",
               .minimum = 0});
  options.add({.name = "utilization",
               .target = &s->utilization,
               .help = "share of the peak that a step is expected to reach",
               .minimum = 0.01,
               .maximum = 1});
  options.add({.name = "json", .target = &s->json, .help = "one JSON object"});
  return [s] { return run(*s); };
}

}  // namespace mpibert::apps
