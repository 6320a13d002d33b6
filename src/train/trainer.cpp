#include "mpibert/train/trainer.h"

#include <chrono>
#include <cmath>
#include <cstring>

#include "mpibert/base/error.h"
#include "train/extra_number.h"
#include "train/step_graphs.h"

namespace mpibert {

namespace {

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

std::vector<Piece> pieces_of(int64_t padded, int64_t bucket, const Communicator& comm, int rank) {
  std::vector<Piece> pieces;
  for (const OwnedPiece& piece : owned_pieces(padded, bucket, rank, comm.size())) pieces.push_back({piece.begin, piece.end, piece.local});
  return pieces;
}

// --reduction fast: all slots of a rank accumulate in one buffer.
FoldPlan one_buffer_plan(const SlotRange& run) {
  FoldPlan plan{.steps = {}, .results = {0}, .buffers = 1};
  for (int64_t slot = run.first; slot < run.last; ++slot) plan.steps.push_back({.slot = slot, .buffer = 0, .merges = {}});
  return plan;
}

template <class T>
std::span<const std::byte> bytes_of_numbers(std::span<T> numbers) {
  return std::as_bytes(numbers);
}

Tensor bytes_of_state(StepState& state) { return {&state, DType::kUInt8, {kStepStateBytes}}; }

}  // namespace

// Sums over the global batch that a step must know before it begins.
struct Trainer::Counts {
  int64_t tokens = 0, samples = 0, squared_lengths = 0, predictions = 0;
  int stop_signal = 0;
};

Trainer::Trainer(Backend& backend, Communicator& comm, Model& model, ParameterArena& arena, DType compute, const TrainerOptions& options)
    : backend_(backend), comm_(comm), model_(model), arena_(arena), options_(options) {
  MPIBERT_CHECK(options.slots >= comm.size(), kInvalidArgument, "--slots is ", options.slots, ", but there are ", comm.size(),
                " ranks and each computes at least one slot; start fewer ranks or give --slots ", comm.size());
  check(options.schedule);
  check(options.loss_scale);
  comm_.set_slots(options.slots);
  run_ = slots_of_rank(options.slots, comm.size(), comm.rank());
  plan_ = options.reduction == Reduction::kExact ? plan_fold(options.slots, comm.size(), comm.rank()) : one_buffer_plan(run_);

  size_t before = backend.allocated_bytes();
  const auto taken_by = [&](const char* part) {
    const size_t now = backend.allocated_bytes();
    memory_.emplace_back(part, static_cast<int64_t>(now - before));
    before = now;
  };
  const int64_t padded = padded_size(arena.size(), comm.size());
  bucket_ = bucket_size(options.bucket_mib, arena.size(), comm.size());
  arena.allocate(backend, compute, padded);
  taken_by("values");
  for (int i = 0; i < plan_.buffers; ++i) {
    gradient_memory_.push_back(backend.allocate(static_cast<size_t>(padded) * sizeof(float)));
    gradients_.push_back(gradient_memory_.back().view(DType::kFloat32, {padded}));
    backend.zero(gradients_.back());
  }
  taken_by("gradients");
  if (comm.size() > 1) {
    owned_memory_ = backend.allocate(static_cast<size_t>(padded / comm.size()) * sizeof(float));
    owned_ = owned_memory_.view(DType::kFloat32, {padded / comm.size()});
    reducer_.emplace(comm, owned_, bucket_, options.reduction);
  }
  taken_by("summed gradients");
  state_memory_ = backend.allocate(sizeof(StepState));
  state_tensor_ = state_memory_.view(DType::kUInt8, {kStepStateBytes});
  const auto terms = static_cast<int64_t>(model.head().terms().size());
  const int64_t rows = run_.size() * 2;
  loss_memory_ = backend.allocate(static_cast<size_t>((rows + 2) * terms) * sizeof(float));
  losses_ = loss_memory_.view(DType::kFloat32, {run_.size(), 2, terms});
  slot_losses_ = loss_memory_.view(DType::kFloat32, {2, terms}, static_cast<size_t>(rows * terms) * sizeof(float));
  pass_ = {.train = true,
           .state = state_tensor_,
           .label_smoothing = options.label_smoothing,
           .first_trained = arena.first_trained(),
           .loss_sums = slot_losses_.elements(0, terms),
           .correct = slot_losses_.elements(terms, 2 * terms)};
  labels_.assign(static_cast<size_t>(terms), 0);
  const std::vector<Piece> pieces = pieces_of(padded, bucket_, comm, comm.rank());
  norms_.emplace(backend, arena.segments(), pieces);
  cells_memory_ = backend.allocate(static_cast<size_t>(norms_->count()) * sizeof(double));
  cells_ = cells_memory_.view(DType::kFloat64, {norms_->count()});
  taken_by("losses and norms");
  optimizer_ = make_optimizer(options.optimizer, backend, arena, pieces);
  taken_by("moments and masters");
  rule_ = optimizer_->rule(options.max_grad_norm, options.loss_scale);
  copies_memory_ = backend.allocate_host((kStepsAhead + 1) * sizeof(StepState));
  graphs_ = std::make_unique<StepGraphs>(backend, options.cuda_graphs);
  state_.seed = options.seed;
  state_.loss_scale = options.loss_scale.initial;
  backend_.upload(bytes_of_state(state_), state_tensor_);
}
Trainer::~Trainer() = default;

int64_t Trainer::graph_replays() const { return graphs_->replays(); }

void Trainer::set_weights(std::span<const float> masters) {
  MPIBERT_CHECK(static_cast<int64_t>(masters.size()) == arena_.size(), kInvalidArgument, "a model of ", arena_.size(),
                " numbers was given ", masters.size());
  std::vector<float> padded(static_cast<size_t>(arena_.padded_size()), 0.0f);
  std::copy(masters.begin(), masters.end(), padded.begin());
  const Tensor host = host_tensor(std::span(padded), {arena_.padded_size()});
  arena_.set_values(backend_, host);
  optimizer_->set_masters(host);
}

StepOutcome Trainer::step(std::span<const Slot> slots, int stop_signal) {
  StepOutcome outcome;
  const Stopwatch exchange;
  const Counts counts = exchange_counts(slots, stop_signal);
  outcome.comm_seconds = exchange.seconds();
  outcome.stop_signal = counts.stop_signal;
  if (counts.stop_signal != 0) return outcome;

  state_.step = step_;
  state_.learning_rate = static_cast<float>(learning_rate(options_.schedule, step_));
  outcome.learning_rate = state_.learning_rate;
  backend_.upload(bytes_of_state(state_).elements(0, kStepInputBytes), state_tensor_.elements(0, kStepInputBytes));
  run_slots(slots);
  const Stopwatch waiting;
  const Tensor gradient = reduced_gradient();
  outcome.comm_seconds += waiting.seconds();
  apply(gradient, outcome);
  while (copies_.size() > kStepsAhead) await_verdict();  // for the card's work, mostly: no time of communication

  ++step_;
  samples_ += counts.samples;
  tokens_ += counts.tokens;
  outcome.tokens = counts.tokens;
  outcome.samples = counts.samples;
  outcome.flops = training_flops(model_.config(), counts.tokens, static_cast<double>(counts.squared_lengths), counts.predictions);
  return outcome;
}

Trainer::Counts Trainer::exchange_counts(std::span<const Slot> slots, int stop_signal) {
  // [labels of each term] tokens, samples, squares, predictions, ranks that got signal 1, 2, ... 31
  const size_t terms = labels_.size();
  constexpr size_t kSignals = 32;
  std::vector<int64_t> numbers(terms + 4 + kSignals, 0);
  for (const Slot& slot : slots) {
    for (const Batch& batch : slot.micro_batches) {
      const std::vector<int64_t> labels = model_.head().count(batch);
      for (size_t i = 0; i < terms; ++i) numbers[i] += labels[i];
      numbers[terms] += batch.tokens();
      numbers[terms + 1] += batch.samples();
      const auto ends = batch["cu_seqlens"].span<int32_t>();
      for (size_t i = 1; i < ends.size(); ++i) numbers[terms + 2] += int64_t{ends[i] - ends[i - 1]} * (ends[i] - ends[i - 1]);
      if (batch.has("masked_lm_ids")) numbers[terms + 3] += batch["masked_lm_ids"].size();
    }
  }
  if (stop_signal > 0 && stop_signal < static_cast<int>(kSignals)) numbers[terms + 4 + static_cast<size_t>(stop_signal)] = 1;
  comm_.all_reduce(numbers, ReduceOp::kSum, "label counts and stop requests");

  Counts counts{numbers[terms], numbers[terms + 1], numbers[terms + 2], numbers[terms + 3]};
  for (size_t signal = 1; signal < kSignals; ++signal)
    if (numbers[terms + 4 + signal] > 0) counts.stop_signal = static_cast<int>(signal);
  const std::vector<LossTerm> loss_terms = model_.head().terms();
  for (size_t i = 0; i < terms; ++i) {
    labels_[i] = numbers[i];
    state_.loss_weights[i] = numbers[i] > 0 ? loss_terms[i].weight / static_cast<float>(numbers[i]) : 0.0f;
  }
  return counts;
}

Tensor Trainer::loss_row(int64_t row) const { return losses_.rows(row, row + 1).reshape({2, losses_.shape()[2]}); }

void Trainer::run_slots(std::span<const Slot> slots) {
  MPIBERT_ASSERT(static_cast<int64_t>(slots.size()) == run_.size());
  for (size_t i = 0; i < slots.size(); ++i) run_slot(slots[i], plan_.steps[i], static_cast<int64_t>(i), i + 1 == slots.size());
}

// Fills the slot's gradient buffer and folds it into the subtrees. The last slot's merges happen bucket by bucket, as its gradients become
// final.
void Trainer::run_slot(const Slot& slot, const SlotStep& plan, int64_t row, bool last) {
  MPIBERT_ASSERT(slot.index == plan.slot);
  const Tensor gradient = gradients_[static_cast<size_t>(plan.buffer)];
  if (options_.reduction == Reduction::kExact || row == 0) backend_.zero(gradient);
  arena_.use_gradients(gradient);
  const bool overlap = last && reducer_.has_value();
  if (overlap) {
    std::vector<Tensor> subtrees;
    for (const int buffer : plan_.results) subtrees.push_back(gradients_[static_cast<size_t>(buffer)]);
    reducer_->begin(subtrees, [this, &plan](int64_t begin, int64_t end) {
      for (const SlotMerge& each : plan.merges) merge(each, begin, end);
    });
  }
  backend_.zero(slot_losses_);
  for (size_t i = 0; i < slot.micro_batches.size(); ++i) {
    const Batch& batch = model_.put(backend_, slot.micro_batches[i]);
    const bool final_batch = overlap && i + 1 == slot.micro_batches.size();
    const auto work = [&](const GradientReady& ready) {
      model_.forward(backend_, pass_);
      model_.backward(backend_, pass_, ready);
    };
    graphs_->run(
        {.shape = shape_of(batch), .fields = static_cast<int64_t>(batch.fields().size()), .gradient = gradient.data(), .cut = final_batch},
        work, [&](int64_t offset) {
          if (final_batch) reducer_->ready_from(offset);
          else comm_.progress();
        });
  }
  backend_.copy(slot_losses_, loss_row(row));
  if (!overlap)
    for (const SlotMerge& each : plan.merges) merge(each, 0, arena_.padded_size());
}

void Trainer::merge(const SlotMerge& merge, int64_t begin, int64_t end) {
  const Tensor into = gradients_[static_cast<size_t>(merge.into)].elements(begin, end);
  backend_.add({.a = into, .b = gradients_[static_cast<size_t>(merge.from)].elements(begin, end), .c = into});
}

// The owned part of the sum over all slots; of one rank that is all of it, where it stands.
Tensor Trainer::reduced_gradient() {
  if (!reducer_) return gradients_[static_cast<size_t>(plan_.results.front())];
  reducer_->finish();
  return owned_;
}

SumOverRanks Trainer::sum_over_ranks() {
  if (comm_.size() == 1) return {};
  return [this](const Tensor& numbers) {
    comm_.sum(numbers, "sums of squares");
    comm_.join();
  };
}

void Trainer::apply(const Tensor& gradient, StepOutcome& outcome) {
  const Stopwatch watch;
  const SumOverRanks sum = sum_over_ranks();
  norms_->squares(backend_, gradient, cells_);
  if (sum) sum(cells_);
  backend_.step_decision({.squares = cells_, .rule = rule_, .state = state_tensor_});
  optimizer_->step(state_tensor_, gradient, sum);
  const auto place = static_cast<size_t>(step_) % (kStepsAhead + 1);
  const Tensor copy = copies_memory_.view(DType::kUInt8, {kStepStateBytes}, place * sizeof(StepState));
  copies_.push_back({static_cast<StepState*>(copy.data()), backend_.start_download(state_tensor_, copy)});
  outcome.optimizer_seconds = watch.seconds();
  if (reducer_) {
    const Stopwatch publishing;
    reducer_->publish(arena_.values());
    outcome.comm_seconds += publishing.seconds();
  }
}

// Of the oldest step whose verdict is under way.
void Trainer::await_verdict() {
  copies_.front().download->wait();
  const StepState& s = *copies_.front().state;
  verdicts_.push_back({.step = s.step + 1,
                       .applied = s.applied != 0,
                       .gradient_norm = s.gradient_norm,
                       .loss_scale = s.last_loss_scale,
                       .next_loss_scale = s.loss_scale,
                       .skipped = s.skipped_steps});
  copies_.pop_front();
}

std::vector<StepVerdict> Trainer::verdicts(bool all) {
  const bool waits = all || backend_.device().type == DeviceType::kCpu;
  while (waits && !copies_.empty()) await_verdict();
  return std::exchange(verdicts_, {});
}

std::vector<TermResult> Trainer::losses() {
  const int64_t terms = losses_.shape()[2];
  std::vector<float> mine(static_cast<size_t>(losses_.size()));
  backend_.download(losses_, host_tensor(std::span(mine), losses_.shape()));
  const auto all = comm_.all_gather_bytes(bytes_of_numbers(std::span(mine)), "losses");
  std::vector<double> sums(static_cast<size_t>(2 * terms), 0.0);
  for (const auto& bytes : all) {  // ranks ascend, and so do their slots
    std::vector<float> rows(bytes.size() / sizeof(float));
    std::memcpy(rows.data(), bytes.data(), bytes.size());
    for (size_t i = 0; i < rows.size(); ++i) sums[i % sums.size()] += static_cast<double>(rows[i]);
  }
  std::vector<TermResult> results;
  const std::vector<LossTerm> loss_terms = model_.head().terms();
  for (size_t i = 0; i < loss_terms.size(); ++i) {
    const double labels = static_cast<double>(std::max<int64_t>(1, labels_[i]));
    results.push_back({loss_terms[i].name, loss_terms[i].weight, sums[i] / labels, sums[i + loss_terms.size()] / labels, labels_[i]});
  }
  return results;
}

std::vector<Slice> Trainer::slices() const {
  std::vector<Slice> slices;
  for (const Parameter& parameter : arena_.parameters()) slices.push_back({parameter.name, parameter.shape, parameter.offset});
  return slices;
}

std::vector<std::string> Trainer::optimizer_buffers() const {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : optimizer_->buffers())
    if (name != "master") names.push_back(name);
  return names;
}

// Every rank's compact buffer, on rank 0.
std::vector<std::vector<float>> Trainer::gather_owned(const Tensor& owned) {
  std::vector<float> mine(static_cast<size_t>(owned.size()));
  backend_.download(owned, host_tensor(std::span(mine), owned.shape()));
  std::vector<std::vector<float>> all;
  if (comm_.size() == 1) {
    all.push_back(std::move(mine));
    return all;
  }
  for (const auto& bytes : comm_.gather_bytes(bytes_of_numbers(std::span(mine)), 0, "training state")) {
    all.emplace_back(bytes.size() / sizeof(float));
    std::memcpy(all.back().data(), bytes.data(), bytes.size());
  }
  return all;
}

void Trainer::save(Snapshot& snapshot) {
  const auto place = [this](const std::vector<std::vector<float>>& owned, std::vector<float>& flat) {
    flat.assign(static_cast<size_t>(arena_.padded_size()), 0.0f);
    for (size_t rank = 0; rank < owned.size(); ++rank)
      for (const Piece& piece : pieces_of(arena_.padded_size(), bucket_, comm_, static_cast<int>(rank)))
        std::copy_n(owned[rank].begin() + piece.local, piece.end - piece.begin, flat.begin() + piece.begin);
  };
  const bool root = comm_.rank() == 0;
  bool has_master = false;
  for (const auto& [name, tensor] : optimizer_->buffers()) {
    has_master |= name == "master";
    const auto owned = gather_owned(tensor);
    if (root) place(owned, name == "master" ? snapshot.weights : snapshot.optimizer[name]);
  }
  if (root && !has_master) {  // in fp32 the values are the masters
    snapshot.weights.assign(static_cast<size_t>(arena_.padded_size()), 0.0f);
    backend_.download(arena_.values(), host_tensor(std::span(snapshot.weights), {arena_.padded_size()}));
  }
  if (root) snapshot.parameters = slices();
  snapshot.state.step = step_;
  snapshot.state.samples_seen = samples_;
  snapshot.state.tokens_seen = tokens_;
  snapshot.state.seed = options_.seed;
  snapshot.state.slots = options_.slots;
  StepState state;
  backend_.download(state_tensor_, bytes_of_state(state));
  snapshot.state.loss_scale = state.loss_scale;
  snapshot.state.loss_scale_good_steps = state.good_steps;
  snapshot.state.extra["applied_steps"] = std::to_string(state.applied_steps);
  snapshot.state.extra["skipped_steps"] = std::to_string(state.skipped_steps);
  snapshot.world_size = comm_.size();
}

void Trainer::restore(const Snapshot& snapshot) {
  const auto counter = [&](const std::string& name) -> int64_t {
    const std::optional<int64_t> number = extra_number<int64_t>(snapshot.state.extra, name);
    MPIBERT_CHECK(number, kCorrupt, "state.json lacks extra.", name, "; the checkpoint is of another program");
    return *number;
  };
  set_weights(std::span(snapshot.weights).first(static_cast<size_t>(arena_.size())));
  std::vector<float> owned;
  for (const auto& [name, tensor] : optimizer_->buffers()) {
    if (name == "master") continue;
    const std::vector<float>& flat = snapshot.optimizer.at(name);
    owned.assign(static_cast<size_t>(tensor.size()), 0.0f);
    for (const Piece& piece : optimizer_->pieces()) {
      const int64_t end = std::min<int64_t>(piece.end, static_cast<int64_t>(flat.size()));
      if (piece.begin < end) std::copy(flat.begin() + piece.begin, flat.begin() + end, owned.begin() + piece.local);
    }
    backend_.upload(host_tensor(std::span(owned), tensor.shape()), tensor);
  }
  step_ = snapshot.state.step;
  samples_ = snapshot.state.samples_seen;
  tokens_ = snapshot.state.tokens_seen;
  if (options_.loss_scale.dynamic) {  // one that is not keeps its own
    state_.loss_scale = snapshot.state.loss_scale;
    state_.good_steps = snapshot.state.loss_scale_good_steps;
  }
  state_.applied_steps = counter("applied_steps");
  state_.skipped_steps = counter("skipped_steps");
  backend_.upload(bytes_of_state(state_), state_tensor_);
}

}  // namespace mpibert
