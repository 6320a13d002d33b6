// The two halves of an all-reduce, by size: ours (exact and fast) against the library's blocking calls.
//   mpiexec -n 2 all_reduce_benchmark [largest_bytes = 268435456] [segment_bytes = default]
// Rank 0 writes one JSON object a line: raw samples in ms (the slowest rank's), their median, algorithm bandwidth = bytes / time and bus
// bandwidth = algorithm bandwidth * (R - 1) / R, both in GB/s, and how many numbers were wrong before the clock was started.
#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "comm/mpi_communicator.h"
#include "mpibert/base/error.h"

namespace mpibert {
namespace {

struct Arrays {
  std::vector<float> whole, piece;
  int64_t n() const { return static_cast<int64_t>(piece.size()); }
  Tensor whole_tensor() { return host_tensor(std::span(whole), {static_cast<int64_t>(whole.size())}); }
  Tensor piece_tensor() { return host_tensor(std::span(piece), {n()}); }
};

float number(int rank, int64_t i) { return static_cast<float>((rank + 1) * (i % 1000)); }  // sums are exact in any order

struct Case {
  const char* name;
  bool gathers;
  std::function<void(Arrays&)> run;
};

std::vector<Case> cases(MpiCommunicator& comm) {
  const auto reduce = [&comm](Reduction reduction) {
    return [&comm, reduction](Arrays& arrays) {
      const Tensor whole = arrays.whole_tensor();
      comm.reduce_scatter(std::span(&whole, 1), arrays.piece_tensor(), reduction, "benchmark");
      comm.wait();
    };
  };
  return {
      {"reduce_scatter exact", false, reduce(Reduction::kExact)},
      {"reduce_scatter fast", false, reduce(Reduction::kFast)},
      {"MPI_Reduce_scatter_block", false,
       [](Arrays& a) {
         MPI_Reduce_scatter_block(a.whole.data(), a.piece.data(), static_cast<int>(a.n()), MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
       }},
      {"all_gather", true,
       [&comm](Arrays& a) {
         comm.all_gather(a.piece_tensor(), a.whole_tensor(), "benchmark");
         comm.wait();
       }},
      {"MPI_Allgather", true,
       [](Arrays& a) {
         const int n = static_cast<int>(a.n());
         MPI_Allgather(a.piece.data(), n, MPI_FLOAT, a.whole.data(), n, MPI_FLOAT, MPI_COMM_WORLD);
       }},
  };
}

int64_t count_errors(const Case& c, Arrays& arrays, const Communicator& comm) {
  const int ranks = comm.size();
  for (size_t i = 0; i < arrays.whole.size(); ++i) arrays.whole[i] = c.gathers ? -1.0f : number(comm.rank(), static_cast<int64_t>(i));
  for (int64_t i = 0; i < arrays.n(); ++i) arrays.piece[static_cast<size_t>(i)] = number(comm.rank(), i);
  c.run(arrays);
  int64_t errors = 0;
  if (c.gathers) {
    for (int64_t i = 0; i < arrays.n() * ranks; ++i) {
      errors += arrays.whole[static_cast<size_t>(i)] != number(static_cast<int>(i / arrays.n()), i % arrays.n());
    }
  } else {
    for (int64_t i = 0; i < arrays.n(); ++i) {
      errors +=
          arrays.piece[static_cast<size_t>(i)] != static_cast<float>(ranks * (ranks + 1) / 2 * ((comm.rank() * arrays.n() + i) % 1000));
    }
  }
  return errors;
}

std::vector<double> time(const Case& c, Arrays& arrays, MpiCommunicator& comm, int repeats) {
  std::vector<double> samples;
  for (int i = -2; i < repeats; ++i) {
    comm.barrier("benchmark");
    const auto start = std::chrono::steady_clock::now();
    c.run(arrays);
    std::vector<double> ms = {std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count()};
    comm.all_reduce(ms, ReduceOp::kMax, "benchmark");
    if (i >= 0) samples.push_back(ms[0]);  // the first two warm up
  }
  return samples;
}

int64_t run(int64_t largest_bytes, size_t segment_bytes) {
  MpiOptions options;
  if (segment_bytes > 0) options.segment_bytes = segment_bytes;
  MpiCommunicator comm(MPI_COMM_WORLD, options);
  comm.set_slots(comm.size());
  int64_t wrong = 0;
  std::vector<int64_t> sizes;
  for (int64_t bytes = 1024; bytes < largest_bytes; bytes *= 4) sizes.push_back(bytes);
  sizes.push_back(largest_bytes);
  for (const int64_t bytes : sizes) {
    const auto n = static_cast<size_t>(std::max<int64_t>(1, bytes / 4 / comm.size()));
    Arrays arrays{.whole = std::vector<float>(n * static_cast<size_t>(comm.size())), .piece = std::vector<float>(n)};
    for (const Case& c : cases(comm)) {
      std::vector<int64_t> errors = {count_errors(c, arrays, comm)};
      comm.all_reduce(errors, ReduceOp::kSum, "benchmark");
      wrong += errors[0];
      const std::vector<double> samples = time(c, arrays, comm, bytes > (64 << 20) ? 7 : 21);
      std::vector<double> sorted = samples;
      std::sort(sorted.begin(), sorted.end());
      const double median = sorted[sorted.size() / 2], algorithm = static_cast<double>(arrays.whole.size() * sizeof(float)) / median / 1e6;
      if (comm.rank() > 0) continue;
      std::cout << nlohmann::ordered_json{{"benchmark", "all_reduce"},
                                          {"case", c.name},
                                          {"ranks", comm.size()},
                                          {"bytes", arrays.whole.size() * sizeof(float)},
                                          {"segment_bytes", options.segment_bytes},
                                          {"errors", errors[0]},
                                          {"median_ms", median},
                                          {"algorithm_gb_per_s", algorithm},
                                          {"bus_gb_per_s", algorithm * (comm.size() - 1) / comm.size()},
                                          {"samples_ms", samples}}
                       .dump()
                << std::endl;
    }
  }
  return wrong;
}

}  // namespace
}  // namespace mpibert

int main(int argc, char** argv) {
  int provided = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
  int64_t wrong = 1;
  try {
    wrong = mpibert::run(argc > 1 ? std::atoll(argv[1]) : int64_t{256} << 20, argc > 2 ? static_cast<size_t>(std::atoll(argv[2])) : 0);
  } catch (const std::exception& error) {
    std::cerr << "all_reduce_benchmark: " << error.what() << "\n";
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  MPI_Finalize();
  return wrong == 0 ? 0 : 1;
}
