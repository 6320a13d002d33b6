#pragma once

#include <mpi.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "comm/mpi_requests.h"
#include "mpibert/comm/communicator.h"

namespace mpibert {

// What every rank of one communicator knows.
struct MpiGroup {
  MPI_Comm comm = MPI_COMM_NULL;
  int rank = 0;
  int size = 1;
  size_t max_message_bytes = 0;
};

enum class CollectiveKind : int32_t { kReduceScatter = 1, kAllGather, kAllReduce, kBroadcast, kBarrier, kGatherBytes, kAllGatherBytes };

// What a rank says of the collective it has entered; sent ahead of it, so that ranks that are not in the same one notice. A small payload
// travels inside.
struct Announcement {
  int64_t number = 0;  // collectives of this communicator so far
  int64_t bytes = 0;   // of the rank's contribution
  int64_t detail = 0;  // slots, root or operation
  CollectiveKind kind{};
  std::array<char, 100> what{};  // shortened, ends in 0
  std::array<std::byte, 128> payload{};

  void set_what(std::string_view text);
  std::string text() const;  // "collective #3 'gradients' (reduce_scatter of 4096 bytes)"
  int tag() const;           // of its messages
};
inline constexpr int kAnnouncementTag = 0;

// Throws kCommunication unless rank `peer` has entered the same collective; bytes may differ in those that gather any length.
void check_same(const Announcement& mine, int rank, const Announcement& theirs, int peer);

// Memory for pieces on their way, kept for the next collective.
class StagingPool {
 public:
  using Memory = std::unique_ptr<float[]>;
  struct Block {
    Memory memory;
    size_t size = 0;
  };
  Block take(size_t size);
  void give_back(Block block);

 private:
  std::vector<Block> free_;
};

// One collective under way: started once, advanced until done().
class MpiCollective {
 public:
  MpiCollective(const MpiGroup& group, const Announcement& mine);
  MpiCollective(const MpiCollective&) = delete;
  MpiCollective& operator=(const MpiCollective&) = delete;
  virtual ~MpiCollective() = default;

  virtual void start() = 0;
  size_t advance();  // returns how many messages ended; throws kCommunication if another rank is in another collective
  bool started() const { return started_; }
  bool done() const { return started_ && requests_.empty(); }
  std::vector<int> missing() const { return requests_.missing(); }
  std::string text() const { return mine_.text(); }
  void abandon() { requests_.abandon(); }

 protected:
  static constexpr int kFirstAnnouncementId = 1 << 30;  // the ids of other messages are below
  void announce_to(int peer);
  void expect_announcement(int peer);
  virtual void arrived(int id) = 0;
  virtual void announced(int peer) = 0;

  // what `peer` said; valid once announced(peer)
  const Announcement& announcement_of(int peer) const { return theirs_[static_cast<size_t>(peer)]; }

  const MpiGroup& group_;
  Announcement mine_;
  MpiRequests requests_;
  bool started_ = false;

 private:
  std::vector<Announcement> theirs_;  // of every rank; filled where expected
};

// One that goes on while its ranks do other work. It announces itself when made and may be started later.
class StartedCollective : public MpiCollective {
 public:
  StartedCollective(const MpiGroup& group, const Announcement& mine) : MpiCollective(group, mine) { announce(); }

 protected:
  void arrived(int /*id*/) override {}
  void announced(int /*peer*/) override {}

 private:
  void announce();
};

// One whose data goes another way: only its announcements travel.
class AnnouncedCollective : public StartedCollective {
 public:
  using StartedCollective::StartedCollective;
  void start() override { started_ = true; }
};

// One that its ranks wait for. Each hears from every other, so that it can name those that are missing.
class WaitingCollective : public MpiCollective {
 public:
  using MpiCollective::MpiCollective;
  void start() override;

 protected:
  void arrived(int /*id*/) override {}
  void announced(int peer) final;
  virtual void heard_from(int /*peer*/) {}
  virtual void all_announced() {}

 private:
  int unannounced_ = 0;
};

}  // namespace mpibert
