#include <cmath>
#include <limits>

#include "mpibert/base/error.h"
#include "ops/cpu/element.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/parallel.h"
#include "ops/step_decision.h"

namespace mpibert::cpu {
namespace {

struct Result {
  double loss;
  bool correct;
};

// Numbers x[0], x[stride], ... of one sequence. Few beside the work of its tokens: plain loops, in double.
template <class T>
Result loss_and_gradient(T* x, int64_t length, int64_t stride, int64_t label, float scale, bool backward) {
  const auto at = [&](int64_t i) { return static_cast<double>(to_float(x[i * stride])); };
  double largest = std::numeric_limits<double>::lowest(), sum = 0;  // finite, so that a logit of minus infinity has e^-infinity = 0
  int64_t first = -1;
  for (int64_t i = 0; i < length; ++i) {
    if (!(at(i) > largest)) continue;
    largest = at(i);
    first = i;
  }
  for (int64_t i = 0; i < length; ++i) sum += std::exp(at(i) - largest);
  const Result result = {std::log(sum) + largest - at(label), first == label};
  if (!backward) return result;
  for (int64_t i = 0; i < length; ++i)
    x[i * stride] = T(static_cast<float>((std::exp(at(i) - largest) / sum - (i == label ? 1.0 : 0.0)) * static_cast<double>(scale)));
  return result;
}

template <class T>
void run(const SpanCrossEntropy& op, Workspace& workspace) {
  const int64_t sequences = op.labels.size(), columns = op.logits.shape()[1];
  const int32_t *begins = data<int32_t>(op.cu_seqlens), *labels = data<int32_t>(op.labels);
  const float scale = op.backward ? scale_of(*data<StepState>(op.state), op.term) : 0;
  auto* results = workspace.get<Result>(sequences);
  parallel_rows(sequences, op.logits.shape()[0] / std::max<int64_t>(1, sequences), [&](int64_t b) {
    T* x = data<T>(op.logits) + begins[b] * columns + op.column;
    const int64_t length = begins[b + 1] - begins[b];
    results[b] = {0, false};
    if (labels[b] >= 0) results[b] = loss_and_gradient(x, length, columns, labels[b], scale, op.backward);
    else if (op.backward)
      for (int64_t i = 0; i < length; ++i) x[i * columns] = T(0.0f);
  });
  double loss = 0;
  int64_t correct = 0;
  for (int64_t b = 0; b < sequences; ++b) {
    loss += results[b].loss;
    correct += results[b].correct;
  }
  float &loss_sum = *data<float>(op.loss_sum), &correct_sum = *data<float>(op.correct);
  loss_sum = static_cast<float>(static_cast<double>(loss_sum) + loss);
  correct_sum += static_cast<float>(correct);
}

}  // namespace

void span_cross_entropy(const SpanCrossEntropy& op, Workspace& workspace) {
  const auto labels = op.labels.span<int32_t>(), begins = op.cu_seqlens.span<int32_t>();
  for (size_t b = 0; b < labels.size(); ++b)
    MPIBERT_CHECK(labels[b] < begins[b + 1] - begins[b], kInvalidArgument, "span_cross_entropy: labels[", b, "]: expected less than the ",
                  begins[b + 1] - begins[b], " tokens of its sequence, found ", labels[b]);
  with_element(op.logits.dtype(), [&]<class T>(T) { run<T>(op, workspace); });
}

}  // namespace mpibert::cpu
