#include "comm/mpi_communicator.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <thread>
#include <utility>

#include "comm/mpi_check.h"
#include "comm/mpi_exchange.h"

namespace mpibert {
namespace {

using Clock = std::chrono::steady_clock;

void check_device(const Tensor& tensor, Device device, std::string_view what) {
  MPIBERT_CHECK(tensor.device() == device, kInvalidArgument, "collective '", what, "': ",
                device.type == DeviceType::kCpu ? std::string("MPI takes tensors of the host only")
                                                : str_cat("expected tensors of cuda:", device.index, " only"));
}

int64_t reduced(int64_t a, int64_t b, ReduceOp op) {
  if (op == ReduceOp::kSum) return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  return op == ReduceOp::kMax ? std::max(a, b) : std::min(a, b);
}

// A NaN of any rank wins: it must not be hidden by the order of ranks.
double reduced(double a, double b, ReduceOp op) {
  if (op == ReduceOp::kSum || std::isnan(a) || std::isnan(b)) return a + b;
  return op == ReduceOp::kMax ? std::max(a, b) : std::min(a, b);
}

}  // namespace

MpiCommunicator::MpiCommunicator(MPI_Comm parent, const MpiOptions& options) : options_(options) {
  MPIBERT_CHECK(options_.timeout.count() > 0, kInvalidArgument, "the timeout of collectives must be positive, not ",
                options_.timeout.count(), " ms");
  MPIBERT_ASSERT(options_.max_message_bytes >= sizeof(Announcement) && options_.max_message_bytes <= size_t{1} << 30);
  group_.max_message_bytes = options_.max_message_bytes;
  duplicate(parent);
  try {
    barrier("start of the communicator");  // the next call cannot time out, so all must be here
  } catch (...) {
    keep_unfinished();
    throw;
  }
  find_local_ranks();
}

void MpiCommunicator::duplicate(MPI_Comm parent) {
  MPIBERT_MPI_CHECK(MPI_Comm_rank(parent, &group_.rank));
  MPIBERT_MPI_CHECK(MPI_Comm_size(parent, &group_.size));
  MPI_Request request = MPI_REQUEST_NULL;
  auto comm = std::make_unique<MPI_Comm>(MPI_COMM_NULL);
  MPIBERT_MPI_CHECK(MPI_Comm_idup(parent, comm.get(), &request));
  const auto deadline = Clock::now() + options_.timeout;
  for (int done = 0; !done;) {
    MPIBERT_MPI_CHECK(MPI_Test(&request, &done, MPI_STATUS_IGNORE));
    if (!done && Clock::now() > deadline) {
      static_cast<void>(comm.release());  // the library may still write to it
      throw Error(ErrorKind::kCommunication, str_cat("the communicator was not made within ", options_.timeout.count(), " ms on rank ",
                                                     group_.rank, " of ", group_.size, ": at least one rank did not come"));
    }
    if (!done) std::this_thread::yield();
  }
  group_.comm = *comm;
  MPIBERT_MPI_CHECK(MPI_Comm_set_errhandler(group_.comm, MPI_ERRORS_RETURN));
}

// From MPI itself: variables of launchers are wrong under mpirun inside a batch job.
void MpiCommunicator::find_local_ranks() {
  MPI_Comm host = MPI_COMM_NULL;
  MPIBERT_MPI_CHECK(MPI_Comm_split_type(group_.comm, MPI_COMM_TYPE_SHARED, group_.rank, MPI_INFO_NULL, &host));
  MPIBERT_MPI_CHECK(MPI_Comm_rank(host, &local_rank_));
  MPIBERT_MPI_CHECK(MPI_Comm_size(host, &local_size_));
  MPIBERT_MPI_CHECK(MPI_Allreduce(&group_.rank, &host_, 1, MPI_INT, MPI_MIN, host));
  MPIBERT_MPI_CHECK(MPI_Comm_free(&host));
}

MpiCommunicator::~MpiCommunicator() {
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (finalized || group_.comm == MPI_COMM_NULL) return;
  if (failure_.empty() && started_.empty()) {
    MPI_Comm_free(&group_.comm);
  } else {
    keep_unfinished();
  }
}

// The library may still use what unfinished collectives own: it stays until the process ends, which it is about to.
void MpiCommunicator::keep_unfinished() {
  static auto* kept = new std::vector<std::unique_ptr<MpiCollective>>;
  if (waited_) started_.push_back(std::move(waited_));
  for (std::unique_ptr<MpiCollective>& collective : started_) {
    collective->abandon();
    kept->push_back(std::move(collective));
  }
  started_.clear();
}

Announcement MpiCommunicator::announcement(CollectiveKind kind, size_t bytes, int64_t detail, std::string_view what) {
  Announcement mine{.number = ++number_, .bytes = static_cast<int64_t>(bytes), .detail = detail, .kind = kind};
  mine.set_what(what);
  return mine;
}

void MpiCommunicator::guarded(const std::function<void()>& work) {
  MPIBERT_CHECK(failure_.empty(), kCommunication, "the communicator is not usable after an earlier failure: ", failure_);
  try {
    work();
  } catch (const std::exception& error) {
    failure_ = error.what();
    throw;
  }
}

size_t MpiCommunicator::advance_all() {
  size_t ended = waited_ ? waited_->advance() : 0;
  int running = 0;
  for (const std::unique_ptr<MpiCollective>& collective : started_) {
    if (!collective->started() && running < options_.max_reductions) collective->start();
    ended += collective->advance();
    running += collective->started() && !collective->done();
  }
  std::erase_if(started_, [](const auto& collective) { return collective->done(); });
  return ended;
}

void MpiCommunicator::poll_until(const std::function<bool()>& done, const std::function<const MpiCollective&()>& awaited) {
  auto last_sign = Clock::now();
  while (!done()) {
    if (advance_all() > 0) {
      last_sign = Clock::now();
      continue;
    }
    if (done()) return;
    if (Clock::now() - last_sign > options_.timeout) {
      const std::vector<int> missing = awaited().missing();
      throw Error(
          ErrorKind::kCommunication,
          str_cat(awaited().text(), " did not finish within ", options_.timeout.count(), " ms on rank ", group_.rank, " of ", group_.size,
                  ": ", missing.empty() ? "the MPI library does not say who is missing" : "nothing came from " + list_of(missing),
                  "; look at the log and the host of the missing rank"));
    }
    std::this_thread::yield();
  }
}

void MpiCommunicator::begin(std::unique_ptr<MpiCollective> collective) {
  started_.push_back(std::move(collective));
  advance_all();
}

std::unique_ptr<MpiCollective> MpiCommunicator::run(std::unique_ptr<MpiCollective> collective) {
  waited_ = std::move(collective);
  waited_->start();
  poll_until([this] { return waited_->done(); }, [this]() -> const MpiCollective& { return *waited_; });
  return std::move(waited_);
}

void MpiCommunicator::progress() {
  if (!started_.empty() || !failure_.empty()) guarded([this] { advance_all(); });
}

void MpiCommunicator::wait() {
  guarded([this] { poll_until([this] { return started_.empty(); }, [this]() -> const MpiCollective& { return *started_.front(); }); });
}

void MpiCommunicator::set_slots(int64_t slots) {
  MPIBERT_CHECK(slots >= size(), kInvalidArgument, slots, " slots are too few for ", size(), " ranks: every rank computes at least one");
  MPIBERT_CHECK(started_.empty(), kInvalidArgument, "slots cannot change while collectives are under way");
  slots_ = slots;
  operands_ = std::make_shared<const SlotOperands>(slots, size());
}

size_t MpiCommunicator::subtrees_of_this_rank() const {
  const auto r = static_cast<size_t>(rank());
  return static_cast<size_t>(operands_->first[r + 1] - operands_->first[r]);
}

void MpiCommunicator::check_reduce_scatter(std::span<const Tensor> subtrees, const Tensor& piece, Reduction reduction, Device device,
                                           std::string_view what) const {
  const bool exact = reduction == Reduction::kExact;
  MPIBERT_CHECK(!exact || operands_, kInvalidArgument, "collective '", what,
                "': the number of slots must be set before an exact reduction");
  const size_t expected = exact ? subtrees_of_this_rank() : 1;
  MPIBERT_CHECK(subtrees.size() == expected, kInvalidArgument, "collective '", what, "': ", subtrees.size(), " subtrees given, ", expected,
                " expected of rank ", rank(), " of ", size());
  check_device(piece, device, what);
  MPIBERT_CHECK(piece.dtype() == DType::kFloat32, kInvalidArgument, "collective '", what, "': sums are fp32, not ", name_of(piece.dtype()));
  for (const Tensor& subtree : subtrees) {
    check_device(subtree, device, what);
    MPIBERT_CHECK(subtree.dtype() == DType::kFloat32 && subtree.size() == piece.size() * size(), kInvalidArgument, "collective '", what,
                  "': a piece of ", piece.size(), " fp32 needs subtrees of ", piece.size() * size(), ", not ", subtree.size(), " ",
                  name_of(subtree.dtype()));
  }
}

void MpiCommunicator::reduce_scatter(std::span<const Tensor> subtrees, const Tensor& piece, Reduction reduction, std::string_view what) {
  check_reduce_scatter(subtrees, piece, reduction, Device{}, what);
  guarded([&] {
    const bool exact = reduction == Reduction::kExact;
    const Announcement mine =
        announcement(CollectiveKind::kReduceScatter, piece.bytes() * static_cast<size_t>(size()), exact ? slots_ : -1, what);
    if (exact) {
      begin(std::make_unique<ExactReduceScatter>(group_, mine, *operands_, pool_, options_.segment_bytes, subtrees, piece));
    } else {
      auto collective = std::make_unique<FastReduceScatter>(group_, mine, subtrees.front(), piece);
      collective->start();  // never later: the library matches its collectives by their order
      begin(std::move(collective));
    }
  });
}

void MpiCommunicator::check_all_gather(const Tensor& piece, const Tensor& all, Device device, std::string_view what) const {
  check_device(piece, device, what);
  check_device(all, device, what);
  MPIBERT_CHECK(piece.dtype() == all.dtype() && piece.size() * size() == all.size(), kInvalidArgument, "collective '", what, "': ", size(),
                " pieces of ", piece.size(), " ", name_of(piece.dtype()), " do not make ", all.size(), " ", name_of(all.dtype()));
}

void MpiCommunicator::all_gather(const Tensor& piece, const Tensor& all, std::string_view what) {
  check_all_gather(piece, all, Device{}, what);
  guarded([&] {
    auto collective = std::make_unique<AllGather>(group_, announcement(CollectiveKind::kAllGather, piece.bytes(), 0, what), piece, all);
    collective->start();
    begin(std::move(collective));
  });
}

Announcement MpiCommunicator::announce(CollectiveKind kind, size_t bytes, int64_t detail, std::string_view what) {
  const Announcement mine = announcement(kind, bytes, detail, what);
  guarded([&] {
    auto collective = std::make_unique<AnnouncedCollective>(group_, mine);
    collective->start();
    begin(std::move(collective));
  });
  return mine;
}

std::vector<int> MpiCommunicator::missing() const { return started_.empty() ? std::vector<int>{} : started_.front()->missing(); }

std::vector<std::vector<std::byte>> MpiCommunicator::exchange(const Announcement& mine, std::span<const std::byte> payload, int root) {
  auto collective = std::make_unique<MpiExchange>(group_, mine, payload, root);
  MpiExchange& exchange = *collective;
  const std::unique_ptr<MpiCollective> done = run(std::move(collective));
  return std::move(exchange.contributions());
}

template <class Number>
void MpiCommunicator::reduce_numbers(std::span<Number> numbers, ReduceOp op, std::string_view what) {
  guarded([&] {
    const auto mine = announcement(CollectiveKind::kAllReduce, numbers.size_bytes(), static_cast<int64_t>(op), what);
    const auto contributions = exchange(mine, std::as_bytes(numbers), MpiExchange::kAll);
    for (size_t i = 0; i < numbers.size(); ++i) {
      for (size_t r = 0; r < contributions.size(); ++r) {
        Number number{};
        std::memcpy(&number, contributions[r].data() + i * sizeof(Number), sizeof(Number));
        numbers[i] = r == 0 ? number : reduced(numbers[i], number, op);
      }
    }
  });
}

void MpiCommunicator::all_reduce(std::span<int64_t> numbers, ReduceOp op, std::string_view what) { reduce_numbers(numbers, op, what); }
void MpiCommunicator::all_reduce(std::span<double> numbers, ReduceOp op, std::string_view what) { reduce_numbers(numbers, op, what); }

void MpiCommunicator::check_sum(const Tensor& numbers, Device device, std::string_view what) const {
  check_device(numbers, device, what);
  MPIBERT_CHECK(numbers.dtype() == DType::kFloat64, kInvalidArgument, "collective '", what, "': expected fp64 numbers to add, found ",
                name_of(numbers.dtype()));
}

void MpiCommunicator::sum(const Tensor& numbers, std::string_view what) {
  check_sum(numbers, Device{}, what);
  all_reduce(numbers.span<double>(), ReduceOp::kSum, what);
}

void MpiCommunicator::check_root(int root, std::string_view what) const {
  MPIBERT_CHECK(root >= 0 && root < size(), kInvalidArgument, "collective '", what, "': root ", root, " is not one of ", size(), " ranks");
}

void MpiCommunicator::check_broadcast(const Tensor& t, int root, Device device, std::string_view what) const {
  check_root(root, what);
  check_device(t, device, what);
}

void MpiCommunicator::broadcast(const Tensor& t, int root, std::string_view what) {
  check_broadcast(t, root, Device{}, what);
  guarded([&] { run(std::make_unique<Broadcast>(group_, announcement(CollectiveKind::kBroadcast, t.bytes(), root, what), t, root)); });
}

void MpiCommunicator::barrier(std::string_view what) {
  guarded([&] { exchange(announcement(CollectiveKind::kBarrier, 0, 0, what), {}, MpiExchange::kAll); });
}

std::vector<std::vector<std::byte>> MpiCommunicator::gather_bytes(std::span<const std::byte> mine, int root, std::string_view what) {
  check_root(root, what);
  std::vector<std::vector<std::byte>> gathered;
  guarded([&] { gathered = exchange(announcement(CollectiveKind::kGatherBytes, mine.size(), root, what), mine, root); });
  return gathered;
}

std::vector<std::vector<std::byte>> MpiCommunicator::all_gather_bytes(std::span<const std::byte> mine, std::string_view what) {
  std::vector<std::vector<std::byte>> gathered;
  guarded([&] { gathered = exchange(announcement(CollectiveKind::kAllGatherBytes, mine.size(), 0, what), mine, MpiExchange::kAll); });
  return gathered;
}

int local_rank_of_this_process() {
  MPI_Comm host = MPI_COMM_NULL;
  int rank = 0;
  MPIBERT_MPI_CHECK(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host));
  MPIBERT_MPI_CHECK(MPI_Comm_rank(host, &rank));
  MPIBERT_MPI_CHECK(MPI_Comm_free(&host));
  return rank;
}

}  // namespace mpibert
