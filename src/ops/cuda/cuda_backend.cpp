#include "ops/cuda/cuda_backend.h"

#include <algorithm>

#include "mpibert/base/error.h"
#include "ops/check.h"
#include "ops/cuda/event.h"
#include "ops/make.h"

namespace mpibert {

std::unique_ptr<Backend> make_cuda_backend(int index, const BackendOptions& options) {
  return std::make_unique<cuda::CudaBackend>(index, options);
}

int cuda_device_count() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

namespace cuda {
namespace {

// Selects the card for this thread, before anything else of the backend is made.
int selected(int index) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  MPIBERT_CHECK(status == cudaSuccess, kDevice, "no CUDA device can be used: ", cudaGetErrorString(status),
                "; run on the CPU (--device cpu), or see `mpibert doctor`");
  MPIBERT_CHECK(0 <= index && index < count, kDevice, "there is no device cuda:", index, "; this process sees ", count,
                count == 1 ? " device" : " devices", " (CUDA_VISIBLE_DEVICES may hide some)");
  MPIBERT_CUDA_CHECK(cudaSetDevice(index));
  return index;
}

class CudaGraph final : public Graph {
 public:
  explicit CudaGraph(cudaGraph_t captured) { MPIBERT_CUDA_CHECK(cudaGraphInstantiate(&executable_, captured, 0)); }
  ~CudaGraph() override { cudaGraphExecDestroy(executable_); }
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;
  cudaGraphExec_t get() const { return executable_; }

 private:
  cudaGraphExec_t executable_ = nullptr;
};

int multiprocessors(int index) {
  int count = 0;
  MPIBERT_CUDA_CHECK(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, index));
  return count;
}

}  // namespace

CudaBackend::CudaBackend(int index, const BackendOptions& options)
    : index_(selected(index)),
      uploads_(stream_.get(), wait_),
      workspace_(stream_.get()),
      context_{.stream = stream_.get(), .workspace = workspace_, .multiprocessors = multiprocessors(index_)},
      matmul_(context_, index_, options.tf32) {
  if (options.attention == AttentionKernel::kCudnn) cudnn_ = make_cudnn_attention(context_);
}

Buffer CudaBackend::allocate(size_t bytes) {
  refuse_in_capture("allocate");
  void* memory = nullptr;
  const cudaError_t status = cudaMalloc(&memory, std::max<size_t>(bytes, 1));
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // or the next check would find it again
    size_t free = 0, total = 0;
    MPIBERT_CUDA_CHECK(cudaMemGetInfo(&free, &total));
    throw Error(ErrorKind::kOutOfDeviceMemory, str_cat("cannot allocate ", bytes, " bytes (", bytes >> 20, " MiB) on cuda:", index_, ": ",
                                                       *in_use_ >> 20, " MiB are in use and ", free >> 20, " of its ", total >> 20,
                                                       " MiB are free; lower the tokens of a batch or the model size"));
  }
  check_cuda(status, "cudaMalloc");
  *in_use_ += bytes;
  return Buffer(memory, bytes, device(), [in_use = in_use_, bytes](void* p) {
    *in_use -= bytes;
    cudaFree(p);  // waits for the card: whatever used it has ended
  });
}

Buffer CudaBackend::allocate_host(size_t bytes) {
  refuse_in_capture("allocate_host");
  void* memory = nullptr;
  MPIBERT_CUDA_CHECK(cudaMallocHost(&memory, std::max<size_t>(bytes, 1)));
  return Buffer(memory, bytes, Device{}, [](void* p) { cudaFreeHost(p); });
}

void CudaBackend::zero(const Tensor& t) {
  check_on_device("zero", t, device());
  if (t.bytes() > 0) MPIBERT_CUDA_CHECK(cudaMemsetAsync(t.data(), 0, t.bytes(), stream_.get()));
}

void CudaBackend::copy(const Tensor& from, const Tensor& to) {
  check_transfer("copy", from, device(), to, device());
  if (from.data() != to.data() && from.bytes() > 0)
    MPIBERT_CUDA_CHECK(cudaMemcpyAsync(to.data(), from.data(), from.bytes(), cudaMemcpyDeviceToDevice, stream_.get()));
}

void CudaBackend::upload(const Tensor& host, const Tensor& to) {
  check_transfer("upload", host, Device{}, to, device());
  refuse_in_capture("upload");
  if (host.bytes() == 0) return;
  if (host.bytes() <= UploadRing::kMostBytes) return uploads_.put(host.data(), to.data(), host.bytes());
  synchronize();
  MPIBERT_CUDA_CHECK(cudaMemcpyAsync(to.data(), host.data(), host.bytes(), cudaMemcpyHostToDevice, stream_.get()));
  MPIBERT_CUDA_CHECK(cudaStreamSynchronize(stream_.get()));  // page-locked memory is still being read
}

void CudaBackend::download(const Tensor& from, const Tensor& host) {
  check_transfer("download", from, device(), host, Device{});
  refuse_in_capture("download");
  synchronize();  // the copy itself would wait, for ever where the work before it stands still
  if (from.bytes() == 0) return;
  MPIBERT_CUDA_CHECK(cudaMemcpyAsync(host.data(), from.data(), from.bytes(), cudaMemcpyDeviceToHost, stream_.get()));
  MPIBERT_CUDA_CHECK(cudaStreamSynchronize(stream_.get()));
}

namespace {

class Download final : public PendingDownload {
 public:
  Download(cudaStream_t stream, const HostWait& wait) : wait_(wait) { MPIBERT_CUDA_CHECK(cudaEventRecord(end_.get(), stream)); }
  void wait() const override { wait_.until(end_); }

 private:
  const HostWait& wait_;
  Event end_;
};

}  // namespace

std::unique_ptr<PendingDownload> CudaBackend::start_download(const Tensor& from, const Tensor& host) {
  check_transfer("start_download", from, device(), host, Device{});
  refuse_in_capture("start_download");
  if (from.bytes() > 0) MPIBERT_CUDA_CHECK(cudaMemcpyAsync(host.data(), from.data(), from.bytes(), cudaMemcpyDeviceToHost, stream_.get()));
  return std::make_unique<Download>(stream_.get(), wait_);
}

void CudaBackend::synchronize() {
  refuse_in_capture("synchronize");
  MPIBERT_CUDA_CHECK(cudaEventRecord(reached_.get(), stream_.get()));
  wait_.until(reached_);
}

void CudaBackend::refuse_in_capture(const char* call) const {
  MPIBERT_CHECK(!is_capturing(stream_.get()), kDevice, call,
                "() while a graph is captured: a graph holds work of the device only; call it before or after");
}

// Other threads may allocate and wait meanwhile.
void CudaBackend::begin_capture() { MPIBERT_CUDA_CHECK(cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeThreadLocal)); }

std::unique_ptr<Graph> CudaBackend::end_capture() {
  cudaGraph_t captured = nullptr;
  MPIBERT_CUDA_CHECK(cudaStreamEndCapture(stream_.get(), &captured));
  const std::unique_ptr<CUgraph_st, cudaError_t (*)(cudaGraph_t)> owner(captured, cudaGraphDestroy);
  return std::make_unique<CudaGraph>(captured);
}

void CudaBackend::drop_capture() {
  if (!is_capturing(stream_.get())) return;
  cudaGraph_t captured = nullptr;
  if (cudaStreamEndCapture(stream_.get(), &captured) == cudaSuccess) {
    cudaGraphDestroy(captured);
  } else {
    cudaGetLastError();  // the capture had failed, which is why it is dropped
  }
}

void CudaBackend::launch(const Graph& graph) {
  MPIBERT_CUDA_CHECK(cudaGraphLaunch(dynamic_cast<const CudaGraph&>(graph).get(), stream_.get()));
}

size_t CudaBackend::attention_saved_bytes(int64_t tokens, int64_t heads, int64_t, int64_t) const {
  return cuda_attention_saved_bytes(tokens, heads);
}

void CudaBackend::do_matmul(const Matmul& op) { matmul_.matmul(op); }
void CudaBackend::do_activation_backward(const ActivationBackward& op) { cuda::activation_backward(op, context_); }
void CudaBackend::do_embedding_forward(const EmbeddingForward& op) { cuda::embedding_forward(op, context_); }
void CudaBackend::do_embedding_backward(const EmbeddingBackward& op) { cuda::embedding_backward(op, context_); }
void CudaBackend::do_layer_norm_forward(const LayerNormForward& op) { cuda::layer_norm_forward(op, context_); }
void CudaBackend::do_layer_norm_backward(const LayerNormBackward& op) { cuda::layer_norm_backward(op, context_); }
void CudaBackend::do_attention_forward(const AttentionForward& op) {
  if (cudnn_ && !op.distance_embedding && cudnn_->serves(op.qkv, op.dropout)) return cudnn_->forward(op);
  cuda::attention_forward(op, context_);
}
void CudaBackend::do_attention_backward(const AttentionBackward& op) {
  if (cudnn_ && !op.distance_embedding && cudnn_->serves(op.qkv, op.dropout)) return cudnn_->backward(op);
  cuda::attention_backward(op, context_);
}
void CudaBackend::do_dropout(const DropoutApply& op) { cuda::dropout(op, context_); }
void CudaBackend::do_gather_rows(const GatherRows& op) { cuda::gather_rows(op, context_); }
void CudaBackend::do_scatter_rows(const ScatterRows& op) { cuda::scatter_rows(op, context_); }
void CudaBackend::do_cross_entropy(const CrossEntropy& op) { cuda::cross_entropy(op, context_); }
void CudaBackend::do_span_cross_entropy(const SpanCrossEntropy& op) { cuda::span_cross_entropy(op, context_); }
void CudaBackend::do_squared_error(const SquaredError& op) { cuda::squared_error(op, context_); }
void CudaBackend::do_column_sum(const ColumnSum& op) { cuda::column_sum(op, context_); }
void CudaBackend::do_square_sums(const SquareSums& op) { cuda::square_sums(op, context_); }
void CudaBackend::do_step_decision(const StepDecision& op) { cuda::step_decision(op, context_); }
void CudaBackend::do_adam_step(std::span<const AdamStep> ranges) { cuda::adam_step(ranges, context_); }
void CudaBackend::do_lamb_direction(std::span<const LambDirection> ranges) { cuda::lamb_direction(ranges, context_); }
void CudaBackend::do_trust_ratios(const TrustRatios& op) { cuda::trust_ratios(op, context_); }
void CudaBackend::do_lamb_apply(std::span<const LambApply> ranges) { cuda::lamb_apply(ranges, context_); }
void CudaBackend::do_add(const Add& op) { cuda::add(op, context_); }
void CudaBackend::do_cast(const Cast& op) { cuda::cast(op, context_); }

}  // namespace cuda
}  // namespace mpibert
