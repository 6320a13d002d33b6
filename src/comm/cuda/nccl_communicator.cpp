#include "comm/cuda/nccl_communicator.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <thread>
#include <utility>

#include "comm/cuda/tree_sum.h"
#include "comm/make.h"
#include "mpibert/base/error.h"
#include "mpibert/base/log.h"

namespace mpibert {

std::unique_ptr<Communicator> make_nccl_communicator(Backend& backend, std::unique_ptr<MpiCommunicator> host,
                                                     std::chrono::milliseconds timeout) {
  return std::make_unique<cuda::NcclCommunicator>(backend, std::move(host), timeout);
}

std::string card_of(const Backend& backend) {
  std::array<char, 32> id{};
  MPIBERT_CUDA_CHECK(cudaDeviceGetPCIBusId(id.data(), static_cast<int>(id.size()), backend.device().index));
  return id.data();
}

std::string nccl_version() {
  int version = 0;
  if (ncclGetVersion(&version) != ncclSuccess) return "unknown";
  return str_cat(version / 10000, ".", version / 100 % 100, ".", version % 100);
}

namespace cuda {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPatience{300};

}  // namespace

NcclCommunicator::NcclCommunicator(Backend& backend, std::unique_ptr<MpiCommunicator> host, std::chrono::milliseconds timeout,
                                   int ranks_per_node)
    : backend_(backend), host_(std::move(host)), timeout_(timeout), exceptions_(std::uncaught_exceptions()) {
  guarded([&] { open(ranks_per_node); });
  backend_.set_while_waiting([this] { progress(); });
}

NcclCommunicator::~NcclCommunicator() {
  backend_.set_while_waiting({});
  if (comm_ == nullptr) return;
  // While an error is on its way up, the other ranks may not come.
  if (!started_.empty() || std::uncaught_exceptions() > exceptions_) {
    abort();
    return;
  }
  try {
    guarded([&] { close(); });
  } catch (const std::exception& error) {
    log_warning("closing the communicator, after all work was done: ", error.what());
  }
}

void NcclCommunicator::open(int ranks_per_node) {
  const int host = host_->host();
  std::vector<int> hosts;
  for (const auto& bytes : host_->all_gather_bytes(std::as_bytes(std::span(&host, 1)), "hosts")) {
    const int next = static_cast<int>(hosts.size());
    std::memcpy(&hosts.emplace_back(), bytes.data(), sizeof(int));
    if (ranks_per_node > 0) hosts.back() = next / ranks_per_node;
  }
  nodes_ = find_nodes(hosts, rank());
  ncclUniqueId id{};
  if (rank() == 0) check(ncclGetUniqueId(&id), "ncclGetUniqueId");
  host_->broadcast(Tensor(id.internal, DType::kUInt8, {NCCL_UNIQUE_ID_BYTES}), 0, "NCCL's id");
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  settle(ncclCommInitRankConfig(&comm_, size(), id, rank(), &config), "ncclCommInitRankConfig");
}

void NcclCommunicator::close() {
  current_ = "the end of the communicator";
  settle(ncclCommFinalize(comm_), "ncclCommFinalize");
  check(ncclCommDestroy(comm_), "ncclCommDestroy");
  comm_ = nullptr;
}

// The job is failing already, so an error of this call says nothing more.
void NcclCommunicator::abort() {
  if (comm_ != nullptr) ncclCommAbort(std::exchange(comm_, nullptr));
  started_.clear();
}

void NcclCommunicator::guarded(const std::function<void()>& work) {
  MPIBERT_CHECK(failure_.empty(), kCommunication, "the communicator is not usable after an earlier failure: ", failure_);
  try {
    work();
  } catch (const std::exception& error) {
    failure_ = error.what();
    abort();
    throw;
  }
}

// ---- Waiting, and what can go wrong meanwhile

void NcclCommunicator::check(ncclResult_t result, const char* call) {
  if (result == ncclSuccess || result == ncclInProgress) return;
  // If ranks disagree, that is the cause, and the neighbour's word says it, which may still be on its way.
  for (const auto end = Clock::now() + kPatience; Clock::now() < end; std::this_thread::yield()) host_->progress();
  const char* words = ncclGetLastError(comm_);
  throw Error(ErrorKind::kCommunication,
              str_cat("NCCL failed on rank ", rank(), " of ", size(), " in ", current_, ": ", ncclGetErrorString(result), " from ", call,
                      words && *words ? str_cat(" (", words, ")") : std::string(),
                      "; NCCL_DEBUG=WARN says more, and --comm mpi does without NCCL"));
}

ncclResult_t NcclCommunicator::state() {
  ncclResult_t state = ncclSuccess;
  check(ncclCommGetAsyncError(comm_, &state), "ncclCommGetAsyncError");
  if (state != ncclSuccess && state != ncclInProgress && !started_.empty()) current_ = started_.front().text;
  check(state, "an earlier call, asynchronously");
  return state;
}

bool NcclCommunicator::drop_ended() {
  bool dropped = false;
  while (!started_.empty() && started_.front().end->has_passed()) {
    free_events_.push_back(std::move(started_.front().end));
    started_.pop_front();
    dropped = true;
  }
  return dropped;
}

// Once: what has ended is dropped, what takes too long is an error.
void NcclCommunicator::poll(const std::function<std::string()>& awaited) {
  host_->progress();
  if (drop_ended()) last_sign_ = Clock::now();
  if (Clock::now() - last_sign_ <= timeout_) return;
  const std::vector<int> missing = host_->missing();
  throw Error(ErrorKind::kCommunication,
              str_cat(awaited(), " did not finish within ", timeout_.count(), " ms on rank ", rank(), " of ", size(), ": ",
                      missing.empty() ? "NCCL does not say who is missing" : "nothing came from " + list_of(missing),
                      "; look at the logs and the hosts of the other ranks"));
}

void NcclCommunicator::poll_until(const std::function<bool()>& done, const std::function<std::string()>& awaited) {
  last_sign_ = Clock::now();
  while (!done()) {
    poll(awaited);
    std::this_thread::yield();
  }
}

void NcclCommunicator::settle(ncclResult_t result, const char* call) {
  check(result, call);
  poll_until([this] { return state() == ncclSuccess; }, [&] { return str_cat(current_, " (", call, ")"); });
}

void NcclCommunicator::progress() {
  if (started_.empty() && failure_.empty()) return host_->progress();
  guarded([this] {
    state();
    if (!started_.empty()) poll([this] { return started_.front().text; });
  });
}

// The stream of collectives runs them in order, so that its present end is the end of all.
void NcclCommunicator::join() {
  guarded([this] {
    state();
    MPIBERT_CUDA_CHECK(cudaEventRecord(joined_.get(), stream_.get()));
    MPIBERT_CUDA_CHECK(cudaStreamWaitEvent(static_cast<cudaStream_t>(backend_.stream()), joined_.get(), 0));
    if (host_started_) host_->wait(), host_started_ = false;
  });
}

void NcclCommunicator::wait() {
  guarded([this] {
    const auto all_ended = [this] {
      if (started_.empty()) return true;
      state();
      drop_ended();
      return started_.empty();
    };
    poll_until(all_ended, [this] { return started_.front().text; });
    host_->wait();
    host_started_ = false;
  });
}

// ---- Collectives of the device

// `calls` queue on the stream, behind what the backend has queued so far.
void NcclCommunicator::start(CollectiveKind kind, size_t bytes, int64_t detail, std::string_view what, const std::function<void()>& calls) {
  guarded([&] {
    current_ = host_->announce(kind, bytes, detail, what).text();
    MPIBERT_CUDA_CHECK(cudaEventRecord(backend_ready_.get(), static_cast<cudaStream_t>(backend_.stream())));
    MPIBERT_CUDA_CHECK(cudaStreamWaitEvent(stream_.get(), backend_ready_.get(), 0));
    calls();
    if (free_events_.empty()) free_events_.push_back(std::make_unique<Event>());
    MPIBERT_CUDA_CHECK(cudaEventRecord(free_events_.back()->get(), stream_.get()));
    if (started_.empty()) last_sign_ = Clock::now();
    started_.push_back({current_, std::move(free_events_.back())});
    free_events_.pop_back();
  });
}

void NcclCommunicator::group(const std::function<void()>& calls) {
  check(ncclGroupStart(), "ncclGroupStart");
  try {
    calls();
  } catch (...) {
    ncclGroupEnd();  // in an open group the abort would wait for the end
    throw;
  }
  settle(ncclGroupEnd(), "ncclGroupEnd");
}

// Grows to the largest collective, which is the first of a step.
Tensor NcclCommunicator::staging(int64_t rows, int64_t columns) {
  const size_t bytes = static_cast<size_t>(rows * columns) * sizeof(float);
  if (bytes > staging_.bytes()) {
    poll_until([this] { return state(), drop_ended(), started_.empty(); }, [this] { return started_.front().text; });
    staging_ = Buffer();
    staging_ = backend_.allocate(bytes);
  }
  return staging_.view(DType::kFloat32, {rows, columns});
}

void NcclCommunicator::send(const Tensor& t, int to) {
  check(ncclSend(t.data(), static_cast<size_t>(t.size()), ncclFloat32, to, comm_, stream_.get()), "ncclSend");
}
void NcclCommunicator::receive(const Tensor& t, int from) {
  check(ncclRecv(t.data(), static_cast<size_t>(t.size()), ncclFloat32, from, comm_, stream_.get()), "ncclRecv");
}

// Partners at distance 1, 2, ...: no owner is flooded by all at once. received: the other ranks' operands, in order.
void NcclCommunicator::exchange_pieces(std::span<const Tensor> subtrees, int64_t piece, const Tensor& received) {
  const std::vector<int>& first = host_->operands().first;
  for (int distance = 1; distance < size(); ++distance) {
    const int from = (rank() + size() - distance) % size(), to = (rank() + distance) % size();
    for (int operand = first[static_cast<size_t>(from)]; operand < first[static_cast<size_t>(from) + 1]; ++operand) {
      const int row = from < rank() ? operand : operand - static_cast<int>(subtrees.size());
      receive(received.rows(row, row + 1), from);
    }
    for (const Tensor& subtree : subtrees) send(subtree.elements(to * piece, (to + 1) * piece), to);
  }
}

void NcclCommunicator::reduce_scatter(std::span<const Tensor> subtrees, const Tensor& piece, Reduction reduction, std::string_view what) {
  if (piece.device() == Device{}) return host_started_ = true, host_->reduce_scatter(subtrees, piece, reduction, what);
  host_->check_reduce_scatter(subtrees, piece, reduction, backend_.device(), what);
  const bool exact = reduction == Reduction::kExact;
  start(CollectiveKind::kReduceScatter, piece.bytes() * static_cast<size_t>(size()), exact ? host_->slots() : -1, what, [&] {
    if (!exact) {
      settle(ncclReduceScatter(subtrees.front().data(), piece.data(), static_cast<size_t>(piece.size()), ncclFloat32, ncclSum, comm_,
                               stream_.get()),
             "ncclReduceScatter");
      return;
    }
    reduce_exactly(subtrees, piece);
  });
}

void NcclCommunicator::reduce_exactly(std::span<const Tensor> subtrees, const Tensor& piece) {
  if (node_reduction_) {
    node_reduction_->reduce(subtrees, piece, staging(node_reduction_->staging_rows(), piece.size()),
                            {.group = [this](const auto& calls) { group(calls); },
                             .send = [this](const Tensor& t, int to) { send(t, to); },
                             .receive = [this](const Tensor& t, int from) { receive(t, from); },
                             .stream = stream_.get()});
    return;
  }
  const SlotOperands& operands = host_->operands();
  const int64_t others = operands.sum.operands() - static_cast<int64_t>(subtrees.size());
  std::vector<Tensor> own;
  for (const Tensor& subtree : subtrees) own.push_back(subtree.elements(rank() * piece.size(), (rank() + 1) * piece.size()));
  Tensor received;
  if (others > 0) {
    received = staging(others, piece.size());
    group([&] { exchange_pieces(subtrees, piece.size(), received); });
  }
  tree_sum({.own = own, .first = operands.first[static_cast<size_t>(rank())], .received = received, .additions = additions_, .sum = piece},
           stream_.get());
}

// Bytes, whatever the type: nothing is computed.
void NcclCommunicator::all_gather(const Tensor& piece, const Tensor& all, std::string_view what) {
  if (piece.device() == Device{}) return host_started_ = true, host_->all_gather(piece, all, what);
  host_->check_all_gather(piece, all, backend_.device(), what);
  start(CollectiveKind::kAllGather, piece.bytes(), 0, what,
        [&] { settle(ncclAllGather(piece.data(), all.data(), piece.bytes(), ncclUint8, comm_, stream_.get()), "ncclAllGather"); });
}

void NcclCommunicator::sum(const Tensor& numbers, std::string_view what) {
  if (numbers.device() == Device{}) return host_->sum(numbers, what);
  host_->check_sum(numbers, backend_.device(), what);
  start(CollectiveKind::kAllReduce, numbers.bytes(), -1, what, [&] {
    settle(ncclAllReduce(numbers.data(), numbers.data(), static_cast<size_t>(numbers.size()), ncclFloat64, ncclSum, comm_, stream_.get()),
           "ncclAllReduce");
  });
}

void NcclCommunicator::broadcast(const Tensor& t, int root, std::string_view what) {
  if (t.device() == Device{}) return host_->broadcast(t, root, what);
  host_->check_broadcast(t, root, backend_.device(), what);
  start(CollectiveKind::kBroadcast, t.bytes(), root, what,
        [&] { settle(ncclBroadcast(t.data(), t.data(), t.bytes(), ncclUint8, root, comm_, stream_.get()), "ncclBroadcast"); });
  wait();
}

// ---- Numbers and bytes of the host: a failure there ends the collectives of the device too

void NcclCommunicator::all_reduce(std::span<int64_t> numbers, ReduceOp op, std::string_view what) {
  guarded([&] { host_->all_reduce(numbers, op, what); });
}
void NcclCommunicator::all_reduce(std::span<double> numbers, ReduceOp op, std::string_view what) {
  guarded([&] { host_->all_reduce(numbers, op, what); });
}
void NcclCommunicator::barrier(std::string_view what) {
  guarded([&] { host_->barrier(what); });
}

std::vector<std::vector<std::byte>> NcclCommunicator::gather_bytes(std::span<const std::byte> mine, int root, std::string_view what) {
  std::vector<std::vector<std::byte>> gathered;
  guarded([&] { gathered = host_->gather_bytes(mine, root, what); });
  return gathered;
}

std::vector<std::vector<std::byte>> NcclCommunicator::all_gather_bytes(std::span<const std::byte> mine, std::string_view what) {
  std::vector<std::vector<std::byte>> gathered;
  guarded([&] { gathered = host_->all_gather_bytes(mine, what); });
  return gathered;
}

std::string NcclCommunicator::transport() const {
  return str_cat(
      "NCCL ", nccl_version(),
      nodes_.has_two_levels() ? str_cat(", exact sums first inside the ", nodes_.nodes, " nodes of ", nodes_.ranks, " ranks") : "");
}

void NcclCommunicator::set_slots(int64_t slots) {
  host_->set_slots(slots);
  if (nodes_.has_two_levels()) {
    node_reduction_.emplace(backend_, slots, nodes_);
    return;
  }
  const int operands = host_->operands().sum.operands();
  std::vector<uint8_t> additions = additions_after(operands, combine_order(slots, size()));
  additions_memory_ = backend_.allocate(additions.size());
  additions_ = additions_memory_.view(DType::kUInt8, {operands});
  backend_.upload(host_tensor(std::span(additions), {operands}), additions_);
}

}  // namespace cuda
}  // namespace mpibert
