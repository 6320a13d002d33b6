#pragma once

#include <cstdint>
#include <string>

namespace mpibert {

// Learning rate over the steps, each with a linear warm-up: peak * step / warmup_steps while step < warmup_steps.
struct ScheduleOptions {
  std::string kind = "linear";  // constant, linear, polynomial, cosine
  double peak = 1e-4;           // learning rate at the end of the warm-up
  double end = 0;               // polynomial only: rate from total_steps on; below peak
  double power = 1;             // polynomial only: 1 is a line
  int64_t warmup_steps = 0;
  int64_t total_steps = 0;  // where linear and cosine reach 0; constant has no use for it
};

// Throws kInvalidArgument naming the option.
void check(const ScheduleOptions& options);

// The rate of step `step`, counted from 0: what transformers' get_{constant,linear,polynomial_decay,cosine}_schedule_with_warmup gives.
// With p = (step - warmup_steps) / (total_steps - warmup_steps):
//   linear peak (1 - p);  polynomial (peak - end) (1 - p)^power + end;  cosine peak (1 + cos(pi p)) / 2
// From total_steps on it stays at the last rate (theirs of cosine rises again). Throws as check(options).
double learning_rate(const ScheduleOptions& options, int64_t step);

}  // namespace mpibert
