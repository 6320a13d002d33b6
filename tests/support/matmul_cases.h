#pragma once

// The products of a BERT, and odd ones: one list for tests and benchmarks.

#include <cstdint>
#include <string>
#include <vector>

#include "mpibert/ops/ops.h"

namespace mpibert {

struct MatmulCase {
  std::string name;
  int64_t m = 1, n = 1, k = 1;
  bool transpose_a = false, transpose_b = false;
  float alpha = 1, beta = 0;
  bool bias = false;
  Activation activation = Activation::kNone;
  bool derivative = false;    // the epilogue multiplies by activation'(derivative_at); else it writes activated
  bool float_output = false;  // c is fp32 also where a and b are bf16
  bool row_sums = false;      // with transpose_a
};

// Small enough for a triple loop.
inline std::vector<MatmulCase> matmul_test_cases() {
  std::vector<MatmulCase> cases;
  // Forward, data gradient, weight gradient, and both transposed, for odd sizes around the block sizes.
  struct Size {
    int64_t m, n, k;
  };
  for (const Size s :
       {Size{1, 1, 1}, Size{1, 7, 3}, Size{5, 2, 33}, Size{17, 31, 64}, Size{64, 48, 40}, Size{65, 96, 32}, Size{203, 130, 71},
        Size{333, 65, 129}, Size{1, 257, 96}, Size{96, 100, 577}, Size{48, 33, 1100}, Size{400, 128, 128}}) {
    const std::string size = std::to_string(s.m) + "x" + std::to_string(s.n) + "x" + std::to_string(s.k);
    cases.push_back({"forward_" + size, s.m, s.n, s.k, false, true, 1, 0, true});
    cases.push_back({"data_gradient_" + size, s.m, s.n, s.k, false, false});
    cases.push_back({"weight_gradient_" + size, s.m, s.n, s.k, true, false, 1, 1, false, Activation::kNone, false, true, true});
    cases.push_back({"weight_gradient_compute_" + size, s.m, s.n, s.k, true, false, 1, 0, false, Activation::kNone, false, false, true});
    cases.push_back({"both_transposed_" + size, s.m, s.n, s.k, true, true, 0.5f, 2, true, Activation::kNone, false, true});
  }
  for (const Activation kind : {Activation::kGelu, Activation::kGeluTanh, Activation::kRelu, Activation::kTanh}) {
    const std::string name = std::to_string(static_cast<int>(kind));
    cases.push_back({"activated_" + name, 77, 50, 48, false, true, 1, 0, true, kind});
    cases.push_back({"activated_scaled_" + name, 130, 64, 48, false, true, 0.25f, 0.5f, true, kind});
    cases.push_back({"derivative_" + name, 77, 50, 48, false, false, 1, 0, false, kind, true});
    cases.push_back({"derivative_float_" + name, 33, 50, 48, true, false, 2, 1, true, kind, true, true});
  }
  for (const bool bias : {false, true}) {  // aligned, so that a library may do the activation
    cases.push_back({std::string("gelu_tanh") + (bias ? "_bias" : ""), 77, 48, 40, false, true, 1, 0, bias, Activation::kGeluTanh});
    cases.push_back(
        {std::string("gelu_tanh_derivative") + (bias ? "_bias" : ""), 77, 48, 40, false, false, 1, 0, bias, Activation::kGeluTanh, true});
  }
  cases.push_back({"weight_gradient_without_sums", 64, 48, 40, true, false, 1, 1, false, Activation::kNone, false, true});
  cases.push_back({"scaled", 40, 40, 40, false, false, -3, 0.5f, true});
  cases.push_back({"accumulated", 150, 40, 40, false, true, 1, 1, true});
  // As many columns, or as long a K, as a vocabulary: cut in other ways.
  cases.push_back({"decoder", 35, 8211, 16, false, true, 1, 0, true});
  cases.push_back({"decoder_many_rows", 530, 8200, 3, false, true, 1, 1, true});
  cases.push_back({"decoder_data_gradient", 37, 24, 8219, false, false, 1, 0.5f});
  cases.push_back({"decoder_data_gradient_many_rows", 515, 8, 8200, false, false, 2, 0, true, Activation::kGelu});
  cases.push_back({"decoder_weight_gradient", 8211, 24, 35, true, false, 1, 1, false, Activation::kNone, false, true});
  cases.push_back({"empty_sum", 5, 9, 0, true, false, 1, 1, true, Activation::kNone, false, true, true});
  cases.push_back({"empty_rows", 0, 9, 4, false, true, 1, 0, true});
  return cases;
}

// The products of a layer with T tokens: hidden H, intermediate I = 4 H.
inline std::vector<MatmulCase> matmul_layer_cases(const std::string& model, int64_t t, int64_t h) {
  const auto forward = [&](std::string name, int64_t n, int64_t k, Activation kind = Activation::kNone) {
    return MatmulCase{model + "/" + name, t, n, k, false, true, 1, 0, true, kind};
  };
  const auto data = [&](std::string name, int64_t n, int64_t k, Activation kind = Activation::kNone) {
    return MatmulCase{model + "/" + name, t, n, k, false, false, 1, 0, false, kind, kind != Activation::kNone};
  };
  const auto weight = [&](std::string name, int64_t m, int64_t n) {
    return MatmulCase{model + "/" + name, m, n, t, true, false, 1, 1, false, Activation::kNone, false, true, true};
  };
  return {forward("qkv_forward", 3 * h, h),
          forward("output_forward", h, h),
          forward("up_forward_gelu", 4 * h, h, Activation::kGelu),
          forward("down_forward", h, 4 * h),
          data("qkv_data_gradient", h, 3 * h),
          data("down_data_gradient_gelu", 4 * h, h, Activation::kGelu),
          data("up_data_gradient", h, 4 * h),
          weight("qkv_weight_gradient", 3 * h, h),
          weight("output_weight_gradient", h, h),
          weight("up_weight_gradient", 4 * h, h),
          weight("down_weight_gradient", h, 4 * h)};
}

}  // namespace mpibert
