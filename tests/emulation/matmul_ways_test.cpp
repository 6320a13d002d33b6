// What of an operation the library is asked to do.

#include "ops/cuda/matmul_ways.h"

#include <gtest/gtest.h>

namespace mpibert::test {
namespace {

using cuda::MatmulWay;

constexpr uintptr_t kAddress = 0x1000;  // nothing is read there

Tensor matrix(DType dtype, int64_t rows, int64_t columns, uintptr_t offset = 0) {
  return Tensor(reinterpret_cast<void*>(kAddress + offset), dtype, {rows, columns}, {DeviceType::kCuda, 0});
}

std::vector<cublasLtEpilogue_t> epilogues_of(const Matmul& op) {
  std::vector<cublasLtEpilogue_t> epilogues;
  for (const MatmulWay& way : cuda::ways_of(op, false)) epilogues.push_back(way.kind.epilogue);
  return epilogues;
}

// [6, n] = [6, 8] [8, n] and its activation.
Matmul activated(DType dtype, int64_t n, Activation activation, bool bias, uintptr_t offset = 0) {
  Matmul op{.a = matrix(dtype, 6, 8),
            .b = matrix(dtype, 8, n),
            .activation = activation,
            .c = matrix(dtype, 6, n, offset),
            .activated = matrix(dtype, 6, n)};
  if (bias) op.bias = matrix(dtype, 1, n).reshape({n});
  return op;
}

TEST(MatmulWays, GeluByTanhIsTheLibrarysWhereItsRulesHold) {
  using Epilogues = std::vector<cublasLtEpilogue_t>;
  const DType bf16 = DType::kBFloat16;
  EXPECT_EQ(epilogues_of(activated(bf16, 16, Activation::kGeluTanh, true)),
            (Epilogues{CUBLASLT_EPILOGUE_GELU_AUX_BIAS, CUBLASLT_EPILOGUE_BIAS}));
  EXPECT_EQ(epilogues_of(activated(DType::kFloat16, 16, Activation::kGeluTanh, false)),
            (Epilogues{CUBLASLT_EPILOGUE_GELU_AUX, CUBLASLT_EPILOGUE_DEFAULT}));
  EXPECT_EQ(epilogues_of(activated(bf16, 16, Activation::kGelu, true)), Epilogues{CUBLASLT_EPILOGUE_BIAS}) << "by erf";
  EXPECT_EQ(epilogues_of(activated(DType::kFloat32, 16, Activation::kGeluTanh, true)), Epilogues{CUBLASLT_EPILOGUE_BIAS}) << "fp32";
  EXPECT_EQ(epilogues_of(activated(bf16, 12, Activation::kGeluTanh, true)), Epilogues{CUBLASLT_EPILOGUE_BIAS}) << "rows of 24 bytes";
  EXPECT_EQ(epilogues_of(activated(bf16, 16, Activation::kGeluTanh, true, 8)), Epilogues{CUBLASLT_EPILOGUE_BIAS})
      << "an address of 8 bytes";
  Matmul op = activated(bf16, 16, Activation::kGeluTanh, true);
  op.beta = 1;
  EXPECT_EQ(epilogues_of(op), Epilogues{CUBLASLT_EPILOGUE_BIAS}) << "beta";

  const Matmul backward{.a = matrix(bf16, 6, 8),
                        .b = matrix(bf16, 8, 16),
                        .activation = Activation::kGeluTanh,
                        .derivative_at = matrix(bf16, 6, 16),
                        .c = matrix(bf16, 6, 16)};
  EXPECT_EQ(epilogues_of(backward), (Epilogues{CUBLASLT_EPILOGUE_DGELU, CUBLASLT_EPILOGUE_DEFAULT}));
  EXPECT_EQ(cuda::ways_of(backward, false)[1].kind.output, DType::kFloat32) << "our own pass rounds once, after the derivative";
}

TEST(MatmulWays, SumsOfRowsAreTheLibrarysWhereTheyAreNotRounded) {
  using Epilogues = std::vector<cublasLtEpilogue_t>;
  Matmul op{
      .a = matrix(DType::kBFloat16, 8, 6), .b = matrix(DType::kBFloat16, 8, 16), .transpose_a = true, .c = matrix(DType::kFloat32, 6, 16)};
  op.row_sums = matrix(DType::kFloat32, 1, 6).reshape({6});
  EXPECT_EQ(epilogues_of(op), (Epilogues{CUBLASLT_EPILOGUE_BGRADB, CUBLASLT_EPILOGUE_DEFAULT}));
  EXPECT_FALSE(cuda::ways_of(op, false)[0].rest.row_sums);
  EXPECT_TRUE(cuda::ways_of(op, false)[1].rest.row_sums);
  op.c = matrix(DType::kBFloat16, 6, 16);
  EXPECT_EQ(epilogues_of(op), Epilogues{CUBLASLT_EPILOGUE_DEFAULT});
}

// [6, 8] [8, n]: the smallest power of two, up to 16, that divides addresses and bytes of rows.
TEST(MatmulWays, AnAlignmentIsThatOfAllOperands) {
  const auto alignment = [](int64_t n, uintptr_t offset) {
    return cuda::ways_of(
               {.a = matrix(DType::kBFloat16, 6, 8), .b = matrix(DType::kBFloat16, 8, n), .c = matrix(DType::kBFloat16, 6, n, offset)},
               false)[0]
        .kind.alignment;
  };
  EXPECT_EQ(alignment(16, 0), 16u);
  EXPECT_EQ(alignment(16, 4), 4u);
  EXPECT_EQ(alignment(12, 0), 8u);
  EXPECT_EQ(alignment(5, 0), 2u);
}

}  // namespace
}  // namespace mpibert::test
