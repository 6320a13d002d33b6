#include "mpibert/comm/gradient_reducer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>

#include "mpibert/base/error.h"

namespace mpibert {
namespace {

// One rank of several that only records what it is asked to do; the sum of a piece is that of its own subtrees.
class RecordingCommunicator : public Communicator {
 public:
  RecordingCommunicator(int rank, int size) : rank_(rank), size_(size) {}
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  int local_rank() const override { return rank_; }
  int local_size() const override { return size_; }
  void reduce_scatter(std::span<const Tensor> subtrees, const Tensor& piece, Reduction, std::string_view) override {
    const int64_t n = subtrees.front().size();
    for (const Tensor& subtree : subtrees) ASSERT_EQ(subtree.size(), n);
    ASSERT_EQ(piece.size() * size_, n);
    started.push_back(n);
    for (int64_t i = 0; i < piece.size(); ++i) {
      float sum = 0;
      for (const Tensor& subtree : subtrees) sum += subtree.span<float>()[static_cast<size_t>(rank_ * piece.size() + i)];
      piece.span<float>()[static_cast<size_t>(i)] = sum;
    }
  }
  void all_gather(const Tensor& piece, const Tensor& all, std::string_view) override {
    ASSERT_EQ(piece.size() * size_, all.size());
    ASSERT_EQ(piece.data(), all.elements(rank_ * piece.size(), (rank_ + 1) * piece.size()).data());
    gathered.push_back(all.size());
  }
  void sum(const Tensor&, std::string_view) override {}
  void progress() override {}
  void join() override { ++joins; }
  void wait() override {}
  void all_reduce(std::span<int64_t>, ReduceOp, std::string_view) override {}
  void all_reduce(std::span<double>, ReduceOp, std::string_view) override {}
  void broadcast(const Tensor&, int, std::string_view) override {}
  void barrier(std::string_view) override {}
  std::vector<std::vector<std::byte>> gather_bytes(std::span<const std::byte>, int, std::string_view) override { return {}; }
  std::vector<std::vector<std::byte>> all_gather_bytes(std::span<const std::byte>, std::string_view) override { return {}; }
  void set_slots(int64_t) override {}
  std::string transport() const override { return "nothing"; }

  std::vector<int64_t> started, gathered;
  int joins = 0;

 private:
  int rank_, size_;
};

template <class Call>
void expect_invalid(const Call& call, const std::string& text) {
  try {
    call();
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInvalidArgument);
    EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
  }
}

TEST(GradientReducer, PadsToEqualPieces) {
  EXPECT_EQ(padded_size(0, 3), 3 * 4096);
  EXPECT_EQ(padded_size(1, 1), 4096);
  EXPECT_EQ(padded_size(4096, 1), 4096);
  EXPECT_EQ(padded_size(4097, 2), 8192);
  EXPECT_EQ(padded_size(110000001, 3), 110002176);
}

TEST(GradientReducer, BucketsAreAboutTheSizeAskedFor) {
  EXPECT_EQ(bucket_size(25, 110000000, 1), 25 * 262144);
  EXPECT_EQ(bucket_size(25, 110000000, 3), 25 * 262144 / (3 * 4096) * (3 * 4096));
  EXPECT_EQ(bucket_size(25, 10, 2), 8192);                // no larger than the whole
  EXPECT_EQ(bucket_size(1, 110000000, 100), 4096 * 100);  // no smaller than one block a rank
  EXPECT_EQ(bucket_size(int64_t{1} << 62, 110000000, 1), padded_size(110000000, 1));
  expect_invalid([] { bucket_size(0, 10, 1); }, "bucket_mib must be at least 1, not 0");
}

TEST(GradientReducer, PiecesOfAllRanksCoverTheBufferOnce) {
  for (const int ranks : {1, 2, 3, 4, 7}) {
    for (const int64_t blocks : {1, 5, 12}) {
      for (const int64_t bucket_blocks : {1, 2, 5, 100}) {
        const int64_t padded = kPieceMultiple * ranks * blocks;
        std::vector<int> owners(static_cast<size_t>(blocks * ranks), 0);
        for (int rank = 0; rank < ranks; ++rank) {
          int64_t local = 0;
          for (const OwnedPiece& piece : owned_pieces(padded, kPieceMultiple * ranks * bucket_blocks, rank, ranks)) {
            EXPECT_EQ(piece.local, local);
            EXPECT_EQ(piece.begin % kPieceMultiple, 0);
            local += piece.end - piece.begin;
            for (int64_t block = piece.begin / kPieceMultiple; block < piece.end / kPieceMultiple; ++block)
              ++owners[static_cast<size_t>(block)];
          }
          EXPECT_EQ(local, padded / ranks);
        }
        EXPECT_EQ(std::count(owners.begin(), owners.end(), 1), static_cast<int64_t>(owners.size()));
      }
    }
  }
}

TEST(GradientReducer, StartsABucketOnlyWhenAllOfItIsFinal) {
  RecordingCommunicator comm(0, 1);
  std::vector<float> gradient(5 * 4096), sums(5 * 4096);
  GradientReducer reducer(comm, host_tensor(std::span(sums), {5 * 4096}), 2 * 4096);
  reducer.begin({host_tensor(std::span(gradient), {5 * 4096})});
  reducer.ready_from(5 * 4096);
  reducer.ready_from(3 * 4096 + 1);
  EXPECT_TRUE(comm.started.empty());
  reducer.ready_from(3 * 4096);
  EXPECT_EQ(comm.started.size(), 1u);
  reducer.ready_from(0);  // the last, short bucket goes with finish()
  EXPECT_EQ(comm.started, std::vector<int64_t>({8192, 8192}));
  EXPECT_EQ(comm.joins, 0);
  reducer.finish();
  EXPECT_EQ(comm.started, std::vector<int64_t>({8192, 8192, 4096}));
  EXPECT_EQ(comm.joins, 1);
}

TEST(GradientReducer, SumsLandAtThePlaceOfTheOwnedPiece) {
  const int ranks = 3;
  const int64_t n = padded_size(70000, ranks), bucket = 2 * kPieceMultiple * ranks;
  for (int rank = 0; rank < ranks; ++rank) {
    RecordingCommunicator comm(rank, ranks);
    std::vector<float> a(static_cast<size_t>(n)), b(a.size(), 0.5f), sums(a.size() / 3);
    std::iota(a.begin(), a.end(), 0.0f);
    GradientReducer reducer(comm, host_tensor(std::span(sums), {n / ranks}), bucket);
    reducer.begin({host_tensor(std::span(a), {n}), host_tensor(std::span(b), {n})});
    reducer.finish();
    for (const OwnedPiece& piece : owned_pieces(n, bucket, rank, ranks)) {
      for (int64_t i = piece.begin; i < piece.end; ++i) {
        ASSERT_EQ(sums[static_cast<size_t>(piece.local + i - piece.begin)], static_cast<float>(i) + 0.5f);
      }
    }
  }
}

TEST(GradientReducer, MergesOfTheLastSlotHappenBeforeTheirBucketGoes) {
  RecordingCommunicator comm(0, 1);
  const int64_t n = 3 * 4096;
  std::vector<float> folded(static_cast<size_t>(n), 1), last(folded.size(), 2), sums(folded.size());
  GradientReducer reducer(comm, host_tensor(std::span(sums), {n}), 4096);
  std::vector<int64_t> order;
  reducer.begin({host_tensor(std::span(folded), {n})}, [&](int64_t begin, int64_t end) {
    order.push_back(begin);
    for (int64_t i = begin; i < end; ++i) folded[static_cast<size_t>(i)] += last[static_cast<size_t>(i)];
  });
  reducer.ready_from(2 * 4096);
  EXPECT_EQ(order, std::vector<int64_t>({8192}));
  reducer.finish();
  EXPECT_EQ(order, std::vector<int64_t>({8192, 4096, 0}));
  EXPECT_EQ(std::count(sums.begin(), sums.end(), 3.0f), n);
}

TEST(GradientReducer, PublishesBucketByBucketInPlace) {
  RecordingCommunicator comm(1, 2);
  const int64_t n = 5 * 8192;
  std::vector<float> sums(static_cast<size_t>(n / 2));
  std::vector<bfloat16> values(static_cast<size_t>(n));
  GradientReducer reducer(comm, host_tensor(std::span(sums), {n / 2}), 2 * 8192);
  reducer.publish(host_tensor(std::span(values), {n}));
  EXPECT_EQ(comm.gathered, std::vector<int64_t>({8192, 16384, 16384}));
  EXPECT_EQ(comm.joins, 1);
}

TEST(GradientReducer, RejectsShapesThatDoNotAgreeAndStepsOutOfOrder) {
  RecordingCommunicator comm(0, 2);
  std::vector<float> numbers(8192);
  const Tensor owned = host_tensor(std::span(numbers).first(4096), {4096});
  expect_invalid([&] { GradientReducer(comm, owned.elements(0, 4095), 8192); }, "8190 elements is not a multiple of 8192");
  expect_invalid([&] { GradientReducer(comm, owned, 4096); }, "a bucket of 4096 elements is not a multiple of 8192");
  GradientReducer reducer(comm, owned, 8192);
  expect_invalid([&] { reducer.finish(); }, "finished before it was begun");
  expect_invalid([&] { reducer.ready_from(0); }, "before the gradient reducer was begun");
  expect_invalid([&] { reducer.begin({}); }, "at least one gradient");
  expect_invalid([&] { reducer.begin({owned}); }, "a flat gradient must be fp32 [8192], not fp32 [4096]");
  reducer.begin({host_tensor(std::span(numbers), {8192})});
  expect_invalid([&] { reducer.begin({host_tensor(std::span(numbers), {8192})}); }, "begun twice");
}

}  // namespace
}  // namespace mpibert
