#pragma once

#include <map>
#include <optional>
#include <string>

#include "ops/cuda/matmul_plan.h"

namespace mpibert::cuda {

// The class of kinds that share a choice: m, n and k rounded up to four significant bits, so that classes are at most an eighth wide.
MatmulKind class_of(const MatmulKind& kind);

// What was found by measuring one kind of a class.
struct MatmulChoice {
  std::optional<MatmulAlgorithm> algorithm;         // none: nothing is faster than the library's first choice
  bool declined = false;                            // of a fused kind: the product alone and passes of our own are faster together
  double microseconds = 0, first_microseconds = 0;  // of a product: so computed, and by the library's first choice; for people
};

// One line for people: the members as in the text below.
std::string text_of(const MatmulAlgorithm& algorithm);

// Choices by class, and their text:
//
//   {"format": "mpibert matmul algorithms", "version": 1, "platform": "NVIDIA-H200-sm90-132mp-cublaslt-13.1.0", "products": [
//   {"m": 2048, "n": 768, "k": 3072, "transpose_a": false, "transpose_b": true, "keeps_c": false, "epilogue": "bias", "compute": "bf16",
//    "output": "bf16", "tf32": false, "alignment": 16,
//    "algorithm": {"id": 66, "tile": 20, "stages": 36, "split_k": 1, "reduction": 0, "swizzling": 0, "custom_option": 0, "inner_shape": 0,
//                  "cluster_shape": 2},
//    "declined": false, "microseconds": 23.1, "first_microseconds": 25.4}
//   ]}
//
// m, n and k are those of the class; the names are members of MatmulKind and MatmulAlgorithm. "algorithm" is
// null where the library's first choice stays.
struct MatmulTable {
  std::string platform;  // MatmulTuner::platform() where it was measured
  std::map<MatmulKind, MatmulChoice> choices;

  std::string to_json() const;
  // Throws kCorrupt, saying what is wrong: also of an algorithm that does not add in a fixed order.
  static MatmulTable from_json(const std::string& text);
};

}  // namespace mpibert::cuda
