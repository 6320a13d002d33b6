#include "mpibert/data/batch_loader.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "data/pack.h"
#include "mpibert/base/error.h"

namespace mpibert {

int64_t steps_per_epoch(int64_t samples, int64_t global_batch_size) { return (samples + global_batch_size - 1) / global_batch_size; }

StepRange step_range(int64_t step, int64_t samples, int64_t global_batch_size, bool cross_epochs) {
  if (cross_epochs) return {step * global_batch_size, (step + 1) * global_batch_size};
  const int64_t steps = steps_per_epoch(samples, global_batch_size), first = (step / steps) * samples;
  const int64_t begin = (step % steps) * global_batch_size;
  return {first + begin, first + std::min(begin + global_batch_size, samples)};
}

struct BatchLoader::Data {
  Data(Dataset data, LoaderOptions loader_options)
      : dataset(std::move(data)),
        options(std::move(loader_options)),
        sampler(dataset.size(), options.seed, options.order),
        step(options.start_step) {}

  // Of the loading thread alone.
  Dataset dataset;
  LoaderOptions options;
  Sampler sampler;
  Schema labels;

  // Shared, under the mutex.
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::vector<Slot>> ready;
  std::exception_ptr error;
  bool stopping = false;

  int64_t step;  // of the caller alone
  std::thread thread;

  void check() const;
  void run();
  std::vector<Slot> load(int64_t step_to_load);
  Slot load_slot(int64_t slot, const StepRange& range, std::span<const int64_t> ids, std::span<const int64_t> lengths,
                 std::span<const int64_t> members);
};

void BatchLoader::Data::check() const {
  const LoaderOptions& o = options;
  MPIBERT_CHECK(o.global_batch_size > 0, kInvalidArgument, "global_batch_size is ", o.global_batch_size, ", expected at least 1");
  MPIBERT_CHECK(0 <= o.first_slot && o.first_slot <= o.last_slot && o.last_slot <= o.slots && o.slots > 0, kInvalidArgument, "slots ",
                o.first_slot, " to ", o.last_slot, " of ", o.slots);
  MPIBERT_CHECK(o.start_step >= 0 && o.prefetch_steps > 0, kInvalidArgument, "start_step is ", o.start_step,
                ", expected at least 0; prefetch_steps is ", o.prefetch_steps, ", expected at least 1");
  check_limits({.max_position_embeddings = o.max_position_embeddings,
                .vocab_size = o.vocab_size,
                .micro_tokens = o.micro_tokens,
                .batch_size = o.global_batch_size},
               dataset);
  MPIBERT_CHECK(!o.masking || o.masking->vocabulary_size() == dataset.manifest().vocabulary_size, kInvalidArgument,
                "the masks are of a vocabulary of ", o.masking->vocabulary_size(), " tokens, the data set of one of ",
                dataset.manifest().vocabulary_size);
}

namespace {

// The labels of a batch: those stored, and those that masking adds in front.
Schema batch_labels(const Schema& stored, bool masked) {
  Schema labels = masked ? masked_lm_labels() : Schema{};
  labels.insert(labels.end(), stored.begin(), stored.end());
  return labels;
}

}  // namespace

BatchLoader::BatchLoader(Dataset dataset, LoaderOptions options) : data_(std::make_unique<Data>(std::move(dataset), std::move(options))) {
  data_->check();
  data_->labels = batch_labels(data_->dataset.labels(), data_->options.masking.has_value());
  data_->thread = std::thread([d = data_.get()] { d->run(); });
}

BatchLoader::BatchLoader(BatchLoader&&) noexcept = default;

BatchLoader::~BatchLoader() {
  if (!data_ || !data_->thread.joinable()) return;
  {
    const std::lock_guard lock(data_->mutex);
    data_->stopping = true;
  }
  data_->changed.notify_all();
  data_->thread.join();
}

void BatchLoader::Data::run() {
  try {
    for (int64_t next = options.start_step;; ++next) {
      std::vector<Slot> slots = load(next);
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return stopping || ready.size() < static_cast<size_t>(options.prefetch_steps); });
      if (stopping) return;
      ready.push_back(std::move(slots));
      changed.notify_all();
    }
  } catch (...) {
    const std::lock_guard lock(mutex);
    error = std::current_exception();
    changed.notify_all();
  }
}

std::vector<Slot> BatchLoader::Data::load(int64_t step_to_load) {
  const StepRange range = step_range(step_to_load, sampler.samples(), options.global_batch_size, options.cross_epochs);
  std::vector<int64_t> ids, lengths;
  for (int64_t position = range.begin; position < range.end; ++position) {
    ids.push_back(sampler.at(position));
    lengths.push_back(dataset.length(ids.back(), sampler.epoch(position)));
  }
  const std::vector<std::vector<int64_t>> members = deal_to_slots(lengths, options.slots);
  std::vector<Slot> slots;
  for (int64_t slot = options.first_slot; slot < options.last_slot; ++slot)
    slots.push_back(load_slot(slot, range, ids, lengths, members[static_cast<size_t>(slot)]));
  return slots;
}

Slot BatchLoader::Data::load_slot(int64_t slot, const StepRange& range, std::span<const int64_t> ids, std::span<const int64_t> lengths,
                                  std::span<const int64_t> members) {
  Slot loaded{.index = slot, .micro_batches = {}};
  for (const std::vector<int64_t>& micro_batch : pack(members, lengths, options.micro_tokens)) {
    std::vector<PlacedSample> placed;
    for (const int64_t place : micro_batch) {
      const int64_t epoch = sampler.epoch(range.begin + place);
      placed.push_back({.sample = dataset.read(ids[static_cast<size_t>(place)], epoch), .place = place});
      if (options.masking) options.masking->mask_dynamically(placed.back().sample, options.seed, epoch);
    }
    loaded.micro_batches.push_back(make_batch(placed, labels, options.max_position_embeddings));
  }
  return loaded;
}

std::vector<Slot> BatchLoader::next() {
  std::unique_lock lock(data_->mutex);
  data_->changed.wait(lock, [&] { return data_->error || !data_->ready.empty(); });
  if (data_->ready.empty()) std::rethrow_exception(data_->error);  // only after the steps that were loaded before it
  std::vector<Slot> slots = std::move(data_->ready.front());
  data_->ready.pop_front();
  ++data_->step;
  data_->changed.notify_all();
  return slots;
}

int64_t BatchLoader::step() const { return data_->step; }
int64_t BatchLoader::steps_per_epoch() const {
  return mpibert::steps_per_epoch(data_->sampler.samples(), data_->options.global_batch_size);
}
const Manifest& BatchLoader::manifest() const { return data_->dataset.manifest(); }

std::pair<int64_t, int64_t> evaluation_range(int64_t samples, int64_t rank, int64_t ranks) {
  MPIBERT_CHECK(samples >= 0 && 0 <= rank && rank < ranks, kInvalidArgument, "rank ", rank, " of ", ranks, " of ", samples, " samples");
  const int64_t each = samples / ranks, rest = samples % ranks;
  const int64_t begin = rank * each + std::min(rank, rest);
  return {begin, begin + each + (rank < rest ? 1 : 0)};
}

namespace {

// Samples that are sorted by length together.
constexpr int64_t kEvaluationWindow = 1024;

}  // namespace

struct EvaluationLoader::Data {
  Data(Dataset data, EvaluationLoaderOptions loader_options) : dataset(std::move(data)), options(std::move(loader_options)) {}
  Dataset dataset;
  EvaluationLoaderOptions options;
  Schema labels;
  int64_t position = 0;
  std::deque<std::vector<int64_t>> waiting;  // ids of coming batches

  void plan_window();
};

EvaluationLoader::EvaluationLoader(Dataset dataset, EvaluationLoaderOptions options)
    : data_(std::make_unique<Data>(std::move(dataset), std::move(options))) {
  Data& d = *data_;
  EvaluationLoaderOptions& o = d.options;
  if (o.end < 0) o.end = d.dataset.size();
  MPIBERT_CHECK(0 <= o.begin && o.begin <= o.end && o.end <= d.dataset.size(), kInvalidArgument, "samples ", o.begin, " to ", o.end, " of ",
                d.dataset.size());
  check_limits(
      {.max_position_embeddings = o.max_position_embeddings, .vocab_size = o.vocab_size, .micro_tokens = o.micro_tokens, .batch_size = 1},
      d.dataset);
  d.labels = batch_labels(d.dataset.labels(), o.masking.has_value());
  d.position = o.begin;
}

EvaluationLoader::~EvaluationLoader() = default;
EvaluationLoader::EvaluationLoader(EvaluationLoader&&) noexcept = default;

void EvaluationLoader::Data::plan_window() {
  const int64_t begin = position, end = std::min(position + kEvaluationWindow, options.end);
  std::vector<int64_t> order, lengths;
  for (int64_t id = begin; id < end; ++id) {
    order.push_back(id);
    lengths.push_back(dataset.length(id));
  }
  const auto length = [&](int64_t id) { return lengths[static_cast<size_t>(id - begin)]; };
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return length(a) > length(b); });
  int64_t room = 0;
  for (const int64_t id : order) {
    if (room < length(id)) {
      waiting.emplace_back();
      room = options.micro_tokens;
    }
    waiting.back().push_back(id);
    room -= length(id);
  }
  position = end;
}

std::optional<Batch> EvaluationLoader::next() {
  Data& d = *data_;
  if (d.waiting.empty() && d.position < d.options.end) d.plan_window();
  if (d.waiting.empty()) return std::nullopt;
  std::vector<PlacedSample> placed;
  for (Sample& sample : d.dataset.read(d.waiting.front())) {
    if (d.options.masking) d.options.masking->mask_dynamically(sample, d.options.seed, 0);
    placed.push_back({.sample = std::move(sample), .place = static_cast<int64_t>(placed.size())});
  }
  d.waiting.pop_front();
  return make_batch(placed, d.labels, d.options.max_position_embeddings);
}

}  // namespace mpibert
