#pragma once

#include <atomic>
#include <memory>

#include "mpibert/ops/backend.h"
#include "ops/cuda/cudnn_attention.h"
#include "ops/cuda/host_wait.h"
#include "ops/cuda/kernels.h"
#include "ops/cuda/matmul.h"
#include "ops/cuda/upload_ring.h"

namespace mpibert::cuda {

// One card. Every operation is queued on one stream; only download(), synchronize() and uploads of many megabytes wait for the card.
// Smaller uploads travel beside the operations, on a stream of their own.
class CudaBackend final : public Backend {
 public:
  // Throws kDevice, naming the cards there are, if there is none of this index.
  CudaBackend(int index, const BackendOptions& options);

  Device device() const override { return {DeviceType::kCuda, index_}; }
  Buffer allocate(size_t bytes) override;
  Buffer allocate_host(size_t bytes) override;  // page-locked, not counted
  size_t allocated_bytes() const override { return *in_use_; }
  void zero(const Tensor& t) override;
  void copy(const Tensor& from, const Tensor& to) override;
  void upload(const Tensor& host, const Tensor& to) override;
  void download(const Tensor& from, const Tensor& host) override;
  std::unique_ptr<PendingDownload> start_download(const Tensor& from, const Tensor& host) override;
  void synchronize() override;
  void set_while_waiting(std::function<void()> work) override { wait_.set_meanwhile(std::move(work)); }
  void* stream() const override { return stream_.get(); }
  MatmulTuner* matmul_tuner() override { return &matmul_; }
  bool has_graphs() const override { return true; }
  void begin_capture() override;
  std::unique_ptr<Graph> end_capture() override;
  void drop_capture() override;
  void launch(const Graph& graph) override;
  size_t attention_saved_bytes(int64_t tokens, int64_t heads, int64_t head_size, int64_t max_seq_length) const override;

 private:
  void refuse_in_capture(const char* call) const;
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

  int index_;
  Stream stream_;
  std::shared_ptr<std::atomic<size_t>> in_use_ =
      std::make_shared<std::atomic<size_t>>(0);  // shared with the buffers: they may outlive the backend
  HostWait wait_;
  Event reached_;  // by the stream: for synchronize()
  UploadRing uploads_;
  Workspace workspace_;
  Context context_;
  MatmulEngine matmul_;
  std::unique_ptr<CudnnAttention> cudnn_;  // where --attention cudnn asks for it
};

}  // namespace mpibert::cuda
