#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "mpibert/comm/communicator.h"
#include "mpibert/model/bert.h"
#include "mpibert/optim/optimizer.h"

namespace mpibert::apps {

// What the memory of a rank follows from.
struct MemoryPlanInputs {
  BertConfig config{};
  Model::MakeHead make_head{};
  DeviceType device = DeviceType::kCpu;
  DType compute = DType::kFloat32;
  OptimizerOptions optimizer{};
  Reduction reduction = Reduction::kExact;
  int64_t ranks = 1, slots = 1, bucket_mib = 25;
  int64_t micro_tokens = 0, max_seq_length = 0;  // tokens of a micro-batch; of the longest sequence
};

// A rank's memory in a training, found by making its trainer and model on a backend that only counts.
class MemoryPlan {
 public:
  explicit MemoryPlan(const MemoryPlanInputs& inputs);
  ~MemoryPlan();

  int64_t parameters() const;
  // Bytes by part, with micro-batches of `micro_tokens`: "values", "gradients", ..., "activations".
  std::vector<std::pair<std::string, int64_t>> parts(int64_t micro_tokens) const;
  int64_t bytes(int64_t micro_tokens) const;
  // The most tokens whose memory stays within so many bytes; 0 where not even the longest sequence does.
  int64_t largest_micro_tokens(int64_t bytes) const;
  // For people, a line each: the parts of the inputs' micro_tokens, their sum, and where `budget` is more than 0 the largest micro_tokens.
  std::vector<std::string> lines(int64_t budget) const;

 private:
  struct Planned;
  std::unique_ptr<Planned> planned_;
};

inline constexpr int64_t kMostMicroTokens = 1 << 20;  // that are planned for
// What a card holds beside what the backend counts: CUDA's context and kernels, cuBLASLt's workspace, partial sums.
inline constexpr int64_t kCardReserveBytes = int64_t{1} << 30;

}  // namespace mpibert::apps
