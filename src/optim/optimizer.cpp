#include "mpibert/optim/optimizer.h"

#include <algorithm>

#include "mpibert/base/error.h"
#include "optim/make.h"

namespace mpibert {

namespace {

void check(const OptimizerOptions& options) {
  const auto momentum = [](const char* name, double beta) {
    MPIBERT_CHECK(beta >= 0 && beta < 1, kInvalidArgument, name, " ", beta, ": expected 0 or more and less than 1");
  };
  momentum("beta1", options.beta1);
  momentum("beta2", options.beta2);
  MPIBERT_CHECK(options.epsilon > 0, kInvalidArgument, "epsilon ", options.epsilon, ": expected more than 0");
  MPIBERT_CHECK(options.weight_decay >= 0, kInvalidArgument, "weight_decay ", options.weight_decay, ": expected 0 or more");
}

}  // namespace

Optimizer::Optimizer(const OptimizerOptions& options, Backend& backend, const ParameterArena& arena, std::vector<Piece> pieces)
    : options_(options), backend_(backend), arena_(arena), pieces_(std::move(pieces)) {
  check(options);
  MPIBERT_CHECK(arena.values(), kInvalidArgument, "an optimizer is made before the parameters are allocated");
  for (const Piece& p : pieces_)
    MPIBERT_CHECK(p.begin >= 0 && p.begin <= p.end && p.end <= arena.padded_size() && p.local >= 0, kInvalidArgument, "piece [", p.begin,
                  ", ", p.end, ") of ", arena.padded_size(), " parameters");
  const std::vector<Segment> segments = arena.segments();
  for (size_t s = 0; s < segments.size(); ++s) {
    if (segments[s].rate == 0) continue;
    for (const Piece& p : pieces_) {
      const int64_t begin = std::max(segments[s].begin, p.begin), end = std::min(segments[s].end, p.end);
      if (begin >= end) continue;
      ranges_.push_back({.segment = s,
                         .local = {p.local + begin - p.begin, p.local + end - p.begin},
                         .global = {begin, end},
                         .rate = segments[s].rate,
                         .weight_decay = segments[s].decay ? static_cast<float>(options.weight_decay) : 0.0f});
    }
  }

  const int64_t size = owned_size(pieces_);
  const bool keeps_masters = arena.compute() != DType::kFloat32;
  const size_t bytes = static_cast<size_t>(size) * sizeof(float);
  memory_ = backend.allocate(std::max<size_t>(1, bytes * (keeps_masters ? 3 : 2)));
  exp_avg_ = memory_.view(DType::kFloat32, {size}, 0);
  exp_avg_sq_ = memory_.view(DType::kFloat32, {size}, bytes);
  buffers_ = {{"exp_avg", exp_avg_}, {"exp_avg_sq", exp_avg_sq_}};
  if (keeps_masters) buffers_.emplace_back("master", master_ = memory_.view(DType::kFloat32, {size}, 2 * bytes));
  for (const auto& [name, buffer] : buffers_) backend.zero(buffer);
}

Tensor Optimizer::master(const OwnedRange& range) const {
  return master_ ? master_.elements(range.local.begin, range.local.end) : value(range);
}

StepRule Optimizer::rule(double max_grad_norm, const LossScaleOptions& loss_scale) const {
  return {.max_grad_norm = max_grad_norm,
          .beta1 = options_.beta1,
          .beta2 = options_.beta2,
          .correct_bias = options_.correct_bias,
          .loss_scale = loss_scale};
}

void Optimizer::set_masters(const Tensor& host_masters) {
  MPIBERT_CHECK(host_masters.size() == arena_.padded_size(), kInvalidArgument, "masters of ", host_masters.size(),
                " elements for parameters of ", arena_.padded_size());
  for (const Piece& p : pieces_) {
    const int64_t size = p.end - p.begin;
    if (size == 0) continue;
    const Tensor to = master_ ? master_.elements(p.local, p.local + size) : arena_.values().elements(p.begin, p.end);
    backend_.upload(host_masters.elements(p.begin, p.end), to);
  }
}

std::unique_ptr<Optimizer> make_optimizer(const OptimizerOptions& options, Backend& backend, const ParameterArena& arena,
                                          std::vector<Piece> pieces) {
  if (options.kind == "adam") return make_adam(AdamKind::kAdam, options, backend, arena, std::move(pieces));
  if (options.kind == "adamw") return make_adam(AdamKind::kAdamW, options, backend, arena, std::move(pieces));
  if (options.kind == "adamw-hf") return make_adam(AdamKind::kAdamWHf, options, backend, arena, std::move(pieces));
  if (options.kind == "lamb" || options.kind == "nvlamb") return make_lamb(options, backend, arena, std::move(pieces));
  throw Error(ErrorKind::kInvalidArgument, str_cat("optimizer '", options.kind, "': expected adam, adamw, adamw-hf, lamb or nvlamb"));
}

}  // namespace mpibert
