#pragma once

#include <cstdint>
#include <vector>

#include "mpibert/ops/ops.h"
#include "ops/cpu/matmul_primitives.h"
#include "ops/cpu/workspace.h"

namespace mpibert::cpu {

// bf16 products by oneDNN primitives of one thread each. A work item is a fixed block of c, all of whose rows one thread computes:
//   usual:         a block of whole rows; b is packed into the library's layout before, by all threads
//   many columns:  (b transposed: the MLM decoder) a block of columns of 512 rows; the item packs its part of b itself, while it is in its
//   cache long K:        (the decoder's data gradient) a range of K for 512 rows, likewise; the partial sums are added in order afterwards
// Inside an item, rows come in heights of 128, 64, 32, 16, and K of a transposed a (a weight gradient's T) in pieces of 512 and one
// multiple of 32, filled up with zeros.
class Bfloat16Matmul {
 public:
  void multiply(const Matmul& op);  // operands that are not empty
  int64_t primitives_created() const { return primitives_.created(); }

 private:
  struct Thread {
    Workspace library, products, left, right, tail;
  };
  struct Plan;
  struct Caller;

  void multiply_item(const Plan& plan, int64_t item, Thread& thread, Caller& caller);
  void add_partial_sums(const Plan& plan);
  void pack_shared(Plan& plan);
  dnnl::memory pack(const Plan& plan, size_t piece, int64_t column, int64_t columns, void* packed, Workspace& tail);

  MatmulPrimitives primitives_;
  dnnl::stream stream_{primitives_.engine()};
  Workspace shared_b_, shared_tail_, partial_sums_, plain_b_;
  std::vector<Thread> threads_;
};

}  // namespace mpibert::cpu
