#include "ops/cpu/cpu_backend.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "mpibert/base/error.h"
#include "ops/check.h"
#include "ops/cpu/kernels.h"
#include "ops/make.h"

namespace mpibert {

std::unique_ptr<Backend> make_cpu_backend() { return std::make_unique<cpu::CpuBackend>(); }

size_t cpu_attention_saved_bytes(int64_t tokens, int64_t heads, int64_t head_size, int64_t max_seq_length) {
  return cpu::attention_saved_bytes(tokens, heads, head_size, max_seq_length);
}

namespace cpu {
namespace {

constexpr size_t kAlignment = 256, kHugePage = size_t{1} << 21;

size_t physical_memory() { return static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGE_SIZE)); }

// Large blocks start at a huge page and ask for such pages: an arena of gigabytes is read in long streams, and page faults cost.
// More than the machine has is refused here: the system would promise it, and kill the process when the memory is used.
void* allocate_aligned(size_t bytes, size_t in_use) {
  const size_t alignment = bytes >= 4 * kHugePage ? kHugePage : kAlignment, memory = physical_memory();
  const size_t rounded = bytes <= memory ? (std::max<size_t>(bytes, 1) + alignment - 1) / alignment * alignment : 0;
  void* block = rounded ? std::aligned_alloc(alignment, rounded) : nullptr;
  MPIBERT_CHECK(block, kOutOfMemory, "cannot allocate ", bytes, " bytes (", bytes >> 20, " MiB) of host memory: ", in_use >> 20,
                " MiB are in use and this machine has ", memory >> 20, " MiB; lower the tokens of a batch or the model size");
  if (alignment == kHugePage) madvise(block, rounded, MADV_HUGEPAGE);  // advice: without such pages it works too
  return block;
}

}  // namespace

Buffer CpuBackend::allocate(size_t bytes) {
  void* memory = allocate_aligned(bytes, *in_use_);
  *in_use_ += bytes;
  return Buffer(memory, bytes, device(), [in_use = in_use_, bytes](void* p) {
    *in_use -= bytes;
    std::free(p);
  });
}

Buffer CpuBackend::allocate_host(size_t bytes) { return Buffer(allocate_aligned(bytes, *in_use_), bytes, Device{}, std::free); }

void CpuBackend::zero(const Tensor& t) {
  check_on_device("zero", t, device());
  zero_bytes(t.data(), t.bytes());
}

void CpuBackend::copy(const Tensor& from, const Tensor& to) {
  check_transfer("copy", from, device(), to, device());
  if (from.data() != to.data()) copy_bytes(to.data(), from.data(), from.bytes());
}

void CpuBackend::upload(const Tensor& host, const Tensor& to) {
  check_transfer("upload", host, Device{}, to, device());
  if (host.data() != to.data()) copy_bytes(to.data(), host.data(), host.bytes());
}

void CpuBackend::download(const Tensor& from, const Tensor& host) {
  check_transfer("download", from, device(), host, Device{});
  if (from.data() != host.data()) copy_bytes(host.data(), from.data(), from.bytes());
}

namespace {

class Downloaded final : public PendingDownload {
 public:
  void wait() const override {}
};

}  // namespace

std::unique_ptr<PendingDownload> CpuBackend::start_download(const Tensor& from, const Tensor& host) {
  download(from, host);
  return std::make_unique<Downloaded>();
}

size_t CpuBackend::attention_saved_bytes(int64_t tokens, int64_t heads, int64_t head_size, int64_t max_seq_length) const {
  return cpu_attention_saved_bytes(tokens, heads, head_size, max_seq_length);
}

void CpuBackend::do_matmul(const Matmul& op) { matmul_.matmul(op); }
void CpuBackend::do_activation_backward(const ActivationBackward& op) { cpu::activation_backward(op); }
void CpuBackend::do_embedding_forward(const EmbeddingForward& op) { cpu::embedding_forward(op); }
void CpuBackend::do_embedding_backward(const EmbeddingBackward& op) { cpu::embedding_backward(op, workspace_); }
void CpuBackend::do_layer_norm_forward(const LayerNormForward& op) { cpu::layer_norm_forward(op); }
void CpuBackend::do_layer_norm_backward(const LayerNormBackward& op) { cpu::layer_norm_backward(op, workspace_); }
void CpuBackend::do_attention_forward(const AttentionForward& op) { attention_.forward(op); }
void CpuBackend::do_attention_backward(const AttentionBackward& op) { attention_.backward(op); }
void CpuBackend::do_dropout(const DropoutApply& op) { cpu::dropout(op); }
void CpuBackend::do_gather_rows(const GatherRows& op) { cpu::gather_rows(op); }
void CpuBackend::do_scatter_rows(const ScatterRows& op) { cpu::scatter_rows(op, workspace_); }
void CpuBackend::do_cross_entropy(const CrossEntropy& op) { cpu::cross_entropy(op, workspace_); }
void CpuBackend::do_span_cross_entropy(const SpanCrossEntropy& op) { cpu::span_cross_entropy(op, workspace_); }
void CpuBackend::do_squared_error(const SquaredError& op) { cpu::squared_error(op); }
void CpuBackend::do_column_sum(const ColumnSum& op) { cpu::column_sum(op, workspace_); }
void CpuBackend::do_square_sums(const SquareSums& op) { cpu::square_sums(op, workspace_); }
void CpuBackend::do_step_decision(const StepDecision& op) { cpu::step_decision(op); }
void CpuBackend::do_adam_step(std::span<const AdamStep> ranges) { std::for_each(ranges.begin(), ranges.end(), cpu::adam_step); }
void CpuBackend::do_lamb_direction(std::span<const LambDirection> ranges) {
  std::for_each(ranges.begin(), ranges.end(), cpu::lamb_direction);
}
void CpuBackend::do_trust_ratios(const TrustRatios& op) { cpu::trust_ratios(op); }
void CpuBackend::do_lamb_apply(std::span<const LambApply> ranges) { std::for_each(ranges.begin(), ranges.end(), cpu::lamb_apply); }
void CpuBackend::do_add(const Add& op) { cpu::add(op); }
void CpuBackend::do_cast(const Cast& op) { cpu::cast(op); }

}  // namespace cpu
}  // namespace mpibert
