#include "mpibert/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "mpibert/base/error.h"

namespace mpibert {

void check(const ScheduleOptions& options) {
  const bool known = options.kind == "constant" || options.kind == "linear" || options.kind == "polynomial" || options.kind == "cosine";
  MPIBERT_CHECK(known, kInvalidArgument, "schedule '", options.kind, "': expected constant, linear, polynomial or cosine");
  MPIBERT_CHECK(options.peak >= 0 && std::isfinite(options.peak), kInvalidArgument, "peak learning rate ", options.peak,
                ": expected 0 or more");
  MPIBERT_CHECK(options.warmup_steps >= 0, kInvalidArgument, "warmup_steps ", options.warmup_steps, ": expected 0 or more");
  if (options.kind == "constant") return;
  MPIBERT_CHECK(options.total_steps >= options.warmup_steps, kInvalidArgument, "total_steps ", options.total_steps,
                ": expected at least warmup_steps, ", options.warmup_steps);
  if (options.kind != "polynomial") return;
  MPIBERT_CHECK(options.end >= 0 && options.end <= options.peak, kInvalidArgument, "end learning rate ", options.end,
                ": expected 0 to the peak, ", options.peak);
  MPIBERT_CHECK(options.power > 0, kInvalidArgument, "power ", options.power, " of the schedule: expected more than 0");
}

double learning_rate(const ScheduleOptions& options, int64_t step) {
  check(options);
  if (step < options.warmup_steps) return options.peak * static_cast<double>(step) / static_cast<double>(options.warmup_steps);
  if (options.kind == "constant") return options.peak;
  const auto decay_steps = static_cast<double>(std::max<int64_t>(1, options.total_steps - options.warmup_steps));
  const double progress = static_cast<double>(step - options.warmup_steps) / decay_steps;
  if (options.kind == "linear") return options.peak * std::max(0.0, static_cast<double>(options.total_steps - step) / decay_steps);
  if (options.kind == "cosine") return options.peak * 0.5 * (1 + std::cos(std::numbers::pi * std::min(1.0, progress)));
  if (step >= options.total_steps) return options.end;
  return (options.peak - options.end) * std::pow(1 - progress, options.power) + options.end;
}

}  // namespace mpibert
