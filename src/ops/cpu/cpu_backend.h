#pragma once

#include <atomic>
#include <memory>

#include "mpibert/ops/backend.h"
#include "ops/cpu/attention.h"
#include "ops/cpu/matmul.h"
#include "ops/cpu/workspace.h"

namespace mpibert::cpu {

// The CPU: every call has done its work when it returns. Device memory is host memory.
class CpuBackend final : public Backend {
 public:
  Device device() const override { return {DeviceType::kCpu, 0}; }

  Buffer allocate(size_t bytes) override;
  Buffer allocate_host(size_t bytes) override;  // not counted
  size_t allocated_bytes() const override { return *in_use_; }
  void zero(const Tensor& t) override;
  void copy(const Tensor& from, const Tensor& to) override;
  void upload(const Tensor& host, const Tensor& to) override;
  void download(const Tensor& from, const Tensor& host) override;
  std::unique_ptr<PendingDownload> start_download(const Tensor& from, const Tensor& host) override;
  void synchronize() override {}
  void* stream() const override { return nullptr; }
  size_t attention_saved_bytes(int64_t tokens, int64_t heads, int64_t head_size, int64_t max_seq_length) const override;

 private:
  void do_matmul(const Matmul& op) override;
  void do_activation_backward(const ActivationBackward& op) override;
  void do_embedding_forward(const EmbeddingForward& op) override;
  void do_embedding_backward(const EmbeddingBackward& op) override;
  void do_layer_norm_forward(const LayerNormForward& op) override;
  void do_layer_norm_backward(const LayerNormBackward& op) override;
  void do_attention_forward(const AttentionForward& op) override;
  void do_attention_backward(const AttentionBackward& op) override;
  void do_dropout(const DropoutApply& op) override;
  void do_gather_rows(const GatherRows& op) override;
  void do_scatter_rows(const ScatterRows& op) override;
  void do_cross_entropy(const CrossEntropy& op) override;
  void do_span_cross_entropy(const SpanCrossEntropy& op) override;
  void do_squared_error(const SquaredError& op) override;
  void do_column_sum(const ColumnSum& op) override;
  void do_square_sums(const SquareSums& op) override;
  void do_step_decision(const StepDecision& op) override;
  void do_adam_step(std::span<const AdamStep> ranges) override;
  void do_lamb_direction(std::span<const LambDirection> ranges) override;
  void do_trust_ratios(const TrustRatios& op) override;
  void do_lamb_apply(std::span<const LambApply> ranges) override;
  void do_add(const Add& op) override;
  void do_cast(const Cast& op) override;

  std::shared_ptr<std::atomic<size_t>> in_use_ =
      std::make_shared<std::atomic<size_t>>(0);  // shared with the buffers: they may outlive the backend
  Workspace workspace_;
  MatmulEngine matmul_;
  AttentionEngine attention_;
};

}  // namespace mpibert::cpu
