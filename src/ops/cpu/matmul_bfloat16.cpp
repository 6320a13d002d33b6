#include "ops/cpu/matmul_bfloat16.h"

#include <algorithm>
#include <array>

#include "ops/cpu/matmul_kernels.h"
#include "ops/cpu/work_items.h"

namespace mpibert::cpu {
namespace {

constexpr int64_t kHighest = 128, kLowest = 16;   // rows of one primitive
constexpr int64_t kPiece = 512, kPieceUnit = 32;  // of K, where it is cut
constexpr int64_t kMany = 8192;                   // more columns, or a longer K, than layers have: the decoder's vocabulary
constexpr int64_t kRowChunk = 512, kColumnChunk = 512, kPiecesOfRange = 8;

constexpr int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }
constexpr int64_t count_of(int64_t n, int64_t unit) { return (n + unit - 1) / unit; }

// Rows of a usual item: seven items or more, if that leaves the library enough rows to be fast.
int64_t usual_rows(int64_t m) {
  int64_t rows = kHighest;
  while (rows > kLowest && m < 7 * rows) rows /= 2;
  return rows;
}

// A piece of K: `size` rows of b, computed as `padded` ones.
struct Piece {
  int64_t begin, size, padded;
};

// Rows begin .. begin + used of c, computed as `height` ones.
struct Segment {
  int64_t begin, used, height;
};
template <class F>
void for_segments(int64_t begin, int64_t end, F f) {
  int64_t height = kHighest;
  while (begin < end) {
    while (height > kLowest && height > end - begin) height /= 2;
    const int64_t used = std::min(height, end - begin);
    f(Segment{begin, used, height});
    begin += used;
  }
}

}  // namespace

struct Bfloat16Matmul::Plan {
  explicit Plan(const Matmul& op_)
      : op(op_),
        m(op.c.shape()[0]),
        n(op.c.shape()[1]),
        k(op.a.shape()[op.transpose_a ? 0 : 1]),
        c_is_float(op.c.dtype() == DType::kFloat32) {
    long_k = !op.transpose_a && !op.transpose_b && k > kMany;
    many_columns = !op.transpose_a && op.transpose_b && n > kMany;
    if (op.transpose_a || long_k) {
      for (int64_t begin = 0; begin < k; begin += kPiece) {
        const int64_t size = std::min(kPiece, k - begin);
        pieces.push_back({begin, size, round_up(size, kPieceUnit)});
      }
    } else {
      pieces.push_back({0, k, k});
    }
    own_b = long_k || many_columns;
    packed = own_b || op.transpose_a || m > 64;  // to pack b for a few rows costs more than it saves
    rows = own_b ? kRowChunk : usual_rows(m);
    columns = many_columns ? kColumnChunk : n;
    piece_count = long_k ? kPiecesOfRange : static_cast<int64_t>(pieces.size());
    row_items = count_of(m, rows);
    column_items = count_of(n, columns);
    range_items = count_of(static_cast<int64_t>(pieces.size()), piece_count);
    // The library can write c itself if nothing is to be done to a sum but what it does too, rounding once.
    direct = !own_b && op.alpha == 1 && op.activation == Activation::kNone && (c_is_float || pieces.size() == 1);
  }
  int64_t items() const { return row_items * column_items * range_items; }

  const Matmul& op;
  int64_t m, n, k;
  bool c_is_float, long_k, many_columns, own_b, packed, direct;
  std::vector<Piece> pieces;
  int64_t rows, columns, piece_count;            // of an item
  int64_t row_items, column_items, range_items;  // how many there are
  std::vector<dnnl::memory> shared_b;            // a piece each, unless own_b
  float* partial_sums = nullptr;                 // [range_items, m rounded up, n] if long_k
};

// One thread's primitives of one product, with their memory objects.
struct Bfloat16Matmul::Caller {
  struct Call {
    ProductShape shape;
    std::shared_ptr<const Product> product;
    dnnl::memory a, c, scratch, bias;

    void run(const dnnl::stream& stream, const bfloat16* a_data, const dnnl::memory& b, void* c_data, Workspace& workspace) {
      a.set_data_handle(const_cast<bfloat16*>(a_data));
      c.set_data_handle(c_data);
      scratch.set_data_handle(workspace.get<std::byte>(static_cast<int64_t>(product->scratch.get_size())));
      const std::array<dnnl_exec_arg_t, 5> arguments{{{DNNL_ARG_SRC, a.get()},
                                                      {DNNL_ARG_WEIGHTS, b.get()},
                                                      {DNNL_ARG_DST, c.get()},
                                                      {DNNL_ARG_SCRATCHPAD, scratch.get()},
                                                      {DNNL_ARG_BIAS, bias.get(true)}}};
      const int count = shape.bias ? 5 : 4;
      dnnl::error::wrap_c_api(dnnl_primitive_execute(product->primitive.get(), stream.get(), count, arguments.data()),
                              "a matrix product failed");
    }
  };
  std::vector<Call> calls;

  Call& find(const ProductShape& shape, MatmulPrimitives& primitives, const Matmul& op) {
    for (Call& call : calls)
      if (call.shape == shape) return call;
    Call call{.shape = shape, .product = primitives.product(shape), .a = {}, .c = {}, .scratch = {}, .bias = {}};
    const dnnl::engine& engine = primitives.engine();
    call.a = dnnl::memory(call.product->a, engine, nullptr);
    call.c = dnnl::memory(call.product->c, engine, nullptr);
    call.scratch = dnnl::memory(call.product->scratch, engine, nullptr);
    if (shape.bias) call.bias = dnnl::memory(call.product->bias, engine, op.bias.data());
    return calls.emplace_back(std::move(call));
  }
};

// Piece `piece` of b, columns `column` on (all of them unless b is transposed), as a primitive takes it.
dnnl::memory Bfloat16Matmul::pack(const Plan& plan, size_t piece_index, int64_t column, int64_t columns, void* packed, Workspace& tail) {
  const Piece& piece = plan.pieces[piece_index];
  const auto layout = primitives_.layout(columns, piece.padded, plan.op.transpose_b);
  const bfloat16* source = static_cast<const bfloat16*>(plan.op.b.data()) + (plan.op.transpose_b ? column * plan.k : piece.begin * plan.n);
  if (piece.padded != piece.size) {  // then b is not transposed
    auto* filled = tail.get<bfloat16>(piece.padded * plan.n);
    std::fill(std::copy(source, source + piece.size * plan.n, filled), filled + piece.padded * plan.n, bfloat16{});
    source = filled;
  }
  dnnl::memory plain(layout->plain, primitives_.engine(), const_cast<bfloat16*>(source));
  if (!plan.packed || !layout->reorder) return plain;
  dnnl::memory result(layout->packed, primitives_.engine(), packed);
  dnnl::reorder(*layout->reorder).execute(stream_, plain, result);
  return result;
}

void Bfloat16Matmul::pack_shared(Plan& plan) {
  std::vector<int64_t> offsets = {0};
  for (const Piece& piece : plan.pieces) {
    const size_t bytes = plan.packed ? primitives_.layout(plan.n, piece.padded, plan.op.transpose_b)->packed.get_size() : 0;
    offsets.push_back(offsets.back() + round_up(static_cast<int64_t>(bytes), 64));
  }
  std::byte* packed = shared_b_.get<std::byte>(offsets.back());
  for (size_t i = 0; i < plan.pieces.size(); ++i) plan.shared_b.push_back(pack(plan, i, 0, plan.n, packed + offsets[i], shared_tail_));
}

namespace {

// Rows of a as the primitive wants them: [height, padded], dense; zeros behind what there is.
const bfloat16* left_operand(const Matmul& op, int64_t m, int64_t k, const Piece& piece, const Segment& segment, Workspace& workspace) {
  const auto* a = static_cast<const bfloat16*>(op.a.data());
  if (!op.transpose_a && piece.padded == k && segment.used == segment.height) return a + segment.begin * k;
  auto* left = workspace.get<bfloat16>(segment.height * piece.padded);
  if (op.transpose_a) transpose(a + piece.begin * m + segment.begin, m, piece.size, segment.used, left, piece.padded);
  for (int64_t row = 0; row < segment.height; ++row) {
    bfloat16* to = left + row * piece.padded;
    const bool there = row < segment.used;
    if (there && !op.transpose_a) std::copy_n(a + (segment.begin + row) * k + piece.begin, piece.size, to);
    std::fill(to + (there ? piece.size : 0), to + piece.padded, bfloat16{});
  }
  return left;
}

}  // namespace

void Bfloat16Matmul::multiply_item(const Plan& plan, int64_t item, Thread& thread, Caller& caller) {
  const Matmul& op = plan.op;
  const int64_t row_begin = item / (plan.column_items * plan.range_items) * plan.rows, row_end = std::min(plan.m, row_begin + plan.rows);
  const int64_t column = item / plan.range_items % plan.column_items * plan.columns, columns = std::min(plan.columns, plan.n - column);
  const int64_t range = item % plan.range_items;
  const auto piece_begin = static_cast<size_t>(range * plan.piece_count);
  const size_t piece_end = std::min(plan.pieces.size(), piece_begin + static_cast<size_t>(plan.piece_count));
  float* sums = plan.long_k ? plan.partial_sums + (range * round_up(plan.m, kLowest) + row_begin) * plan.n
                            : thread.products.get<float>(round_up(row_end - row_begin, kLowest) * columns);
  // After its only piece a segment is done: it is finished while it is in cache.
  const bool whole = piece_end - piece_begin == 1 && !plan.long_k;
  const auto is_direct = [&](const Segment& s) { return plan.direct && s.used == s.height; };

  for (size_t i = piece_begin; i < piece_end; ++i) {
    const Piece& piece = plan.pieces[i];
    dnnl::memory b;
    if (plan.own_b) {
      const size_t bytes = primitives_.layout(columns, piece.padded, op.transpose_b)->packed.get_size();
      b = pack(plan, i, column, columns, thread.right.get<std::byte>(static_cast<int64_t>(bytes)), thread.tail);
    } else {
      b = plan.shared_b[i];
    }
    for_segments(row_begin, row_end, [&](const Segment& segment) {
      const bool direct = is_direct(segment), first = i == piece_begin, last = i + 1 == piece_end;
      const float first_beta = direct ? op.beta : 0;
      Caller::Call& call = caller.find({.m = segment.height,
                                        .n = columns,
                                        .k = piece.padded,
                                        .transpose_b = op.transpose_b,
                                        .packed = plan.packed,
                                        .c_is_float = plan.c_is_float || !direct,
                                        .bias = direct && last && op.bias,
                                        .beta = first ? first_beta : 1},
                                       primitives_, op);
      float* own_sums = whole ? sums : sums + (segment.begin - row_begin) * columns;
      void* c = own_sums;
      if (direct) c = static_cast<std::byte*>(op.c.data()) + static_cast<size_t>(segment.begin * plan.n) * bytes_of(op.c.dtype());
      call.run(stream_, left_operand(op, plan.m, plan.k, piece, segment, thread.left), b, c, thread.library);
      if (whole && !direct) finish_block(op, {segment.begin, segment.used, column, columns}, own_sums);
    });
  }
  if (whole || plan.long_k) return;
  for_segments(row_begin, row_end, [&](const Segment& segment) {
    if (!is_direct(segment)) finish_block(op, {segment.begin, segment.used, column, columns}, sums + (segment.begin - row_begin) * columns);
  });
}

// The partial sums of all ranges of K, added in order, and the rest of the operation.
void Bfloat16Matmul::add_partial_sums(const Plan& plan) {
  const int64_t stride = round_up(plan.m, kLowest) * plan.n;
  parallel_items(count_of(plan.m, kLowest), [&](int64_t item, int) {
    const int64_t row = item * kLowest, rows = std::min(kLowest, plan.m - row);
    float* sums = plan.partial_sums + row * plan.n;
    for (int64_t range = 1; range < plan.range_items; ++range) add_to(sums + range * stride, rows * plan.n, sums);
    finish_block(plan.op, {row, rows, 0, plan.n}, sums);
  });
}

void Bfloat16Matmul::multiply(const Matmul& op) {
  if (op.transpose_a && op.transpose_b) {  // no layer needs it, so it may cost a transposition by one thread
    const int64_t n = op.b.shape()[0], k = op.b.shape()[1];
    auto* b = plain_b_.get<bfloat16>(k * n);
    transpose(static_cast<const bfloat16*>(op.b.data()), k, n, k, b, n);
    Matmul plain = op;
    plain.b = Tensor(b, DType::kBFloat16, {k, n});
    plain.transpose_b = false;
    return multiply(plain);
  }
  threads_.resize(std::max(threads_.size(), static_cast<size_t>(omp_get_max_threads())));
  Plan plan(op);
  if (!plan.own_b) pack_shared(plan);
  if (plan.long_k) plan.partial_sums = partial_sums_.get<float>(plan.range_items * round_up(plan.m, kLowest) * plan.n);
  std::vector<Caller> callers(threads_.size());
  parallel_items(plan.items(), [&](int64_t item, int thread) {
    multiply_item(plan, item, threads_[static_cast<size_t>(thread)], callers[static_cast<size_t>(thread)]);
  });
  if (plan.long_k) add_partial_sums(plan);
}

}  // namespace mpibert::cpu
