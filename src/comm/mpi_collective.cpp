#include "comm/mpi_collective.h"

#include <algorithm>
#include <utility>

#include "mpibert/base/error.h"

namespace mpibert {
namespace {

std::string_view name_of(CollectiveKind kind) {
  switch (kind) {
    case CollectiveKind::kReduceScatter:
      return "reduce_scatter";
    case CollectiveKind::kAllGather:
      return "all_gather";
    case CollectiveKind::kAllReduce:
      return "all_reduce";
    case CollectiveKind::kBroadcast:
      return "broadcast";
    case CollectiveKind::kBarrier:
      return "barrier";
    case CollectiveKind::kGatherBytes:
      return "gather_bytes";
    case CollectiveKind::kAllGatherBytes:
      return "all_gather_bytes";
  }
  return "unknown collective";
}

bool any_length(CollectiveKind kind) { return kind == CollectiveKind::kGatherBytes || kind == CollectiveKind::kAllGatherBytes; }

std::span<std::byte> bytes_of_object(Announcement& object) { return std::as_writable_bytes(std::span(&object, 1)); }

}  // namespace

void Announcement::set_what(std::string_view text) {
  what = {};
  std::copy_n(text.begin(), std::min(text.size(), what.size() - 1), what.begin());
}

std::string Announcement::text() const {
  std::string text = str_cat("collective #", number, " '", what.data(), "' (", name_of(kind), " of ", bytes, " bytes");
  if (kind == CollectiveKind::kReduceScatter) text += detail < 0 ? ", fast" : str_cat(", exact over ", detail, " slots");
  if (kind == CollectiveKind::kBroadcast || kind == CollectiveKind::kGatherBytes) text += str_cat(", root ", detail);
  return text + ")";
}

// Collectives of different kinds never take each other's messages. Tags repeat after 2047 collectives, when the earlier ones have long been
// posted: MPI keeps messages between two ranks in order. At most 32767, which every MPI allows.
int Announcement::tag() const { return static_cast<int>(number % 2047 + 1) * 8 + static_cast<int>(kind); }

void check_same(const Announcement& mine, int rank, const Announcement& theirs, int peer) {
  const bool same = mine.number == theirs.number && mine.kind == theirs.kind && mine.what == theirs.what && mine.detail == theirs.detail &&
                    (mine.bytes == theirs.bytes || any_length(mine.kind));
  MPIBERT_CHECK(same, kCommunication, "ranks disagree on what to do: rank ", rank, " is in ", mine.text(), ", rank ", peer, " in ",
                theirs.text());
}

StagingPool::Block StagingPool::take(size_t size) {
  const auto fits = std::find_if(free_.begin(), free_.end(), [&](const Block& block) { return block.size >= size; });
  if (fits == free_.end()) {
    if (!free_.empty()) free_.pop_back();  // a larger one takes its place
    return {.memory = std::make_unique_for_overwrite<float[]>(size), .size = size};
  }
  Block block = std::move(*fits);
  free_.erase(fits);
  return block;
}

void StagingPool::give_back(Block block) {
  if (block.memory) free_.push_back(std::move(block));
}

MpiCollective::MpiCollective(const MpiGroup& group, const Announcement& mine)
    : group_(group), mine_(mine), requests_(group.comm, group.max_message_bytes), theirs_(static_cast<size_t>(group.size)) {}

void MpiCollective::announce_to(int peer) { requests_.send(bytes_of_object(mine_), peer, kAnnouncementTag); }

void MpiCollective::expect_announcement(int peer) {
  requests_.receive(bytes_of_object(theirs_[static_cast<size_t>(peer)]), peer, kAnnouncementTag, kFirstAnnouncementId + peer);
}

size_t MpiCollective::advance() {
  return requests_.test([this](int id) {
    if (id < kFirstAnnouncementId) return arrived(id);
    const int peer = id - kFirstAnnouncementId;
    check_same(mine_, group_.rank, theirs_[static_cast<size_t>(peer)], peer);
    announced(peer);
  });
}

// A ring of neighbours is enough: if not all ranks do the same, some neighbours differ.
void StartedCollective::announce() {
  if (group_.size == 1) return;
  expect_announcement((group_.rank + group_.size - 1) % group_.size);
  announce_to((group_.rank + 1) % group_.size);
}

void WaitingCollective::start() {
  started_ = true;
  for (int distance = 1; distance < group_.size; ++distance) expect_announcement((group_.rank + group_.size - distance) % group_.size);
  for (int distance = 1; distance < group_.size; ++distance) announce_to((group_.rank + distance) % group_.size);
  unannounced_ = group_.size - 1;
  if (unannounced_ == 0) all_announced();
}

void WaitingCollective::announced(int peer) {
  heard_from(peer);
  if (--unannounced_ == 0) all_announced();
}

}  // namespace mpibert
