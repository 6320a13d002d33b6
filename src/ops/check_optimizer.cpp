// As check.cpp, for the operations of an optimizer's step.

#include "ops/rules.h"

namespace mpibert {
namespace {

// Whether two values have one type, and are either both their masters or both not.
bool alike(const Tensor& value, const Tensor& master, const Tensor& other_value, const Tensor& other_master) {
  return value.dtype() == other_value.dtype() && (value.data() == master.data()) == (other_value.data() == other_master.data());
}

}  // namespace

void Backend::square_sums(const SquareSums& op) {
  const Rules rules("square_sums", device());
  rules.has_rows("input", op.input, DType::kFloat32, {1});
  rules.has_rows("ranges", op.ranges, DType::kUInt8, {1});
  const auto bytes = static_cast<int64_t>(sizeof(Range));
  rules.that(op.ranges.size() % bytes == 0, "ranges: expected a multiple of ", bytes, " bytes, found ", op.ranges.size());
  rules.has("output", op.output, DType::kFloat64, {op.ranges.size() / bytes});
  do_square_sums(op);
}

void Backend::step_decision(const StepDecision& op) {
  const Rules rules("step_decision", device());
  rules.has_rows("squares", op.squares, DType::kFloat64, {1});
  rules.that(op.rule.max_grad_norm >= 0, "max_grad_norm: expected 0 or more, found ", op.rule.max_grad_norm);
  rules.moments(op.rule.beta1, op.rule.beta2, 0, 0);
  rules.state(op.state);
  do_step_decision(op);
}

void Backend::adam_step(std::span<const AdamStep> ranges) {
  const Rules rules("adam_step", device());
  for (const AdamStep& op : ranges) {
    rules.leads("value", op.value, Rules::kAnyRank);
    const Shape& shape = op.value.shape();
    rules.has("gradient", op.gradient, DType::kFloat32, shape);
    rules.state(op.state);
    rules.that(op.kind <= AdamKind::kAdamWHf, "kind: expected one of AdamKind, found ", static_cast<int>(op.kind));
    rules.moments(op.beta1, op.beta2, op.epsilon, op.weight_decay);
    rules.rate(op.rate);
    rules.has("exp_avg", op.exp_avg, DType::kFloat32, shape);
    rules.has("exp_avg_sq", op.exp_avg_sq, DType::kFloat32, shape);
    rules.has("master", op.master, DType::kFloat32, shape);
    const AdamStep& first = ranges.front();
    rules.of_one_step(op, first,
                      op.kind == first.kind && op.beta1 == first.beta1 && op.beta2 == first.beta2 && op.epsilon == first.epsilon &&
                          alike(op.value, op.master, first.value, first.master));
  }
  if (!ranges.empty()) do_adam_step(ranges);
}

void Backend::lamb_direction(std::span<const LambDirection> ranges) {
  const Rules rules("lamb_direction", device());
  for (const LambDirection& op : ranges) {
    rules.leads("gradient", op.gradient, Rules::kAnyRank);
    const Shape& shape = op.gradient.shape();
    rules.has("gradient", op.gradient, DType::kFloat32, shape);
    rules.state(op.state);
    rules.moments(op.beta1, op.beta2, op.epsilon, op.weight_decay);
    rules.has("exp_avg", op.exp_avg, DType::kFloat32, shape);
    rules.has("exp_avg_sq", op.exp_avg_sq, DType::kFloat32, shape);
    rules.has("master", op.master, DType::kFloat32, shape);
    const LambDirection& first = ranges.front();
    rules.of_one_step(op, first, op.beta1 == first.beta1 && op.beta2 == first.beta2 && op.epsilon == first.epsilon);
  }
  if (!ranges.empty()) do_lamb_direction(ranges);
}

void Backend::trust_ratios(const TrustRatios& op) {
  const Rules rules("trust_ratios", device());
  rules.has_rows("ratios", op.ratios, DType::kFloat32, {1});
  rules.has_rows("weights", op.weights, DType::kFloat64, {1});
  rules.has("directions", op.directions, DType::kFloat64, op.weights.shape());
  rules.has("first_cells", op.first_cells, DType::kInt64, {op.ratios.size() + 1});
  rules.has("adapts", op.adapts, DType::kUInt8, op.ratios.shape());
  do_trust_ratios(op);
}

void Backend::lamb_apply(std::span<const LambApply> ranges) {
  const Rules rules("lamb_apply", device());
  for (const LambApply& op : ranges) {
    rules.leads("value", op.value, Rules::kAnyRank);
    rules.has("direction", op.direction, DType::kFloat32, op.value.shape());
    rules.state(op.state);
    rules.rate(op.rate);
    rules.has("trust_ratio", op.trust_ratio, DType::kFloat32, {1});
    rules.has("master", op.master, DType::kFloat32, op.value.shape());
    rules.of_one_step(op, ranges.front(), alike(op.value, op.master, ranges.front().value, ranges.front().master));
  }
  if (!ranges.empty()) do_lamb_apply(ranges);
}

}  // namespace mpibert
