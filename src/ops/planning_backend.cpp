#include "mpibert/ops/planning_backend.h"

#include <sys/mman.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "mpibert/base/error.h"
#include "ops/make.h"

namespace mpibert {

namespace {

// Its tensors lie at addresses that nothing may touch, so that views work as ever.
class PlanningBackend final : public Backend {
 public:
  PlanningBackend(DeviceType type, std::function<void(const Matmul&)> on_product) : device_{type, 0}, on_product_(std::move(on_product)) {}

  Device device() const override { return device_; }
  Buffer allocate(size_t bytes) override {
    in_use_ += bytes;
    return reserve(bytes, [this, bytes] { in_use_ -= bytes; });
  }
  Buffer allocate_host(size_t bytes) override {
    return reserve(bytes, [] {});
  }
  size_t allocated_bytes() const override { return in_use_; }
  void zero(const Tensor&) override {}
  void copy(const Tensor&, const Tensor&) override {}
  void upload(const Tensor&, const Tensor&) override {}
  void download(const Tensor&, const Tensor&) override { refuse(); }
  std::unique_ptr<PendingDownload> start_download(const Tensor&, const Tensor&) override { refuse(); }
  void synchronize() override {}
  void* stream() const override { return nullptr; }
  size_t attention_saved_bytes(int64_t tokens, int64_t heads, int64_t head_size, int64_t max_seq_length) const override {
    return device_.type == DeviceType::kCpu ? cpu_attention_saved_bytes(tokens, heads, head_size, max_seq_length)
                                            : cuda_attention_saved_bytes(tokens, heads);
  }

 private:
  Buffer reserve(size_t bytes, const std::function<void()>& release) {
    const size_t size = std::max<size_t>(bytes, 1);
    void* addresses = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    MPIBERT_CHECK(addresses != MAP_FAILED, kOutOfMemory, "a plan of ", bytes, " bytes (", bytes >> 30,
                  " GiB) is beyond what this system can address; lower the tokens of a batch");
    return Buffer(addresses, bytes, device_, [size, release](void* p) {
      munmap(p, size);
      release();
    });
  }
  [[noreturn]] static void refuse() { throw std::logic_error("a plan computes nothing"); }

  void operation() const {
    if (!on_product_) refuse();
  }

  void do_matmul(const Matmul& op) override {
    operation();
    on_product_(op);
  }
  void do_activation_backward(const ActivationBackward&) override { operation(); }
  void do_embedding_forward(const EmbeddingForward&) override { operation(); }
  void do_embedding_backward(const EmbeddingBackward&) override { operation(); }
  void do_layer_norm_forward(const LayerNormForward&) override { operation(); }
  void do_layer_norm_backward(const LayerNormBackward&) override { operation(); }
  void do_attention_forward(const AttentionForward&) override { operation(); }
  void do_attention_backward(const AttentionBackward&) override { operation(); }
  void do_dropout(const DropoutApply&) override { operation(); }
  void do_gather_rows(const GatherRows&) override { operation(); }
  void do_scatter_rows(const ScatterRows&) override { operation(); }
  void do_cross_entropy(const CrossEntropy&) override { operation(); }
  void do_span_cross_entropy(const SpanCrossEntropy&) override { operation(); }
  void do_squared_error(const SquaredError&) override { operation(); }
  void do_column_sum(const ColumnSum&) override { operation(); }
  void do_square_sums(const SquareSums&) override { operation(); }
  void do_adam_step(std::span<const AdamStep>) override { operation(); }
  void do_lamb_direction(std::span<const LambDirection>) override { operation(); }
  void do_step_decision(const StepDecision&) override { operation(); }
  void do_trust_ratios(const TrustRatios&) override { operation(); }
  void do_lamb_apply(std::span<const LambApply>) override { operation(); }
  void do_add(const Add&) override { operation(); }
  void do_cast(const Cast&) override { operation(); }

  Device device_;
  std::function<void(const Matmul&)> on_product_;
  size_t in_use_ = 0;
};

}  // namespace

std::unique_ptr<Backend> make_planning_backend(DeviceType type, std::function<void(const Matmul&)> on_product) {
  return std::make_unique<PlanningBackend>(type, std::move(on_product));
}

}  // namespace mpibert
