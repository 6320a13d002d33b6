#include "comm/mpi_requests.h"

#include <algorithm>

#include "comm/mpi_check.h"

namespace mpibert {

std::string list_of(const std::vector<int>& ranks) {
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  for (size_t i = 0; i < ranks.size(); ++i) text += (i ? ", " : "") + std::to_string(ranks[i]);
  return text;
}

void MpiRequests::push(MPI_Request request, int peer, int id) {
  requests_.push_back(request);
  entries_.push_back({peer, id});
}

void MpiRequests::send(std::span<const std::byte> data, int peer, int tag) {
  for (size_t at = 0; at < data.size(); at += max_message_bytes_) {
    const auto count = static_cast<int>(std::min(max_message_bytes_, data.size() - at));
    MPI_Request request = MPI_REQUEST_NULL;
    MPIBERT_MPI_CHECK(MPI_Isend(data.data() + at, count, MPI_BYTE, peer, tag, comm_, &request));
    push(request, peer, kSend);
  }
}

int MpiRequests::receive(std::span<std::byte> data, int peer, int tag, int id) {
  int messages = 0;
  for (size_t at = 0; at < data.size(); at += max_message_bytes_) {
    const auto count = static_cast<int>(std::min(max_message_bytes_, data.size() - at));
    MPI_Request request = MPI_REQUEST_NULL;
    MPIBERT_MPI_CHECK(MPI_Irecv(data.data() + at, count, MPI_BYTE, peer, tag, comm_, &request));
    push(request, peer, id);
    ++messages;
  }
  return messages;
}

void MpiRequests::add(MPI_Request request) { push(request, -1, kCollective); }

size_t MpiRequests::test(const std::function<void(int id)>& arrived) {
  if (requests_.empty()) return 0;
  const size_t n = requests_.size();
  ended_.resize(n);
  statuses_.resize(n);
  int count = 0;
  const int code = MPI_Testsome(static_cast<int>(n), requests_.data(), &count, ended_.data(), statuses_.data());
  if (code == MPI_ERR_IN_STATUS) {
    for (int i = 0; i < count; ++i) MPIBERT_MPI_CHECK(statuses_[static_cast<size_t>(i)].MPI_ERROR);
  }
  MPIBERT_MPI_CHECK(code);
  if (count <= 0) return 0;  // MPI_UNDEFINED is negative
  std::vector<int> ids;
  for (int i = 0; i < count; ++i) {
    Entry& entry = entries_[static_cast<size_t>(ended_[static_cast<size_t>(i)])];
    if (entry.id >= 0) ids.push_back(entry.id);
  }
  size_t kept = 0;  // ended requests are null now: close the gaps, in order
  for (size_t i = 0; i < n; ++i) {
    if (requests_[i] == MPI_REQUEST_NULL) continue;
    requests_[kept] = requests_[i];
    entries_[kept++] = entries_[i];
  }
  requests_.resize(kept);
  entries_.resize(kept);
  for (const int id : ids) arrived(id);
  return static_cast<size_t>(count);
}

std::vector<int> MpiRequests::missing() const {
  std::vector<int> ranks;
  for (const Entry& entry : entries_) {
    if (entry.id != kCollective) ranks.push_back(entry.peer);
  }
  std::sort(ranks.begin(), ranks.end());
  ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
  return ranks;
}

// The job is failing already, so errors of these calls say nothing more. Requests of collectives can be neither cancelled nor freed.
void MpiRequests::abandon() {
  for (size_t i = 0; i < requests_.size(); ++i) {
    if (entries_[i].id == kCollective) continue;
    if (entries_[i].id >= 0) MPI_Cancel(&requests_[i]);
    MPI_Request_free(&requests_[i]);
  }
  requests_.clear();
  entries_.clear();
}

}  // namespace mpibert
