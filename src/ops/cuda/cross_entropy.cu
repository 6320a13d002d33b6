#include "ops/cuda/kernels.h"

#include <cmath>
#include <limits>

#include "ops/cuda/device/number.cuh"
#include "ops/cuda/device/reduce.cuh"
#include "ops/cuda/element.h"
#include "ops/cuda/launch.h"
#include "ops/step_decision.h"

namespace mpibert::cuda {
namespace {

constexpr int kThreads = 256;

struct RowResult {
  double loss;
  int64_t correct;
};

// Of some columns: the largest logit, the first column that has it, and the sum of e^(x - largest).
struct Softmax {
  float largest = std::numeric_limits<float>::lowest();  // finite, so that a logit of minus infinity has e^-infinity = 0
  float sum = 0;
  int64_t first = std::numeric_limits<int64_t>::max();
};

struct Min {
  template <class T>
  __device__ static T combine(T a, T b) {
    return a < b ? a : b;
  }
};

// The numbers of one softmax: a row of logits, or of a column those of one sequence.
template <class T>
struct Row {
  T* first;
  int64_t size;
  __device__ T* at(int64_t i) const { return first + i; }
};
template <class T>
struct Column {
  T* first;
  int64_t size, stride;
  __device__ T* at(int64_t i) const { return first + i * stride; }
};

// One pass over memory; a new maximum scales the sum so far. Source: Milakov, Gimelshein 2018, arXiv:1805.02867.
// A NaN or an infinity makes the sum NaN.
template <class Numbers>
__device__ Softmax softmax_of(const Numbers& x) {
  __shared__ float scratch[kWarp];
  __shared__ int64_t scratch_of_columns[kWarp];
  Softmax mine;
  for (int64_t i = threadIdx.x; i < x.size; i += kThreads) {
    const float logit = load(x.at(i));
    const bool larger = logit > mine.largest;
    mine.sum = larger ? mine.sum * expf(mine.largest - logit) + expf(logit - logit) : mine.sum + expf(logit - mine.largest);
    if (larger || (logit == mine.largest && i < mine.first)) mine.first = i;
    if (larger) mine.largest = logit;
  }
  Softmax all;
  all.largest = block_reduce<Max>(mine.largest, scratch);
  all.sum = block_reduce<Sum>(mine.sum * expf(mine.largest - all.largest), scratch);
  all.first = block_reduce<Min>(mine.largest == all.largest ? mine.first : std::numeric_limits<int64_t>::max(), scratch_of_columns);
  return all;
}

template <class Numbers>
__device__ double mean_of(const Numbers& x) {
  __shared__ double scratch[kWarp];
  double mine = 0;
  for (int64_t i = threadIdx.x; i < x.size; i += kThreads) mine += static_cast<double>(load(x.at(i)));
  return block_reduce<Sum>(mine, scratch) / static_cast<double>(x.size);
}

// By all threads of a block. `state` is null without backward.
template <class Numbers>
__device__ void loss_and_gradient(const Numbers& x, int64_t label, const StepState* state, int term, float smoothing, RowResult& result) {
  if (label < 0) {
    if (state != nullptr)
      for (int64_t i = threadIdx.x; i < x.size; i += kThreads) store(x.at(i), 0.0f);
    if (threadIdx.x == 0) result = {0, 0};
    return;
  }
  const Softmax softmax = softmax_of(x);
  double expected_logit = load(x.at(label));
  if (smoothing > 0) expected_logit += static_cast<double>(smoothing) * (mean_of(x) - expected_logit);
  if (state != nullptr) {
    __syncthreads();  // every thread has read the label's logit, which one of them now overwrites
    const float scale = scale_of(*state, term), factor = scale / softmax.sum, share = scale * smoothing / static_cast<float>(x.size);
    for (int64_t i = threadIdx.x; i < x.size; i += kThreads)
      store(x.at(i), expf(load(x.at(i)) - softmax.largest) * factor - share - (i == label ? scale * (1 - smoothing) : 0.0f));
  }
  if (threadIdx.x == 0)
    result = {log(static_cast<double>(softmax.sum)) + (static_cast<double>(softmax.largest) - expected_logit), softmax.first == label};
}

// One block a row.
template <class T>
__global__ void row_kernel(T* logits, const int32_t* labels, int64_t columns, const StepState* state, int term, float smoothing,
                           RowResult* results) {
  const int64_t row = blockIdx.x;
  loss_and_gradient(Row<T>{.first = logits + row * columns, .size = columns}, labels[row], state, term, smoothing, results[row]);
}

// One block a sequence.
template <class T>
__global__ void span_kernel(T* logits, const int32_t* cu_seqlens, const int32_t* labels, int64_t columns, int64_t column,
                            const StepState* state, int term, RowResult* results) {
  const int64_t b = blockIdx.x, begin = cu_seqlens[b], end = cu_seqlens[b + 1];
  loss_and_gradient(Column<T>{.first = logits + begin * columns + column, .size = end - begin, .stride = columns}, labels[b], state, term,
                    0, results[b]);
}

// One block: each thread adds neighbouring rows, then the threads are added in their order.
__global__ void sum_kernel(const RowResult* results, int64_t rows, float* loss_sum, float* correct_sum) {
  __shared__ double scratch[kWarp];
  __shared__ int64_t scratch_of_counts[kWarp];
  const int64_t share = (rows + kThreads - 1) / kThreads, begin = threadIdx.x * share, end = begin + share < rows ? begin + share : rows;
  double loss = 0;
  int64_t correct = 0;
  for (int64_t row = begin; row < end; ++row) {
    loss += results[row].loss;
    correct += results[row].correct;
  }
  loss = block_reduce<Sum>(loss, scratch);
  correct = block_reduce<Sum>(correct, scratch_of_counts);
  if (threadIdx.x != 0) return;
  *loss_sum = static_cast<float>(static_cast<double>(*loss_sum) + loss);
  *correct_sum += static_cast<float>(correct);
}

}  // namespace

void cross_entropy(const CrossEntropy& op, const Context& context) {
  const int64_t rows = op.logits.shape()[0], columns = op.logits.shape()[1];
  RowResult* const results = context.workspace.get<RowResult>(rows);
  const StepState* const state = op.backward ? data<const StepState>(op.state) : nullptr;
  with_element(op.logits.dtype(), [&]<class T>(T) {
    launch({.grid = dim3(static_cast<unsigned>(rows)), .block = dim3(kThreads)}, context.stream, row_kernel<T>, data<T>(op.logits),
           data<int32_t>(op.labels), columns, state, op.term, op.smoothing, results);
  });
  launch({.block = dim3(kThreads)}, context.stream, sum_kernel, results, rows, data<float>(op.loss_sum), data<float>(op.correct));
}

void span_cross_entropy(const SpanCrossEntropy& op, const Context& context) {
  const int64_t sequences = op.labels.size();
  RowResult* const results = context.workspace.get<RowResult>(sequences);
  const StepState* const state = op.backward ? data<const StepState>(op.state) : nullptr;
  with_element(op.logits.dtype(), [&]<class T>(T) {
    launch({.grid = dim3(static_cast<unsigned>(sequences)), .block = dim3(kThreads)}, context.stream, span_kernel<T>, data<T>(op.logits),
           data<int32_t>(op.cu_seqlens), data<int32_t>(op.labels), op.logits.shape()[1], op.column, state, op.term, results);
  });
  launch({.block = dim3(kThreads)}, context.stream, sum_kernel, results, sequences, data<float>(op.loss_sum), data<float>(op.correct));
}

}  // namespace mpibert::cuda
