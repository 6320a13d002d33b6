#include "ops/cuda/device/octet.cuh"
#include "ops/cuda/device/partial_sums.cuh"
#include "ops/cuda/device/reduce.cuh"
#include "ops/cuda/element.h"
#include "ops/cuda/kernels.h"
#include "ops/cuda/launch.h"

namespace mpibert::cuda {
namespace {

// A block of threads adds up kRowThreads rows at a time of kColumns columns.
constexpr int kRowThreads = 8;
constexpr int kColumns = kWarp * kOctet;

// The fixed pieces of the rows: at least 32 rows, at most 64 pieces, as a function of their number alone.
struct RowPieces {
  explicit RowPieces(int64_t rows_) : rows(rows_), piece(rows_ <= 64 * 32 ? 32 : (rows_ + 63) / 64), count((rows_ + piece - 1) / piece) {}
  int64_t rows, piece, count;
};

// partials[piece][column] = sum over the rows of the piece: each warp every eighth row, then the warps in order.
template <class T>
__global__ void add_rows(const T* input, int64_t rows, int64_t piece, int64_t columns, float* partials) {
  __shared__ float sums[kRowThreads][kColumns];
  const int64_t column = static_cast<int64_t>(blockIdx.x) * kColumns + threadIdx.x * kOctet;
  const int64_t begin = blockIdx.y * piece, end = begin + piece < rows ? begin + piece : rows;
  const int size = octet_size(column, columns);
  Octet sum{};
  if (size > 0) {
    for (int64_t row = begin + threadIdx.y; row < end; row += kRowThreads) {
      const Octet x = load_octet(input + row * columns + column, size);
      for (int i = 0; i < kOctet; ++i) sum[i] += x[i];
    }
  }
  for (int i = 0; i < kOctet; ++i) sums[threadIdx.y][threadIdx.x * kOctet + i] = sum[i];
  __syncthreads();
  const int mine = static_cast<int>(threadIdx.y * kWarp + threadIdx.x);
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kColumns + mine;
  if (at >= columns) return;
  float total = sums[0][mine];
  for (int i = 1; i < kRowThreads; ++i) total += sums[i][mine];
  partials[blockIdx.y * columns + at] = total;
}
static_assert(kRowThreads * kWarp == kColumns, "one column a thread at the end");

}  // namespace

void column_sum(const ColumnSum& op, const Context& context) {
  const int64_t rows = op.input.shape()[0], columns = op.input.shape()[1];
  const RowPieces pieces(rows);
  float* partials = context.workspace.get<float>(pieces.count * columns);
  const unsigned blocks = static_cast<unsigned>((columns + kColumns - 1) / kColumns);
  const LaunchShape shape = {.grid = {blocks, static_cast<unsigned>(pieces.count)}, .block = {kWarp, kRowThreads}};
  with_element(op.input.dtype(), [&]<class T>(T) {
    launch(shape, context.stream, add_rows<T>, data<const T>(op.input), rows, pieces.piece, columns, partials);
  });
  add_partials(partials, pieces.count, columns, columns, data<float>(op.output), context.stream);
}

}  // namespace mpibert::cuda
