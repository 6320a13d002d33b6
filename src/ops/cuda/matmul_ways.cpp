#include "ops/cuda/matmul_ways.h"

#include <algorithm>
#include <bit>
#include <initializer_list>

namespace mpibert::cuda {
namespace {

struct Rows {
  const void* address;
  int64_t columns;
  DType dtype;
};

// The largest power of two, up to kMatmulAlignment, that divides addresses and bytes of rows.
uint32_t alignment_of(std::initializer_list<Rows> operands) {
  uint64_t bits = kMatmulAlignment;
  for (const Rows& each : operands)
    bits |= reinterpret_cast<uintptr_t>(each.address) | static_cast<uint64_t>(each.columns) * bytes_of(each.dtype);
  return uint32_t{1} << std::countr_zero(bits);
}

MatmulWay plain_way(const Matmul& op, bool tf32) {
  MatmulWay way{.rest = op};
  const int64_t m = op.c.shape()[0], n = op.c.shape()[1], k = op.a.shape()[op.transpose_a ? 0 : 1];
  // A product in 16 bits that is multiplied with a derivative is rounded after that, once.
  const bool separate = op.derivative_at && op.c.dtype() != DType::kFloat32;
  way.operands = {.a = op.a.data(), .b = op.b.data(), .d = separate ? nullptr : op.c.data()};
  way.beta = separate ? 0 : op.beta;
  if (separate) way.workspace_floats = m * n;
  way.kind = {.m = m,
              .n = n,
              .k = k,
              .transpose_a = op.transpose_a,
              .transpose_b = op.transpose_b,
              .keeps_c = way.beta != 0,
              .compute = op.a.dtype(),
              .output = separate ? DType::kFloat32 : op.c.dtype(),
              .tf32 = tf32 && op.a.dtype() == DType::kFloat32};
  // A bias in another type than c's is left to the second pass: c is fp32 then, and nothing has been rounded.
  if (op.bias && !separate && op.bias.dtype() == op.c.dtype()) {
    way.kind.epilogue = CUBLASLT_EPILOGUE_BIAS;
    way.operands.vector = op.bias.data();
    way.rest.bias = {};
  }
  way.kind.alignment = alignment_of({{way.operands.a, op.a.shape()[1], op.a.dtype()},
                                     {way.operands.b, op.b.shape()[1], op.b.dtype()},
                                     {way.operands.d, n, way.kind.output},
                                     {way.operands.vector, 0, way.kind.output}});
  return way;
}

// Of op's plain way, the product alone.
MatmulWay bare_way(const Matmul& op, bool tf32) {
  Matmul product = op;
  product.bias = product.derivative_at = product.activated = product.row_sums = {};
  MatmulWay way = plain_way(product, tf32);
  way.rest = op;
  return way;
}

bool is_aligned(const Tensor& t) { return reinterpret_cast<uintptr_t>(t.data()) % kMatmulAlignment == 0; }

bool fits_gelu(const Matmul& op) {
  const Tensor other = op.activated ? op.activated : op.derivative_at;
  const bool right =
      other && op.activation == Activation::kGeluTanh && op.c.dtype() != DType::kFloat32 && op.beta == 0 && !(op.derivative_at && op.bias);
  return right && op.c.shape()[1] * static_cast<int64_t>(bytes_of(op.c.dtype())) % kMatmulAlignment == 0 && is_aligned(op.c) &&
         is_aligned(other);
}

MatmulWay gelu_way(const Matmul& op, bool tf32) {
  MatmulWay way = bare_way(op, tf32);
  if (op.activated) {  // the result is `activated`; c is what it was taken of
    way.kind.epilogue = op.bias ? CUBLASLT_EPILOGUE_GELU_AUX_BIAS : CUBLASLT_EPILOGUE_GELU_AUX;
    way.operands.d = op.activated.data();
    way.operands.vector = op.bias.data();
    way.operands.auxiliary = op.c.data();
    way.kind.alignment = std::min(way.kind.alignment, alignment_of({{op.bias.data(), 0, op.c.dtype()}}));
  } else {
    way.kind.epilogue = CUBLASLT_EPILOGUE_DGELU;
    way.operands.auxiliary = op.derivative_at.data();
  }
  way.rest.bias = way.rest.derivative_at = way.rest.activated = {};
  return way;
}

MatmulWay row_sums_way(const Matmul& op, bool tf32) {
  MatmulWay way = bare_way(op, tf32);
  way.kind.epilogue = CUBLASLT_EPILOGUE_BGRADB;
  way.workspace_floats = way.kind.m;
  way.row_sums = op.row_sums;
  way.rest.row_sums = {};
  return way;
}

}  // namespace

PlacedWay placed(const MatmulWay& way, Workspace& workspace) {
  PlacedWay place{.operands = way.operands};
  if (way.workspace_floats == 0) return place;
  float* scratch = workspace.get<float>(way.workspace_floats);
  if (way.row_sums) place.operands.vector = place.sums = scratch;
  else place.operands.d = place.products = scratch;
  return place;
}

void finish(const MatmulWay& way, const PlacedWay& place, const Context& context) {
  matmul_epilogue(way.rest, place.products, context);
  if (place.sums) add_row_sums(place.sums, way.row_sums, context);
  if (way.rest.row_sums) column_sum({.input = way.rest.a, .output = way.rest.row_sums}, context);
}

std::vector<MatmulWay> ways_of(const Matmul& op, bool tf32) {
  std::vector<MatmulWay> ways;
  if (fits_gelu(op)) ways.push_back(gelu_way(op, tf32));
  if (op.row_sums && op.c.dtype() == DType::kFloat32 && !op.bias && !op.derivative_at && !op.activated)
    ways.push_back(row_sums_way(op, tf32));
  ways.push_back(plain_way(op, tf32));
  return ways;
}

}  // namespace mpibert::cuda
