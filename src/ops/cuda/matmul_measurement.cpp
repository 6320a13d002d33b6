#include "ops/cuda/matmul_measurement.h"

#include <algorithm>
#include <vector>

#include "mpibert/base/random.h"
#include "mpibert/ops/host_cast.h"
#include "ops/cuda/event.h"

namespace mpibert::cuda {
namespace {

constexpr int kSuggestions = 8;  // of the library, per kind
constexpr int kRounds = 7;       // of all candidates in turn: clocks that drift slow all of them
constexpr double kSampleMilliseconds = 0.2;
constexpr int kMostRepeats = 50;      // in a sample
constexpr double kWorthwhile = 0.98;  // of the first choice's time

// How long the work takes that `queue` puts on the stream.
template <class Queue>
double milliseconds_of(cudaStream_t stream, const Queue& queue) {
  const Event start(cudaEventDefault), end(cudaEventDefault);
  MPIBERT_CUDA_CHECK(cudaEventRecord(start.get(), stream));
  queue();
  MPIBERT_CUDA_CHECK(cudaEventRecord(end.get(), stream));
  MPIBERT_CUDA_CHECK(cudaEventSynchronize(end.get()));
  float milliseconds = 0;
  MPIBERT_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, start.get(), end.get()));
  return static_cast<double>(milliseconds);
}

double median(std::vector<double> numbers) {
  const auto middle = numbers.begin() + static_cast<int64_t>(numbers.size() / 2);
  std::nth_element(numbers.begin(), middle, numbers.end());
  return *middle;
}

// What is multiplied decides how much power a card draws, and so its clock: numbers like those of a training, the same for every
// measurement.
std::vector<float> normal_numbers() {
  std::vector<float> numbers(size_t{1} << 16);
  RandomStream random(0, RandomPurpose::kParameters, 0);
  for (float& x : numbers) x = static_cast<float>(random.normal());
  return numbers;
}

}  // namespace

struct MatmulMeasurement::Candidate {
  std::optional<MatmulAlgorithm> algorithm;  // none: the first choice, as the library gave it
  cublasLtMatmulAlgo_t handle;
  std::vector<double> milliseconds{};  // a product, one a round
};

MatmulMeasurement::MatmulMeasurement(const Context& context, cublasLtHandle_t library, void* workspace)
    : context_(context),
      library_(library),
      workspace_(workspace),
      normal_(normal_numbers()),
      a_(context.stream),
      b_(context.stream),
      d_(context.stream),
      vector_(context.stream),
      auxiliary_(context.stream) {}

// So many numbers of a type: normal_ over and over.
void* MatmulMeasurement::filled(Workspace& memory, DType dtype, int64_t numbers) {
  const int64_t block = std::min(numbers, static_cast<int64_t>(normal_.size()));
  std::vector<std::byte> bytes(static_cast<size_t>(block) * bytes_of(dtype));
  host_cast(host_tensor(std::span(normal_).first(static_cast<size_t>(block)), {block}), Tensor(bytes.data(), dtype, {block}));
  const size_t all = static_cast<size_t>(numbers) * bytes_of(dtype);
  std::byte* begin = memory.get<std::byte>(static_cast<int64_t>(all));
  MPIBERT_CUDA_CHECK(cudaMemcpyAsync(begin, bytes.data(), bytes.size(), cudaMemcpyHostToDevice, context_.stream));
  for (size_t done = bytes.size(); done < all; done *= 2)
    MPIBERT_CUDA_CHECK(cudaMemcpyAsync(begin + done, begin, std::min(done, all - done), cudaMemcpyDeviceToDevice, context_.stream));
  MPIBERT_CUDA_CHECK(cudaStreamSynchronize(context_.stream));
  return begin;
}

MatmulOperands MatmulMeasurement::scratch_for(const MatmulKind& kind) {
  return {.a = filled(a_, kind.compute, kind.m * kind.k),
          .b = filled(b_, kind.compute, kind.k * kind.n),
          .d = filled(d_, kind.output, kind.m * kind.n),
          .vector = filled(vector_, kind.output, std::max(kind.m, kind.n)),
          .auxiliary = has_auxiliary(kind) ? filled(auxiliary_, kind.output, kind.m * kind.n) : nullptr};
}

// Of the shape and type of t, on memory that is there.
Tensor MatmulMeasurement::copy_of(Workspace& memory, const Tensor& t) {
  return t ? Tensor(filled(memory, t.dtype(), t.size()), t.dtype(), t.shape(), t.device()) : Tensor();
}

double MatmulMeasurement::microseconds_of_finish(const MatmulWay& way) {
  MatmulWay copy = way;
  copy.row_sums = copy_of(b_, way.row_sums);
  copy.rest.a = copy_of(a_, way.rest.a);
  copy.rest.c = copy_of(d_, way.rest.c);
  copy.rest.bias = copy_of(vector_, way.rest.bias);
  copy.rest.derivative_at = copy_of(auxiliary_, way.rest.derivative_at);
  if (way.rest.activated) copy.rest.activated = copy_of(auxiliary_, way.rest.activated);
  if (way.rest.row_sums) copy.rest.row_sums = copy_of(b_, way.rest.row_sums);
  constexpr int kRepeats = 10;  // so that the card, not the host, is what is timed
  const auto queue = [&] {
    for (int i = 0; i < kRepeats; ++i) finish(copy, placed(copy, context_.workspace), context_);
  };
  queue();
  std::vector<double> milliseconds;
  for (int round = 0; round < kRounds; ++round) milliseconds.push_back(milliseconds_of(context_.stream, queue));
  return median(milliseconds) / kRepeats * 1e3;
}

std::optional<MatmulChoice> MatmulMeasurement::choose(const MatmulKind& kind) {
  const MatmulOperands operands = scratch_for(kind);
  MatmulPlan plan(library_, kind);
  plan.point(operands);
  const std::vector<cublasLtMatmulAlgo_t> suggested = plan.suggestions(kSuggestions);
  if (suggested.empty()) return {};
  // What is measured is what a table can bring back, not what the library gave.
  std::vector<Candidate> candidates = {{.algorithm = {}, .handle = suggested.front()}};
  for (size_t i = 1; i < suggested.size(); ++i) {
    const std::optional<MatmulAlgorithm> algorithm = algorithm_of(suggested[i]);
    if (!algorithm || !adds_in_order(*algorithm)) continue;
    if (const auto handle = plan.rebuilt(*algorithm)) candidates.push_back({.algorithm = algorithm, .handle = *handle});
  }

  const float beta = kind.keeps_c ? 1.0f : 0.0f;
  const auto run = [&](const Candidate& candidate) {
    return plan.run(operands, 1, beta, candidate.handle, workspace_, context_.stream) == CUBLAS_STATUS_SUCCESS;
  };
  std::erase_if(candidates, [&](const Candidate& candidate) { return candidate.algorithm && !run(candidate); });  // and the others are warm
  run(candidates.front());
  const double one = milliseconds_of(context_.stream, [&] { run(candidates.front()); });
  const int repeats = std::clamp(static_cast<int>(kSampleMilliseconds / std::max(one, 1e-6)), 1, kMostRepeats);
  for (int round = 0; round < kRounds; ++round) {
    for (Candidate& candidate : candidates) {
      const double sample = milliseconds_of(context_.stream, [&] {
        for (int i = 0; i < repeats; ++i) run(candidate);
      });
      candidate.milliseconds.push_back(sample / repeats);
    }
  }
  const double first = median(candidates.front().milliseconds);
  MatmulChoice choice{.algorithm = {}, .microseconds = first * 1e3, .first_microseconds = first * 1e3};
  for (const Candidate& candidate : candidates) {
    const double found = median(candidate.milliseconds);
    if (found > kWorthwhile * first || found * 1e3 >= choice.microseconds) continue;
    choice.algorithm = candidate.algorithm;
    choice.microseconds = found * 1e3;
  }
  return choice;
}

}  // namespace mpibert::cuda
