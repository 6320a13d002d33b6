#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "apps/session.h"
#include "mpibert/data/batch.h"
#include "mpibert/model/bert.h"

namespace mpibert::apps {

struct MatmulTuningFlags {
  std::string mode = "auto", cache;

  void declare(Options& options);
};

// The products of a training step on the micro-batches of these slots: the model runs on a backend that only looks. On the host; nothing of
// the training changes.
std::vector<Matmul> products_of_training(DeviceType device, const BertConfig& config, const Model::MakeHead& head, DType compute,
                                         const BatchLimits& limits, std::span<const Slot> slots);

// Collective; before the first step. Makes all ranks compute products by one table of algorithms: of a run that goes on the one it began
// with (RUN/matmul_algorithms.json), else that of the cache, to which rank 0 adds by measuring what `products` gives and the cache lacks.
// With --matmul-tuning off, and where there is no choice (CPU) or ranks have different cards, by the library's first choice. One line of
// the log says which. run: empty for a measurement that leaves no run. resumed: the run goes on from a checkpoint.
void choose_matmul_algorithms(const MatmulTuningFlags& flags, const Session& session, const std::filesystem::path& run, bool resumed,
                              const std::function<std::vector<Matmul>()>& products);

}  // namespace mpibert::apps
