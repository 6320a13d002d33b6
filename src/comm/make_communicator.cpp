#include <mpi.h>

#include <map>
#include <utility>

#include "comm/host_staged_communicator.h"
#include "comm/make.h"
#include "comm/mpi_communicator.h"
#include "mpibert/base/error.h"

namespace mpibert {
namespace {

// Two ranks on one card, which NCCL does not serve; empty if every rank has its own. A card is named by its host and its address there.
std::string shared_card(Backend& backend, MpiCommunicator& comm) {
  const std::string mine = str_cat(card_of(backend), " of the host of rank ", comm.host());
  std::map<std::string, int> owners;
  int rank = 0;
  std::string found;
  for (const auto& bytes : comm.all_gather_bytes(std::as_bytes(std::span(mine)), "cards")) {
    const std::string card(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const auto [owner, is_new] = owners.emplace(card, rank);
    if (!is_new && found.empty()) found = str_cat("ranks ", owner->second, " and ", rank, " share the card ", card);
    ++rank;
  }
  return found;
}

std::string why_not_nccl(Backend& backend, MpiCommunicator& comm) {
  if (nccl_version() == "not built in") return "this build has no NCCL";
  return shared_card(backend, comm);
}

}  // namespace

std::unique_ptr<Communicator> make_communicator(Backend& backend, std::chrono::milliseconds timeout, Transport transport) {
  int initialized = 0;
  MPI_Initialized(&initialized);
  MPIBERT_CHECK(initialized, kInvalidArgument, "MPI must be started before the communicator is made");
  auto host = std::make_unique<MpiCommunicator>(MPI_COMM_WORLD, MpiOptions{.timeout = timeout});
  if (backend.device().type == DeviceType::kCpu) {
    MPIBERT_CHECK(transport != Transport::kNccl, kDevice,
                  "NCCL (--comm nccl) joins CUDA devices, but this run computes on the CPU (--device cpu): leave --comm out");
    return host;
  }
  if (transport == Transport::kMpi) return std::make_unique<HostStagedCommunicator>(backend, std::move(host), "as asked for");
  if (transport == Transport::kAuto && host->size() == 1)
    return std::make_unique<HostStagedCommunicator>(backend, std::move(host), "there is one rank");
  const std::string obstacle = why_not_nccl(backend, *host);
  if (obstacle.empty()) return make_nccl_communicator(backend, std::move(host), timeout);
  MPIBERT_CHECK(transport != Transport::kNccl, kDevice, "NCCL (--comm nccl) cannot serve: ", obstacle,
                "; give every rank a card of its own, or leave --comm out");
  return std::make_unique<HostStagedCommunicator>(backend, std::move(host), obstacle);
}

}  // namespace mpibert
