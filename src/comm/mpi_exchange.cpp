#include "comm/mpi_exchange.h"

#include <algorithm>

#include "comm/mpi_check.h"

namespace mpibert {
namespace {

std::span<std::byte> memory_of(const Tensor& tensor) { return {static_cast<std::byte*>(tensor.data()), tensor.bytes()}; }

Announcement with_payload(Announcement announcement, std::span<const std::byte> payload) {
  if (payload.size() <= announcement.payload.size()) std::copy(payload.begin(), payload.end(), announcement.payload.begin());
  return announcement;
}

}  // namespace

void AllGather::start() {
  started_ = true;
  const std::span<std::byte> mine = memory_of(piece_), all = memory_of(all_);
  const auto part = [&](int rank) { return all.subspan(static_cast<size_t>(rank) * mine.size(), mine.size()); };
  for (int distance = 1; distance < group_.size; ++distance) {
    const int peer = (group_.rank + group_.size - distance) % group_.size;
    requests_.receive(part(peer), peer, mine_.tag(), 0);
  }
  for (int distance = 1; distance < group_.size; ++distance) requests_.send(mine, (group_.rank + distance) % group_.size, mine_.tag());
  if (const std::span<std::byte> own = part(group_.rank); own.data() != mine.data()) std::copy(mine.begin(), mine.end(), own.begin());
}

MpiExchange::MpiExchange(const MpiGroup& group, Announcement mine, std::span<const std::byte> payload, int root)
    : WaitingCollective(group, with_payload(mine, payload)), payload_(payload), root_(root) {
  if (!receives(group_.rank)) return;
  contributions_.resize(static_cast<size_t>(group_.size));
  contributions_[static_cast<size_t>(group_.rank)].assign(payload.begin(), payload.end());
}

void MpiExchange::start() {
  WaitingCollective::start();
  if (payload_.size() <= mine_.payload.size()) return;
  for (int distance = 1; distance < group_.size; ++distance) {
    const int peer = (group_.rank + distance) % group_.size;
    if (receives(peer)) requests_.send(payload_, peer, mine_.tag());
  }
}

void MpiExchange::heard_from(int peer) {
  if (!receives(group_.rank)) return;
  const Announcement& theirs = announcement_of(peer);
  std::vector<std::byte>& contribution = contributions_[static_cast<size_t>(peer)];
  const auto bytes = static_cast<size_t>(theirs.bytes);
  if (bytes <= theirs.payload.size()) {
    contribution.assign(theirs.payload.begin(), theirs.payload.begin() + theirs.bytes);
  } else {
    contribution.resize(bytes);
    requests_.receive(contribution, peer, mine_.tag(), 0);
  }
}

void Broadcast::all_announced() {
  const std::span<std::byte> bytes = memory_of(tensor_);
  for (size_t at = 0; at < bytes.size(); at += group_.max_message_bytes) {
    const auto count = static_cast<int>(std::min(group_.max_message_bytes, bytes.size() - at));
    MPI_Request request = MPI_REQUEST_NULL;
    MPIBERT_MPI_CHECK(MPI_Ibcast(bytes.data() + at, count, MPI_BYTE, root_, group_.comm, &request));
    requests_.add(request);
  }
}

}  // namespace mpibert
