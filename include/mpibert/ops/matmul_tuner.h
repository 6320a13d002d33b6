#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "mpibert/ops/ops.h"

namespace mpibert {

// By which of a library's algorithms a device computes its matrix products. The algorithm decides the last bits of a product: all ranks of
// a job must use one table, and a run that goes on the table it began with. What a table does not hold is computed by the library's first
// choice.
//
// A kind of product: its dimensions, each rounded up to four significant bits so that counts of tokens fall in classes, what is transposed
// and fused, types, and alignment. Sums are added in a fixed order by every algorithm that can be chosen.
class MatmulTuner {
 public:
  virtual ~MatmulTuner() = default;

  // What a table is good for: device and library, in words that can be part of a file's name: "NVIDIA-H200-sm90-cublaslt-12.4.2".
  virtual std::string platform() const = 0;
  // The table as JSON (the grammar is in src/ops/cuda/matmul_table.h), of this platform.
  virtual std::string table() const = 0;
  // Takes the place of the table. Throws kCorrupt where the text is none, kInvalidArgument where it is of another platform; the old one
  // stays then.
  virtual void use(const std::string& table) = 0;
  // Measures those kinds that the table lacks, on memory of its own that is freed again, and adds them. Waits. Of a product's operands
  // shapes, types and the alignment of addresses count: there need be nothing at them. Returns how many kinds were measured.
  virtual int64_t measure(std::span<const Matmul> products) = 0;
  // By what a product is computed, for people.
  virtual std::string algorithm_of(const Matmul& product) = 0;
};

}  // namespace mpibert
