#pragma once

#include <mpi.h>

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace mpibert {

std::string list_of(const std::vector<int>& ranks);  // "rank 2", "ranks 0, 2"

// Open point-to-point and collective requests of one collective. The memory they name must stay until empty() or abandon().
class MpiRequests {
 public:
  MpiRequests(MPI_Comm comm, size_t max_message_bytes) : comm_(comm), max_message_bytes_(max_message_bytes) {}
  MpiRequests(const MpiRequests&) = delete;
  MpiRequests& operator=(const MpiRequests&) = delete;

  // Any number of bytes: cut into messages of at most max_message_bytes, the same cut on both sides. Nothing for no bytes.
  void send(std::span<const std::byte> data, int peer, int tag);
  int receive(std::span<std::byte> data, int peer, int tag, int id);  // returns the number of messages
  void add(MPI_Request request);                                      // of a collective of the library

  // Tests all; calls arrived(id) for each message received since the last call. Returns how many requests ended. Never waits.
  size_t test(const std::function<void(int id)>& arrived);
  bool empty() const { return requests_.empty(); }
  // Ranks from which messages are missing or which did not take ours; ascending. Collectives of the library name none.
  std::vector<int> missing() const;
  // After a failure: takes back what can be. The library may still hold the memory of sends.
  void abandon();

 private:
  static constexpr int kSend = -1, kCollective = -2;
  struct Entry {
    int peer;
    int id;
  };
  void push(MPI_Request request, int peer, int id);

  MPI_Comm comm_;
  size_t max_message_bytes_;
  std::vector<MPI_Request> requests_;
  std::vector<Entry> entries_;  // one a request
  std::vector<int> ended_;
  std::vector<MPI_Status> statuses_;
};

}  // namespace mpibert
