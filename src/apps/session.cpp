#include "apps/session.h"

#include <algorithm>
#include <chrono>

#include "mpibert/base/error.h"
#include "mpibert/base/log.h"

namespace mpibert::apps {

void SessionFlags::declare(Options& options) {
  options.add({.name = "config", .target = &config, .help = "TOML file of these options"});
  options.add({.name = "device", .target = &device, .help = "where to compute", .choices = {"cpu", "cuda"}});
  options.add({.name = "comm",
               .target = &comm,
               .help = "how cards exchange tensors; auto: over NCCL where it is built in and every rank has a card of its own, else "
                       "through the host's memory (mpi)",
               .choices = {"auto", "nccl", "mpi"}});
  options.add(
      {.name = "attention",
       .target = &attention,
       .help = "cuda: native: mpibert's kernels; cudnn: cuDNN's where there is no dropout, in 16-bit precisions, on Hopper and later",
       .choices = {"native", "cudnn"}});
  options.add(
      {.name = "tf32", .target = &tf32, .help = "cuda: products of fp32 matrices on tensor cores, with operands rounded to 11 bits"});
  options.add({.name = "timeout-seconds",
               .target = &timeout_seconds,
               .help = "how long ranks wait for each other before the job ends",
               .minimum = 1});
}

Device device_of_rank(const std::string& name, int local_rank) {
  const DeviceType type = name == "cuda" ? DeviceType::kCuda : DeviceType::kCpu;
  return {type, local_rank % std::max(1, device_count(type))};
}

DType precision_on(Device device, const std::string& name) {
  const DType precision = precision_from_name(name);
  MPIBERT_CHECK(precision != DType::kFloat16 || device.type == DeviceType::kCuda, kUsage,
                "--precision fp16 is for cards: expected fp32 or bf16 with --device cpu, found fp16; take bf16, or --device cuda");
  return precision;
}

Session SessionFlags::open() const {
  Session session;
  session.backend = make_backend(device_of_rank(device, local_rank_of_this_process()),
                                 {.tf32 = tf32, .attention = attention == "cudnn" ? AttentionKernel::kCudnn : AttentionKernel::kNative});
  if (attention == "cudnn")
    log_info("attention runs on cuDNN where there is no dropout, in 16-bit precisions; elsewhere on mpibert's kernels");
  const Transport transport = comm == "nccl" ? Transport::kNccl : comm == "mpi" ? Transport::kMpi : Transport::kAuto;
  session.comm = make_communicator(*session.backend, std::chrono::seconds(timeout_seconds), transport);
  if (session.backend->device().type != DeviceType::kCpu && session.comm->size() > 1)
    log_info("cards exchange tensors over ", session.comm->transport());
  return session;
}

static std::vector<std::string> as_text(const std::vector<std::vector<std::byte>>& all) {
  std::vector<std::string> texts;
  for (const auto& bytes : all) texts.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return texts;
}

std::vector<std::string> RankExchange::all_gather(const std::string& mine) {
  return as_text(comm_.all_gather_bytes(std::as_bytes(std::span(mine)), "prepare"));
}

std::vector<std::string> RankExchange::gather(const std::string& mine) {
  return as_text(comm_.gather_bytes(std::as_bytes(std::span(mine)), 0, "prepare"));
}

double measured_peak_flops(Backend& backend, Communicator& comm, DType compute) {
  using Clock = std::chrono::steady_clock;
  constexpr int64_t kSize = 1024;
  const Shape shape{kSize, kSize};
  const size_t bytes = static_cast<size_t>(kSize * kSize) * bytes_of(compute);
  const Buffer a = backend.allocate(bytes), b = backend.allocate(bytes), c = backend.allocate(bytes);
  const Matmul product{.a = a.view(compute, shape), .b = b.view(compute, shape), .transpose_b = true, .c = c.view(compute, shape)};
  backend.zero(product.a);
  backend.zero(product.b);
  backend.matmul(product);
  comm.barrier("measuring the peak");
  double best = 1e30;
  const Clock::time_point begin = Clock::now();
  for (int i = 0; i < 50 && (i < 3 || Clock::now() - begin < std::chrono::milliseconds(150)); ++i) {
    const Clock::time_point start = Clock::now();
    backend.matmul(product);
    backend.synchronize();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  double peak = 2.0 * kSize * kSize * kSize / best;
  comm.all_reduce(std::span(&peak, 1), ReduceOp::kSum, "measuring the peak");
  return peak;
}

}  // namespace mpibert::apps
