#pragma once

#include <functional>
#include <memory>
#include <string>

#include "mpibert/ops/matmul_tuner.h"
#include "mpibert/ops/ops.h"
#include "mpibert/tensor/buffer.h"

namespace mpibert {

// Which kernels attention runs on: mpibert's own, or cuDNN's for operations without dropout (its dropout is not keyed by the token).
enum class AttentionKernel : uint8_t { kNative, kCudnn };

struct BackendOptions {
  bool tf32 = false;  // products of fp32 matrices on tensor cores, with operands rounded to 11 significant bits
  AttentionKernel attention = AttentionKernel::kNative;
};

// A download under way.
class PendingDownload {
 public:
  virtual ~PendingDownload() = default;
  virtual void wait() const = 0;  // until it is done; on a device, as synchronize() waits
};

// Work captured by a Backend, to be launched any number of times: the same operations on the same memory, with what stands there then. It
// refers to the backend and to that memory, and must not outlive them.
class Graph {
 public:
  virtual ~Graph() = default;
};

// A device and the operations a BERT needs of it. Calls come from one thread. The public functions check shapes, types and devices, once
// for all backends (src/ops/check.cpp); the work is in the private virtual of the same name.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual Device device() const = 0;

  // Memory and order. Work is queued in order on one stream; the host never waits except where said.
  virtual Buffer allocate(
      size_t bytes) = 0;  // device memory, aligned to 256 bytes; kOutOfMemory, kOutOfDeviceMemory say how much was asked
  virtual Buffer allocate_host(size_t bytes) = 0;  // page-locked where that helps
  virtual size_t allocated_bytes() const = 0;      // device memory in use now
  virtual void zero(const Tensor& t) = 0;
  virtual void copy(const Tensor& from, const Tensor& to) = 0;        // device to device, queued
  virtual void upload(const Tensor& host, const Tensor& to) = 0;      // returns when host may be reused
  virtual void download(const Tensor& from, const Tensor& host) = 0;  // returns when host is filled: waits
  // Queued; host, of allocate_host(), is filled when the result has been waited for. It must not outlive the backend.
  virtual std::unique_ptr<PendingDownload> start_download(const Tensor& from, const Tensor& host) = 0;
  virtual void synchronize() = 0;
  // What the host does, again and again, while it waits for the device; an exception of it ends the wait. Empty: nothing.
  virtual void set_while_waiting(std::function<void()>) {}
  virtual void* stream() const = 0;  // cudaStream_t, or null on the CPU

  // Graphs. Between begin_capture() and end_capture() zero(), copy() and operations are recorded, not executed. All must have run before in
  // the same shapes, so that nothing is left to allocate or to choose; allocations, transfers with the host and synchronize() are refused.
  // What cannot be captured throws kDevice; drop_capture() then ends the capture, and does nothing where there is none. A backend that has
  // no graphs throws std::logic_error.
  virtual bool has_graphs() const { return false; }
  virtual void begin_capture();
  virtual std::unique_ptr<Graph> end_capture();
  virtual void drop_capture() {}
  virtual void launch(const Graph& graph);  // queued; of this backend's own

  // Size of AttentionForward::saved for T tokens, A heads of D columns and sequences up to S tokens.
  virtual size_t attention_saved_bytes(int64_t tokens, int64_t heads, int64_t head_size, int64_t max_seq_length) const = 0;

  // The choice of algorithms for products; null where there is none (CPU). Owned by the backend.
  virtual MatmulTuner* matmul_tuner() { return nullptr; }

  void matmul(const Matmul& op);
  void activation_backward(const ActivationBackward& op);
  void embedding_forward(const EmbeddingForward& op);
  void embedding_backward(const EmbeddingBackward& op);
  void layer_norm_forward(const LayerNormForward& op);
  void layer_norm_backward(const LayerNormBackward& op);
  void attention_forward(const AttentionForward& op);
  void attention_backward(const AttentionBackward& op);
  void dropout(const DropoutApply& op);
  void gather_rows(const GatherRows& op);
  void scatter_rows(const ScatterRows& op);
  void cross_entropy(const CrossEntropy& op);
  void span_cross_entropy(const SpanCrossEntropy& op);
  void squared_error(const SquaredError& op);
  void column_sum(const ColumnSum& op);
  void square_sums(const SquareSums& op);
  void step_decision(const StepDecision& op);
  void adam_step(std::span<const AdamStep> ranges);
  void lamb_direction(std::span<const LambDirection> ranges);
  void trust_ratios(const TrustRatios& op);
  void lamb_apply(std::span<const LambApply> ranges);
  void add(const Add& op);
  void cast(const Cast& op);

 private:
  virtual void do_matmul(const Matmul& op) = 0;
  virtual void do_activation_backward(const ActivationBackward& op) = 0;
  virtual void do_embedding_forward(const EmbeddingForward& op) = 0;
  virtual void do_embedding_backward(const EmbeddingBackward& op) = 0;
  virtual void do_layer_norm_forward(const LayerNormForward& op) = 0;
  virtual void do_layer_norm_backward(const LayerNormBackward& op) = 0;
  virtual void do_attention_forward(const AttentionForward& op) = 0;
  virtual void do_attention_backward(const AttentionBackward& op) = 0;
  virtual void do_dropout(const DropoutApply& op) = 0;
  virtual void do_gather_rows(const GatherRows& op) = 0;
  virtual void do_scatter_rows(const ScatterRows& op) = 0;
  virtual void do_cross_entropy(const CrossEntropy& op) = 0;
  virtual void do_span_cross_entropy(const SpanCrossEntropy& op) = 0;
  virtual void do_squared_error(const SquaredError& op) = 0;
  virtual void do_column_sum(const ColumnSum& op) = 0;
  virtual void do_square_sums(const SquareSums& op) = 0;
  virtual void do_step_decision(const StepDecision& op) = 0;
  virtual void do_adam_step(std::span<const AdamStep> ranges) = 0;
  virtual void do_lamb_direction(std::span<const LambDirection> ranges) = 0;
  virtual void do_trust_ratios(const TrustRatios& op) = 0;
  virtual void do_lamb_apply(std::span<const LambApply> ranges) = 0;
  virtual void do_add(const Add& op) = 0;
  virtual void do_cast(const Cast& op) = 0;
};

// Throws kDevice if this build has no such backend, or this machine no such device.
// tf32, attention: of cards; the CPU backend refuses them with kUsage where they are not the default.
std::unique_ptr<Backend> make_backend(Device device, const BackendOptions& options = {});

// Devices of a type that this process can use: one CPU; no card in a build without CUDA, or where the driver finds none.
int device_count(DeviceType type);

// Versions of the CUDA runtime and of cuBLASLt in this build, or "not built in".
std::string cuda_version();

}  // namespace mpibert
