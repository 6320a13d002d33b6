#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "mpibert/comm/communicator.h"
#include "mpibert/tensor/tensor.h"

namespace mpibert {

// Sums the flat gradient [N] to its owners while backward still runs. Backward fills it from the end to the start, so one number says what
// is final. Buckets are plain ranges, counted from the end of the flat buffer:
//   [N - bucket, N), [N - 2 bucket, N - bucket), ..., [0, what is left)
// Each is cut into R equal pieces; rank r owns piece r of every bucket: [begin + r (end - begin) / R, begin + (r + 1) (end - begin) / R).
// It holds the optimizer state of its pieces, updates them, and the new values go out by all_gather. An owner's buffers [N / R] hold the
// piece of the bucket that begins at `begin` from begin / R on; no gaps.
//
// N and the bucket are multiples of kPieceMultiple * R, so that pieces are equal and a kernel's blocks never cross their borders.
inline constexpr int64_t kPieceMultiple = 4096;

int64_t padded_size(int64_t n, int ranks);  // n rounded up to a multiple of kPieceMultiple * ranks; at least one of them
// Elements of a bucket of about `mib` MiB of fp32: rounded down to a multiple of kPieceMultiple * ranks; at least one of them, at most
// padded_size(n, ranks).
int64_t bucket_size(int64_t mib, int64_t n, int ranks);

struct OwnedPiece {
  int64_t begin = 0;  // [begin, end) of the flat buffers of length padded
  int64_t end = 0;
  int64_t local = 0;  // where it starts in the owner's buffers of length padded / ranks
  bool operator==(const OwnedPiece&) const = default;
};
// The pieces of a rank, by ascending begin (and local). Throws kInvalidArgument unless padded and bucket are as above and rank is one of
// ranks.
std::vector<OwnedPiece> owned_pieces(int64_t padded, int64_t bucket, int rank, int ranks);

class GradientReducer {
 public:
  // Called once for each bucket [begin, end), before it is sent.
  using BeforeBucket = std::function<void(int64_t begin, int64_t end)>;

  // owned [N / R] fp32: the sums of this rank's pieces. The communicator and the memory of owned must outlive the reducer.
  // Throws kInvalidArgument unless owned and bucket_elements agree as above.
  GradientReducer(Communicator& comm, const Tensor& owned, int64_t bucket_elements, Reduction reduction = Reduction::kExact);

  // A step: begin, any number of ready_from and progress, finish. Collective, as the communicator is: the buckets start in the same order
  // on all ranks, whatever the offsets.
  //   subtrees: [N] fp32 each, one for each of subtrees_of_rank(), in slot order (kFast: one). The last slot's backward may still be
  //   filling
  //     them, from the end to the start. Nothing may write to them between the start of a bucket and finish().
  //   before_bucket: does the merges of the last slot for that range (see FoldPlan); may be empty.
  // Throws kInvalidArgument if a step is open or shapes do not agree.
  void begin(std::vector<Tensor> subtrees, BeforeBucket before_bucket = {});
  void ready_from(int64_t offset);  // gradients at and above offset are final: starts every whole bucket there, and lets others proceed
  void progress();                  // lets what was started proceed; never waits
  void finish();                    // starts the rest; what the backend queues from now on finds the sums in owned

  // values [N], any type: every rank has written its own pieces in place; what the backend queues afterwards finds all of them.
  void publish(const Tensor& values);

  int64_t bucket_elements() const { return bucket_; }

 private:
  void start(int64_t begin);

  Communicator& comm_;
  Tensor owned_;
  int64_t bucket_;
  Reduction reduction_;
  int64_t size_;  // N
  std::vector<Tensor> subtrees_;
  BeforeBucket before_bucket_;
  int64_t end_ = 0;  // [0, end_) has not been started
  bool open_ = false;
};

}  // namespace mpibert
