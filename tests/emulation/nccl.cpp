// NCCL as src/comm/cuda uses it, over MPI. A group becomes one piece of work of its stream, which sends and receives when its turn comes.
// As NCCL's non-blocking communicators do, a call returns before its work is on the stream: it is there when ncclCommGetAsyncError has said
// so. Where NCCL would hang or read too much because ranks disagree, the communicator fails.

#include "nccl.h"

#include <mpi.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/emulation/memory.h"
#include "tests/emulation/nccl_faults.h"
#include "tests/emulation/streams.h"

namespace {

using emulation::NcclFault;
using emulation::NcclFaultKind;

constexpr int kPollsInProgress = 3;                                    // how often a communicator is busy with a call
constexpr int kTags = 3, kHelloTag = 0, kHeaderTag = 1, kDataTag = 2;  // of each communicator

enum class Kind : int32_t { kPointToPoint, kReduceScatter, kAllReduce, kAllGather, kBroadcast };

// Goes ahead of the bytes of a message.
struct Header {
  Kind kind{};
  int64_t bytes = 0;
};

struct Message {
  int peer;
  std::byte* data;  // only read if it is sent
  Header header;
  Header theirs{};  // of one received
  MPI_Request header_request = MPI_REQUEST_NULL, data_request = MPI_REQUEST_NULL;
  bool has_header = false;
};

// What one group does on one stream.
struct Operation {
  cudaStream_t stream = nullptr;
  std::vector<Message> sent{}, received{};
  std::function<void()> finish = [] {};  // when all has arrived
  bool is_started = false, is_over = false, never_ends = false;
};

std::string text_of(const Header& header) {
  static const std::map<Kind, const char*> names = {{Kind::kPointToPoint, "a send"},
                                                    {Kind::kReduceScatter, "ncclReduceScatter"},
                                                    {Kind::kAllReduce, "ncclAllReduce"},
                                                    {Kind::kAllGather, "ncclAllGather"},
                                                    {Kind::kBroadcast, "ncclBroadcast"}};
  return std::to_string(header.bytes) + " bytes of " + names.at(header.kind);
}

bool has_ended(MPI_Request& request) {
  int done = 0;
  MPI_Test(&request, &done, MPI_STATUS_IGNORE);
  return done != 0;
}

}  // namespace

struct ncclComm {
  enum class Stage { kStarting, kReady, kFinalizing, kFinalized } stage = Stage::kStarting;
  int rank = 0, ranks = 0;
  int first_tag = 0;  // messages go over MPI_COMM_WORLD, which nobody else uses; one aborted leaves nothing that MPI must free
  std::vector<MPI_Request> hellos{};
  int busy_polls = kPollsInProgress;
  bool stays_busy = false, fails_later = false;
  ncclResult_t failure = ncclSuccess;
  std::string words;
  std::vector<std::shared_ptr<Operation>> issued, running;  // not on their stream yet; there

  void fail(ncclResult_t result, const std::string& text) {
    if (failure != ncclSuccess) return;
    failure = result;
    words = text;
  }
  void say_hello();
  bool advance(Operation& operation);
  void start(Operation& operation);
  ncclResult_t state();
};

namespace {

struct Library {
  std::set<ncclComm_t> live{};
  int depth = 0;  // of groups
  ncclComm_t group_comm = nullptr;
  std::shared_ptr<Operation> group{};
  ncclResult_t group_error = ncclSuccess;
  bool group_fails_later = false, group_never_ends = false;
  std::string words{};  // of errors that belong to no communicator
  NcclFault fault{};
  std::map<std::string, int> calls{};
};

NcclFault fault_of_environment() {
  const char* text = std::getenv("EMULATED_NCCL_FAULT");
  if (!text) return {};
  std::istringstream in(text);
  int rank = -1, mine = 0;
  NcclFault fault;
  std::string kind;
  in >> rank >> fault.function >> fault.call >> kind;
  MPI_Comm_rank(MPI_COMM_WORLD, &mine);
  if (rank != mine) return {};
  fault.kind = kind == "fails" ? NcclFaultKind::kFails : kind == "later" ? NcclFaultKind::kFailsLater : NcclFaultKind::kNeverEnds;
  return fault;
}

Library& library() {
  static Library it{.fault = fault_of_environment()};
  return it;
}

// Counts the call and says what is wrong with it.
NcclFaultKind fault_of(const char* function) {
  Library& l = library();
  if (++l.calls[function] != l.fault.call || l.fault.function != function) return NcclFaultKind::kNone;
  std::fprintf(stderr, "emulated NCCL: the fault at %s\n", function);
  if (l.fault.kind == NcclFaultKind::kFails) l.words = std::string("a fault at ") + function;
  return l.fault.kind;
}

ncclResult_t refused(ncclResult_t result, const std::string& text) {
  library().words = text;
  return result;
}

bool is_live(ncclComm_t comm) { return library().live.contains(comm); }

ncclResult_t checked(ncclComm_t comm) {
  if (!is_live(comm)) return refused(ncclInvalidArgument, "no such communicator: it was destroyed or aborted");
  if (comm->failure != ncclSuccess) return comm->failure;
  if (comm->stage == ncclComm::Stage::kStarting || comm->busy_polls > 0)
    return refused(ncclInvalidUsage, "a call before the last one was done: ncclCommGetAsyncError still says ncclInProgress");
  if (comm->stage != ncclComm::Stage::kReady) return refused(ncclInvalidUsage, "a call after ncclCommFinalize");
  return ncclSuccess;
}

void take_back(Operation& operation) {
  operation.is_over = true;
  for (std::vector<Message>* messages : {&operation.sent, &operation.received}) {
    for (Message& message : *messages) {
      for (MPI_Request* request : {&message.header_request, &message.data_request}) {
        if (*request == MPI_REQUEST_NULL) continue;
        if (messages == &operation.received) MPI_Cancel(request);
        MPI_Request_free(request);
      }
    }
  }
}

size_t bytes_of(ncclDataType_t type) { return type == ncclFloat32 ? 4 : 1; }

// What the outermost ncclGroupEnd does.
ncclResult_t end_group(NcclFaultKind fault) {
  Library& l = library();
  const std::shared_ptr<Operation> operation = std::exchange(l.group, nullptr);
  ncclComm* comm = std::exchange(l.group_comm, nullptr);
  const bool fails_later = std::exchange(l.group_fails_later, false) || fault == NcclFaultKind::kFailsLater;
  const bool never_ends = std::exchange(l.group_never_ends, false);
  if (const ncclResult_t error = std::exchange(l.group_error, ncclSuccess); error != ncclSuccess) return error;
  if (fault == NcclFaultKind::kFails) return ncclSystemError;
  if (!operation) return ncclSuccess;
  operation->never_ends = never_ends;
  comm->fails_later |= fails_later;
  comm->stays_busy |= fault == NcclFaultKind::kNeverEnds;
  comm->busy_polls = kPollsInProgress;
  comm->issued.push_back(operation);
  return ncclInProgress;
}

// One call of a collective or of a send or receive: adds to the open group, or is one by itself.
ncclResult_t issue(const char* function, ncclComm_t comm, cudaStream_t stream, const std::vector<std::pair<const void*, size_t>>& memory,
                   const std::function<void(Operation&)>& add) {
  Library& l = library();
  const NcclFaultKind fault = fault_of(function);
  if (fault == NcclFaultKind::kFails) {
    if (l.depth > 0) l.group_error = ncclSystemError;
    return ncclSystemError;
  }
  if (const ncclResult_t result = checked(comm); result != ncclSuccess) return result;
  for (const auto& [data, bytes] : memory)
    if (bytes > 0 && !(emulation::in_arena(data) && emulation::is_allocated(data, bytes)))
      return refused(ncclInvalidArgument, std::string(function) + ": not memory of the device");
  if (l.group_comm && (l.group_comm != comm || l.group->stream != stream))
    return l.group_error = refused(ncclInvalidUsage, "a group on two communicators or streams");
  if (!l.group) l.group = std::make_shared<Operation>(Operation{.stream = stream});
  l.group_comm = comm;
  l.group_fails_later |= fault == NcclFaultKind::kFailsLater;
  l.group_never_ends |= fault == NcclFaultKind::kNeverEnds;
  add(*l.group);
  return l.depth == 0 ? end_group(NcclFaultKind::kNone) : ncclSuccess;
}

std::byte* mutable_bytes(const void* data) { return static_cast<std::byte*>(const_cast<void*>(data)); }

}  // namespace

// It is ready when every other rank has come.
void ncclComm::say_hello() {
  for (int peer = 0; peer < ranks; ++peer) {
    if (peer == rank) continue;
    MPI_Irecv(nullptr, 0, MPI_BYTE, peer, first_tag + kHelloTag, MPI_COMM_WORLD, &hellos.emplace_back());
    MPI_Isend(nullptr, 0, MPI_BYTE, peer, first_tag + kHelloTag, MPI_COMM_WORLD, &hellos.emplace_back());
  }
}

// A send ends when its receiver has begun to take it, as NCCL's may: ranks that all send first and receive afterwards wait for ever.
void ncclComm::start(Operation& operation) {
  operation.is_started = true;
  for (Message& message : operation.received)
    MPI_Irecv(&message.theirs, sizeof(Header), MPI_BYTE, message.peer, first_tag + kHeaderTag, MPI_COMM_WORLD, &message.header_request);
  for (Message& message : operation.sent) {
    MPI_Isend(&message.header, sizeof(Header), MPI_BYTE, message.peer, first_tag + kHeaderTag, MPI_COMM_WORLD, &message.header_request);
    MPI_Issend(message.data, static_cast<int>(message.header.bytes), MPI_BYTE, message.peer, first_tag + kDataTag, MPI_COMM_WORLD,
               &message.data_request);
  }
}

// Whether the work has ended. After a failure it does not, until it is aborted.
bool ncclComm::advance(Operation& operation) {
  if (operation.is_over) return true;
  if (operation.never_ends || failure != ncclSuccess) return false;
  if (!operation.is_started) start(operation);
  bool done = true;
  std::set<int> waiting;  // peers of which an earlier message has no header yet: theirs come in order
  for (Message& message : operation.received) {
    if (!message.has_header && !waiting.contains(message.peer) && has_ended(message.header_request)) {
      message.has_header = true;
      if (message.theirs.kind != message.header.kind || message.theirs.bytes != message.header.bytes) {
        fail(ncclInvalidUsage, "rank " + std::to_string(rank) + " expects " + text_of(message.header) + " of rank " +
                                   std::to_string(message.peer) + ", which sends " + text_of(message.theirs));
        return false;
      }
      MPI_Irecv(message.data, static_cast<int>(message.header.bytes), MPI_BYTE, message.peer, first_tag + kDataTag, MPI_COMM_WORLD,
                &message.data_request);
    }
    if (!message.has_header) waiting.insert(message.peer);
    done &= message.has_header && has_ended(message.data_request);
  }
  for (Message& message : operation.sent) done &= has_ended(message.header_request) & has_ended(message.data_request);
  if (!done) return false;
  operation.is_over = true;
  operation.finish();
  return true;
}

ncclResult_t ncclComm::state() {
  for (const std::shared_ptr<Operation>& operation : running) cudaStreamQuery(operation->stream);
  std::erase_if(running, [](const auto& operation) { return operation->is_over; });
  if (failure != ncclSuccess) return failure;
  if (stays_busy) return ncclInProgress;
  for (MPI_Request& hello : hellos)
    if (!has_ended(hello)) return ncclInProgress;
  if (stage == Stage::kFinalizing && !running.empty()) return ncclInProgress;
  if (busy_polls > 0 && --busy_polls > 0) return ncclInProgress;
  if (stage == Stage::kStarting) stage = Stage::kReady;
  if (stage == Stage::kFinalizing) stage = Stage::kFinalized;
  for (std::shared_ptr<Operation>& operation : issued) {
    running.push_back(operation);
    const cudaError_t error =
        emulation::enqueue(operation->stream, [this, operation] { return operation->is_over || advance(*operation); });
    if (error != cudaSuccess) fail(ncclUnhandledCudaError, cudaGetErrorString(error));
  }
  issued.clear();
  if (fails_later) fail(ncclRemoteError, "a fault that showed later");
  return failure;
}

void emulation::set_nccl_fault(const NcclFault& fault) {
  library().fault = fault;
  library().calls.clear();
}

int emulation::live_nccl_communicators() { return static_cast<int>(library().live.size()); }

ncclResult_t ncclGetVersion(int* version) {
  *version = 22809;
  return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  static int number = 0;
  if (fault_of("ncclGetUniqueId") != NcclFaultKind::kNone) return ncclSystemError;
  std::snprintf(id->internal, sizeof id->internal, "emulated %d", ++number);
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank, ncclConfig_t* config) {
  const NcclFaultKind fault = fault_of("ncclCommInitRankConfig");
  int world_rank = -1, world_size = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &world_rank);
  MPI_Comm_size(MPI_COMM_WORLD, &world_size);
  if (ranks != world_size || rank != world_rank)
    return refused(ncclInvalidArgument, "the double serves all ranks of MPI_COMM_WORLD, in their order");
  int number = 0;
  if (std::sscanf(id.internal, "emulated %d", &number) != 1) return refused(ncclInvalidArgument, "not an id of ncclGetUniqueId");
  if (config->size != sizeof *config || config->blocking != 0)
    return refused(ncclInvalidUsage, "the double has non-blocking communicators only");
  if (fault == NcclFaultKind::kFails) return ncclSystemError;
  *comm = new ncclComm;
  (*comm)->rank = rank;
  (*comm)->ranks = ranks;
  (*comm)->first_tag = kTags * number;
  (*comm)->stays_busy = fault == NcclFaultKind::kNeverEnds;
  (*comm)->fails_later = fault == NcclFaultKind::kFailsLater;
  (*comm)->say_hello();
  library().live.insert(*comm);
  return ncclInProgress;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* state) {
  if (!is_live(comm)) return refused(ncclInvalidArgument, "no such communicator: it was destroyed or aborted");
  switch (fault_of("ncclCommGetAsyncError")) {
    case NcclFaultKind::kFails:
      return ncclSystemError;
    case NcclFaultKind::kFailsLater:
      comm->fails_later = true;
      break;
    case NcclFaultKind::kNeverEnds:
      comm->stays_busy = true;
      break;
    case NcclFaultKind::kNone:
      break;
  }
  *state = comm->state();
  return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  const NcclFaultKind fault = fault_of("ncclCommFinalize");
  if (fault == NcclFaultKind::kFails) return ncclSystemError;
  if (const ncclResult_t result = checked(comm); result != ncclSuccess) return result;
  comm->stage = ncclComm::Stage::kFinalizing;
  comm->busy_polls = kPollsInProgress;
  comm->stays_busy = fault == NcclFaultKind::kNeverEnds;
  comm->fails_later = fault == NcclFaultKind::kFailsLater;
  return ncclInProgress;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  if (fault_of("ncclCommDestroy") != NcclFaultKind::kNone) return ncclSystemError;
  if (!is_live(comm)) return refused(ncclInvalidArgument, "no such communicator: it was destroyed or aborted");
  if (comm->stage != ncclComm::Stage::kFinalized) return refused(ncclInvalidUsage, "ncclCommDestroy before ncclCommFinalize has ended");
  library().live.erase(comm);
  delete comm;
  return ncclSuccess;
}

// The communicator and its operations stay: MPI may still use their memory.
ncclResult_t ncclCommAbort(ncclComm_t comm) {
  static auto& kept = *new std::vector<std::shared_ptr<Operation>>;
  const NcclFaultKind fault = fault_of("ncclCommAbort");
  if (!is_live(comm)) return refused(ncclInvalidArgument, "no such communicator: it was destroyed or aborted");
  for (const std::shared_ptr<Operation>& operation : comm->running)
    if (!operation->is_over) take_back(*kept.emplace_back(operation));
  comm->issued.clear();
  for (MPI_Request& hello : comm->hellos)
    if (hello != MPI_REQUEST_NULL) MPI_Request_free(&hello);
  library().live.erase(comm);
  return fault == NcclFaultKind::kNone ? ncclSuccess : ncclSystemError;
}

const char* ncclGetErrorString(ncclResult_t result) {
  switch (result) {
    case ncclSuccess:
      return "no error";
    case ncclUnhandledCudaError:
      return "unhandled cuda error";
    case ncclSystemError:
      return "unhandled system error";
    case ncclInternalError:
      return "internal error";
    case ncclInvalidArgument:
      return "invalid argument";
    case ncclInvalidUsage:
      return "invalid usage";
    case ncclRemoteError:
      return "remote process exited or there was a network error";
    case ncclInProgress:
      return "NCCL operation in progress";
  }
  return "unknown result code";
}

const char* ncclGetLastError(ncclComm_t comm) {
  return is_live(comm) && !comm->words.empty() ? comm->words.c_str() : library().words.c_str();
}

ncclResult_t ncclGroupStart() {
  if (fault_of("ncclGroupStart") != NcclFaultKind::kNone) return ncclSystemError;
  ++library().depth;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  if (library().depth == 0) return refused(ncclInvalidUsage, "ncclGroupEnd without ncclGroupStart");
  return --library().depth > 0 ? ncclSuccess : end_group(fault_of("ncclGroupEnd"));
}

ncclResult_t ncclSend(const void* data, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream) {
  const size_t bytes = count * bytes_of(type);
  return issue("ncclSend", comm, stream, {{data, bytes}}, [&](Operation& o) {
    o.sent.push_back({.peer = peer, .data = mutable_bytes(data), .header = {Kind::kPointToPoint, static_cast<int64_t>(bytes)}});
  });
}

ncclResult_t ncclRecv(void* data, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream) {
  const size_t bytes = count * bytes_of(type);
  return issue("ncclRecv", comm, stream, {{data, bytes}}, [&](Operation& o) {
    o.received.push_back({.peer = peer, .data = mutable_bytes(data), .header = {Kind::kPointToPoint, static_cast<int64_t>(bytes)}});
  });
}

namespace {

// sum = the parts of all ranks, added around the ring from the neighbour of `first` to it: neither the order of ranks nor a tree. This rank
// gives each peer the n numbers at out + peer * stride.
template <class T>
void add_parts(Operation& o, Kind kind, const ncclComm& comm, const T* out, size_t stride, size_t n, T* sum, int first) {
  const Header header{kind, static_cast<int64_t>(n * sizeof(T))};
  const auto ranks = static_cast<size_t>(comm.ranks), rank = static_cast<size_t>(comm.rank);
  const auto parts = std::make_shared<std::vector<std::vector<T>>>(ranks, std::vector<T>(n));
  for (int distance = 1; distance < comm.ranks; ++distance) {
    const int peer = (comm.rank + distance) % comm.ranks;
    o.sent.push_back({.peer = peer, .data = mutable_bytes(out + static_cast<size_t>(peer) * stride), .header = header});
    o.received.push_back(
        {.peer = peer, .data = reinterpret_cast<std::byte*>((*parts)[static_cast<size_t>(peer)].data()), .header = header});
  }
  o.finish = [=] {
    const T* mine = out + rank * stride;
    (*parts)[rank].assign(mine, mine + n);
    std::vector<T> total(n);
    for (size_t distance = 1; distance <= ranks; ++distance)
      for (size_t i = 0; i < n; ++i) total[i] += (*parts)[(static_cast<size_t>(first) + distance) % ranks][i];
    std::copy(total.begin(), total.end(), sum);
  };
}

}  // namespace

ncclResult_t ncclReduceScatter(const void* all, void* piece, size_t n, ncclDataType_t type, ncclRedOp_t, ncclComm_t comm,
                               cudaStream_t stream) {
  if (type != ncclFloat32) return refused(ncclInvalidArgument, "the double adds fp32 only");
  const size_t bytes = n * sizeof(float), ranks = is_live(comm) ? static_cast<size_t>(comm->ranks) : 0;
  return issue("ncclReduceScatter", comm, stream, {{all, ranks * bytes}, {piece, bytes}}, [&](Operation& o) {
    add_parts(o, Kind::kReduceScatter, *comm, static_cast<const float*>(all), n, n, static_cast<float*>(piece), comm->rank);
  });
}

ncclResult_t ncclAllReduce(const void* from, void* to, size_t n, ncclDataType_t type, ncclRedOp_t, ncclComm_t comm, cudaStream_t stream) {
  if (type != ncclFloat64) return refused(ncclInvalidArgument, "the double adds fp64 only for all ranks");
  return issue("ncclAllReduce", comm, stream, {{from, n * sizeof(double)}, {to, n * sizeof(double)}}, [&](Operation& o) {
    add_parts(o, Kind::kAllReduce, *comm, static_cast<const double*>(from), 0, n, static_cast<double*>(to), 0);
  });
}

ncclResult_t ncclAllGather(const void* piece, void* all, size_t count, ncclDataType_t type, ncclComm_t comm, cudaStream_t stream) {
  const size_t bytes = count * bytes_of(type), ranks = is_live(comm) ? static_cast<size_t>(comm->ranks) : 0;
  return issue("ncclAllGather", comm, stream, {{piece, bytes}, {all, ranks * bytes}}, [&](Operation& o) {
    const Header header{Kind::kAllGather, static_cast<int64_t>(bytes)};
    for (int distance = 1; distance < comm->ranks; ++distance) {
      const int peer = (comm->rank + distance) % comm->ranks;
      o.sent.push_back({.peer = peer, .data = mutable_bytes(piece), .header = header});
      o.received.push_back({.peer = peer, .data = mutable_bytes(all) + static_cast<size_t>(peer) * bytes, .header = header});
    }
    o.finish = [=, own = mutable_bytes(all) + static_cast<size_t>(comm->rank) * bytes] { std::memmove(own, piece, bytes); };
  });
}

ncclResult_t ncclBroadcast(const void* from, void* to, size_t count, ncclDataType_t type, int root, ncclComm_t comm, cudaStream_t stream) {
  const size_t bytes = count * bytes_of(type);
  return issue("ncclBroadcast", comm, stream, {{to, bytes}}, [&](Operation& o) {
    const Header header{Kind::kBroadcast, static_cast<int64_t>(bytes)};
    if (comm->rank != root) {
      o.received.push_back({.peer = root, .data = mutable_bytes(to), .header = header});
      return;
    }
    for (int peer = 0; peer < comm->ranks; ++peer)
      if (peer != root) o.sent.push_back({.peer = peer, .data = mutable_bytes(from), .header = header});
    o.finish = [=] { std::memmove(to, from, bytes); };
  });
}
