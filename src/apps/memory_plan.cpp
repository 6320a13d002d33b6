#include "apps/memory_plan.h"

#include <array>
#include <cstdio>
#include <stdexcept>

#include "apps/train.h"
#include "mpibert/base/error.h"
#include "mpibert/ops/planning_backend.h"
#include "mpibert/train/trainer.h"

namespace mpibert::apps {

namespace {

constexpr double kGib = 1 << 30;

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

std::string gib(int64_t bytes) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3f GiB", static_cast<double>(bytes) / kGib);
  return text.data();
}

}  // namespace

struct MemoryPlan::Planned {
  explicit Planned(const MemoryPlanInputs& given)
      : inputs(given),
        backend(make_planning_backend(given.device)),
        comm(static_cast<int>(given.ranks)),
        model(given.config, arena, given.make_head),
        trainer(*backend, comm, model, arena, given.compute,
                {.schedule = {.kind = "constant"},
                 .optimizer = given.optimizer,
                 .reduction = given.reduction,
                 .slots = given.slots,
                 .bucket_mib = given.bucket_mib}),
        trainer_bytes(static_cast<int64_t>(backend->allocated_bytes())) {}

  int64_t activation_bytes(int64_t micro_tokens) {
    return model.plan(*backend, arena.compute(), limits_of(micro_tokens, inputs.config.max_position_embeddings), true);
  }

  MemoryPlanInputs inputs;
  std::unique_ptr<Backend> backend;
  AbsentRanks comm;
  ParameterArena arena;
  Model model;
  Trainer trainer;
  int64_t trainer_bytes;
};

MemoryPlan::MemoryPlan(const MemoryPlanInputs& inputs) : planned_(std::make_unique<Planned>(inputs)) {}
MemoryPlan::~MemoryPlan() = default;

int64_t MemoryPlan::parameters() const {
  int64_t n = 0;
  for (const Parameter& p : planned_->arena.parameters()) n += p.shape.size();
  return n;
}

std::vector<std::pair<std::string, int64_t>> MemoryPlan::parts(int64_t micro_tokens) const {
  auto parts = planned_->trainer.memory();
  parts.emplace_back("activations", planned_->activation_bytes(micro_tokens));
  return parts;
}

int64_t MemoryPlan::bytes(int64_t micro_tokens) const { return planned_->trainer_bytes + planned_->activation_bytes(micro_tokens); }

int64_t MemoryPlan::largest_micro_tokens(int64_t bytes_there) const {
  int64_t fits = 0, exceeds = kMostMicroTokens + 1;
  while (exceeds - fits > 1) {
    const int64_t middle = fits + (exceeds - fits) / 2;
    (bytes(middle) <= bytes_there ? fits : exceeds) = middle;
  }
  return fits < planned_->inputs.max_seq_length ? 0 : fits;
}

std::vector<std::string> MemoryPlan::lines(int64_t budget) const {
  const MemoryPlanInputs& inputs = planned_->inputs;
  std::vector<std::string> lines;
  for (const auto& [name, part] : parts(inputs.micro_tokens)) lines.push_back(str_cat(name, ": ", gib(part)));
  lines.push_back(str_cat("each rank, with ", inputs.micro_tokens, " tokens at a time: ", gib(bytes(inputs.micro_tokens)),
                          inputs.device == DeviceType::kCuda ? str_cat(", and about ", gib(kCardReserveBytes), " of CUDA's own") : ""));
  if (budget <= 0) return lines;
  const int64_t largest = largest_micro_tokens(budget);
  lines.push_back(largest > 0
                      ? str_cat("largest --micro-tokens that fits: ", largest)
                      : str_cat("not even one sequence of ", inputs.max_seq_length, " tokens fits; use more ranks or a smaller model"));
  return lines;
}

}  // namespace mpibert::apps
