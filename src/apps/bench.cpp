#include <algorithm>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/declarations.h"
#include "apps/heads.h"
#include "apps/matmul_tuning.h"
#include "apps/model_inputs.h"
#include "apps/session.h"
#include "apps/train.h"
#include "mpibert/base/error.h"
#include "mpibert/base/parse_number.h"
#include "mpibert/base/random.h"

namespace mpibert::apps {

namespace {

using Clock = std::chrono::steady_clock;

struct Settings {
  SessionFlags session;
  MatmulTuningFlags matmul;
  std::vector<std::string> what;
  std::string model, precision = "fp32", head = "classification", optimizer = "adamw", reduction = "exact";
  std::vector<std::string> lengths = {"128"};
  bool cuda_graphs = true;
  int64_t batch = 16, steps = 7, warmup = 2, slots = 1, micro_tokens = 8192;
};

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

double median(std::vector<double> numbers) {
  std::sort(numbers.begin(), numbers.end());
  const size_t n = numbers.size();
  return n % 2 ? numbers[n / 2] : (numbers[n / 2 - 1] + numbers[n / 2]) / 2;
}

// Random sequences of the lengths given, in turn, with the labels of the head; places places .. in the global batch.
Batch random_batch(const BertConfig& config, const std::string& head, const std::vector<int64_t>& lengths, int64_t first_place) {
  Batch batch;
  std::vector<int32_t> ids, types, positions, keys, ends = {0}, sequence_keys, masked_positions, masked_ids, labels;
  int64_t longest = 0;
  for (size_t i = 0; i < lengths.size(); ++i) {
    const int64_t place = first_place + static_cast<int64_t>(i), begin = ends.back();
    RandomStream random(0, RandomPurpose::kSentencePairs, static_cast<uint64_t>(place));
    for (int64_t t = 0; t < lengths[i]; ++t) {
      ids.push_back(static_cast<int32_t>(random.below(static_cast<uint64_t>(config.vocab_size))));
      types.push_back(t >= lengths[i] / 2);
      positions.push_back(static_cast<int32_t>(t));
      keys.push_back(static_cast<int32_t>(place * config.max_position_embeddings + t));
    }
    const int64_t masks = std::max<int64_t>(1, (lengths[i] * 15 + 50) / 100);
    for (int64_t m = 0; m < masks; ++m) {
      masked_positions.push_back(static_cast<int32_t>(begin + m * lengths[i] / masks));
      masked_ids.push_back(static_cast<int32_t>(random.below(static_cast<uint64_t>(config.vocab_size))));
    }
    sequence_keys.push_back(static_cast<int32_t>(place * config.max_position_embeddings));
    labels.push_back(static_cast<int32_t>(place % 2));
    ends.push_back(static_cast<int32_t>(begin + lengths[i]));
    longest = std::max(longest, lengths[i]);
  }
  batch.set_extent(ends.back(), static_cast<int64_t>(lengths.size()), longest);
  batch.add("input_ids", std::move(ids));
  batch.add("token_type_ids", std::move(types));
  batch.add("position_ids", std::move(positions));
  batch.add("token_keys", std::move(keys));
  batch.add("cu_seqlens", std::move(ends));
  batch.add("sequence_keys", std::move(sequence_keys));
  if (head == "classification") {
    batch.add("labels", std::move(labels));
  } else {
    batch.add("masked_lm_positions", std::move(masked_positions));
    batch.add("masked_lm_ids", std::move(masked_ids));
    batch.add("next_sentence_labels", std::move(labels));
  }
  return batch;
}

// This rank's slots: the batch is cut into slots of neighbours, each into micro-batches of at most micro_tokens.
std::vector<Slot> random_slots(const Settings& settings, const BertConfig& config, const Communicator& comm) {
  std::vector<Slot> slots;
  const SlotRange mine = slots_of_rank(settings.slots, comm.size(), comm.rank());
  for (int64_t slot = mine.first; slot < mine.last; ++slot) {
    slots.push_back({.index = slot, .micro_batches = {}});
    std::vector<int64_t> lengths;
    int64_t tokens = 0, first = slot * settings.batch / settings.slots;
    const int64_t last = (slot + 1) * settings.batch / settings.slots;
    for (int64_t place = first; place < last; ++place) {
      const std::string& text = settings.lengths[static_cast<size_t>(place) % settings.lengths.size()];
      const int64_t length = parse_number<int64_t>(text).value_or(0);
      MPIBERT_CHECK(length >= 1 && length <= config.max_position_embeddings, kUsage, "--lengths are from 1 to the model's ",
                    config.max_position_embeddings, " positions, found '", text, "'");
      if (tokens + length > settings.micro_tokens && !lengths.empty()) {
        slots.back().micro_batches.push_back(random_batch(config, settings.head, lengths, first));
        first = place;
        lengths.clear();
        tokens = 0;
      }
      lengths.push_back(length);
      tokens += length;
    }
    if (!lengths.empty()) slots.back().micro_batches.push_back(random_batch(config, settings.head, lengths, first));
  }
  return slots;
}

int bench_step(const Settings& settings) {
  MPIBERT_CHECK(!settings.model.empty(), kUsage, "bench step needs --model CONFIG.json, such as launch/configs/models/base.json");
  Session session = settings.session.open();
  const DType compute = precision_on(session.backend->device(), settings.precision);
  const BertConfig config = open_model_source(settings.model).config;
  Task task = make_task("pretraining");
  if (settings.head == "classification") task = Task{.name = "bench", .kind = TaskKind::kClassification, .label_names = {"0", "1"}};
  const std::vector<Slot> slots = random_slots(settings, config, *session.comm);
  const BatchLimits limits = limits_of(std::max(settings.micro_tokens, config.max_position_embeddings), config.max_position_embeddings);
  choose_matmul_algorithms(settings.matmul, session, "", false, [&] {
    return products_of_training(session.backend->device().type, config, head_maker(task), compute, limits, slots);
  });
  ParameterArena arena;
  Model model(config, arena, head_maker(task));
  Trainer trainer(*session.backend, *session.comm, model, arena, compute,
                  {.schedule = {.kind = "constant", .peak = 1e-5},
                   .optimizer = {.kind = settings.optimizer},
                   .reduction = settings.reduction == "exact" ? Reduction::kExact : Reduction::kFast,
                   .slots = settings.slots,
                   .loss_scale = usual_loss_scale(compute),
                   .cuda_graphs = settings.cuda_graphs});
  model.plan(*session.backend, arena.compute(), limits, true);
  model.allocate(*session.backend);
  trainer.set_weights(new_masters(config, arena, 0));

  std::vector<double> seconds;
  StepOutcome outcome;
  for (int64_t i = 0; i < settings.warmup + settings.steps; ++i) {
    session.comm->barrier("benchmark");
    const Clock::time_point start = Clock::now();
    outcome = trainer.step(slots, 0);
    session.backend->synchronize();
    if (i >= settings.warmup) seconds.push_back(seconds_since(start));
  }
  if (session.comm->rank() != 0) return 0;
  const double step = median(seconds);
  print_line(nlohmann::ordered_json{
      {"benchmark", "step"},
      {"ranks", session.comm->size()},
      {"precision", settings.precision},
      {"head", settings.head},
      {"sequences", outcome.samples},
      {"tokens", outcome.tokens},
      {"median_ms", step * 1e3},
      {"sequences_per_s", static_cast<double>(outcome.samples) / step},
      {"gflops", outcome.flops / step / 1e9},
      {"graph_replays", trainer.graph_replays()},
      {"device_bytes", session.backend->allocated_bytes()},
      {"samples_ms",
       seconds}}.dump());
  return 0;
}

int bench_matmul(const Settings& settings) {
  const std::unique_ptr<Backend> backend = make_backend(device_of_rank(settings.session.device, 0));
  const DType compute = precision_on(backend->device(), settings.precision);
  struct Case {
    const char* name;
    int64_t rows, in, out;
  };
  for (const Case& c : {Case{"base attention", 2048, 768, 768},
                        {"base intermediate", 2048, 768, 3072},
                        {"base output", 2048, 3072, 768},
                        {"small intermediate", 1024, 384, 1536}}) {
    const auto make = [&](int64_t rows, int64_t columns) {
      return backend->allocate(static_cast<size_t>(rows * columns) * bytes_of(compute));
    };
    const Buffer x = make(c.rows, c.in), w = make(c.out, c.in), y = make(c.rows, c.out);
    const Matmul product{.a = x.view(compute, {c.rows, c.in}),
                         .b = w.view(compute, {c.out, c.in}),
                         .transpose_b = true,
                         .c = y.view(compute, {c.rows, c.out})};
    backend->zero(product.a);
    backend->zero(product.b);
    MatmulTuner* tuner = backend->matmul_tuner();
    if (tuner && settings.matmul.mode != "off") tuner->measure(std::span(&product, 1));
    std::vector<double> seconds;
    for (int64_t i = 0; i < settings.warmup + settings.steps; ++i) {
      const Clock::time_point start = Clock::now();
      backend->matmul(product);
      backend->synchronize();
      if (i >= settings.warmup) seconds.push_back(seconds_since(start));
    }
    const double flops = 2.0 * static_cast<double>(c.rows * c.in) * static_cast<double>(c.out);
    nlohmann::ordered_json result = {{"benchmark", "matmul"},
                                     {"case", c.name},
                                     {"precision", settings.precision},
                                     {"shape", {c.rows, c.in, c.out}},
                                     {"median_ms", median(seconds) * 1e3},
                                     {"gflops", flops / median(seconds) / 1e9}};
    if (tuner) result["algorithm"] = tuner->algorithm_of(product);
    print_line(result.dump());
  }
  return 0;
}

}  // namespace

std::function<int()> declare_bench(Options& options) {
  auto s = std::make_shared<Settings>();
  options.add({.name = "arguments",
               .target = &s->what,
               .help = "step: a whole training step on random data; matmul: matrix products of a BERT",
               .required = true});
  options.add({.name = "model", .target = &s->model, .help = "step: CONFIG.json"});
  options.add(
      {.name = "precision", .target = &s->precision, .help = "of computing; fp16 with --device cuda", .choices = {"fp32", "bf16", "fp16"}});
  options.add({.name = "head", .target = &s->head, .help = "step: what is trained", .choices = {"classification", "pretraining"}});
  options.add({.name = "batch-size", .target = &s->batch, .help = "step: sequences over all ranks", .minimum = 1});
  options.add({.name = "lengths", .target = &s->lengths, .help = "step: tokens of the sequences, in turn"});
  options.add({.name = "steps", .target = &s->steps, .help = "timed repeats", .minimum = 1});
  options.add({.name = "warmup", .target = &s->warmup, .help = "repeats before them", .minimum = 0});
  options.add({.name = "slots", .target = &s->slots, .help = "step: leaves of the slot tree", .minimum = 1});
  options.add(
      {.name = "micro-tokens", .target = &s->micro_tokens, .help = "step: most tokens computed at a time by a rank", .minimum = 16});
  options.add({.name = "optimizer",
               .target = &s->optimizer,
               .help = "step: update rule",
               .choices = {"adamw", "adamw-hf", "adam", "lamb", "nvlamb"}});
  options.add({.name = "reduction", .target = &s->reduction, .help = "step: order of sums over ranks", .choices = {"exact", "fast"}});
  TrainFlags::declare_cuda_graphs(options, s->cuda_graphs);
  s->session.declare(options);
  s->matmul.declare(options);
  return [s] {
    const std::string what = s->what.front();
    if (what == "step") return bench_step(*s);
    if (what == "matmul") return bench_matmul(*s);
    throw Error(ErrorKind::kUsage, str_cat("bench does step or matmul, not '", what, "'"));
  };
}

}  // namespace mpibert::apps
