#include <cmath>
#include <limits>

#include "mpibert/base/error.h"
#include "ops/cpu/dropout_mask.h"
#include "ops/cpu/element.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/parallel.h"
#include "ops/cpu/simd.h"
#include "ops/step_decision.h"

namespace mpibert::cpu {
namespace {

constexpr float kLowest = std::numeric_limits<float>::lowest();

struct RowResult {
  double loss;
  bool correct;
};

struct Softmax {
  float largest, sum;  // of e^(x - largest)
};

// Lanes beyond the n loaded ones are minus infinity: they are no maximum, and their exponential is 0.
template <class T>
inline Vec load_logits(const T* x, int n) {
  if (n == kLanes) return load(x);
  const BitVec inside = bits_of(keep(broadcast(1), (uint64_t{1} << n) - 1));
  return inside != 0 ? load_part(x, n) : broadcast(-std::numeric_limits<float>::infinity());
}

// One pass over memory: piece by piece, each piece read twice from the nearest cache; when a piece brings a new maximum the sum so far is
// scaled to it. Source: Milakov, Gimelshein 2018, arXiv:1805.02867.
template <class T>
Softmax softmax_of(const T* x, int64_t columns) {
  constexpr int64_t kPiece = 1024;
  Softmax all = {kLowest, 0};
  for (int64_t begin = 0; begin < columns; begin += kPiece) {
    const int64_t size = std::min(kPiece, columns - begin);
    Vec largest = broadcast(all.largest);
    for_lanes(size, [&](int64_t i, int n) { largest = max(load_logits(x + begin + i, n), largest); });
    const float previous = all.largest;
    all.largest = max(largest);
    Vec total{};
    for_lanes(size, [&](int64_t i, int n) { total += exp(load_logits(x + begin + i, n) - all.largest); });
    all.sum = all.sum * exp(broadcast(previous - all.largest))[0] + sum(total);
  }
  return all;
}

template <class T>
bool is_first_largest(const T* x, int64_t label, float largest) {
  if (!(to_float(x[label]) == largest)) return false;
  for (int64_t i = 0; i < label; ++i)
    if (to_float(x[i]) == largest) return false;
  return true;
}

template <class T>
double mean_of(const T* x, int64_t columns) {
  double sum = 0;
  for (int64_t i = 0; i < columns; ++i) sum += static_cast<double>(to_float(x[i]));
  return sum / static_cast<double>(columns);
}

template <class T>
void gradient_in_place(T* x, int64_t columns, int64_t label, Softmax softmax, float smoothing, float scale) {
  const float factor = scale / softmax.sum, share = scale * smoothing / static_cast<float>(columns);
  const auto gradient = [&](Vec logits) { return exp(logits - softmax.largest) * factor - share; };
  const float at_label = gradient(broadcast(to_float(x[label])))[0] - scale * (1 - smoothing);
  for_lanes(columns, [&](int64_t i, int n) { store_n(x + i, gradient(load_n(x + i, n)), n); });
  x[label] = T(at_label);
}

template <class T>
void run(const CrossEntropy& op, Workspace& workspace) {
  const int64_t rows = op.logits.shape()[0], columns = op.logits.shape()[1];
  const int32_t* labels = data<int32_t>(op.labels);
  const float scale = op.backward ? scale_of(*data<StepState>(op.state), op.term) : 0;
  auto* results = workspace.get<RowResult>(rows);
  parallel_rows(rows, columns, [&](int64_t row) {
    T* x = data<T>(op.logits) + row * columns;
    const int64_t label = labels[row];
    results[row] = {0, false};
    if (label < 0) {
      if (op.backward) std::fill_n(x, columns, T(0.0f));
      return;
    }
    const Softmax softmax = softmax_of(x, columns);
    double expected_logit = to_float(x[label]);
    if (op.smoothing > 0) expected_logit += static_cast<double>(op.smoothing) * (mean_of(x, columns) - expected_logit);
    results[row].loss = std::log(static_cast<double>(softmax.sum)) + (static_cast<double>(softmax.largest) - expected_logit);
    results[row].correct = is_first_largest(x, label, softmax.largest);
    if (op.backward) gradient_in_place(x, columns, label, softmax, op.smoothing, scale);
  });

  double loss = 0;
  int64_t correct = 0;
  for (int64_t row = 0; row < rows; ++row) {
    loss += results[row].loss;
    correct += results[row].correct;
  }
  float &loss_sum = *data<float>(op.loss_sum), &correct_sum = *data<float>(op.correct);
  loss_sum = static_cast<float>(static_cast<double>(loss_sum) + loss);
  correct_sum += static_cast<float>(correct);
}

}  // namespace

void cross_entropy(const CrossEntropy& op, Workspace& workspace) {
  const auto labels = op.labels.span<int32_t>();
  for (size_t i = 0; i < labels.size(); ++i)
    MPIBERT_CHECK(labels[i] < op.logits.shape()[1], kInvalidArgument, "cross_entropy: labels[", i, "]: expected less than ",
                  op.logits.shape()[1], ", found ", labels[i]);
  with_element(op.logits.dtype(), [&]<class T>(T) { run<T>(op, workspace); });
}

}  // namespace mpibert::cpu
