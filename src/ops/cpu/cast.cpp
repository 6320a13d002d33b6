#include <cstring>

#include "ops/cpu/convert.h"
#include "ops/cpu/element.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/parallel.h"

namespace mpibert::cpu {
namespace {

template <class From, class To>
void run(const Cast& op) {
  const From* input = data<From>(op.input);
  To* output = data<To>(op.output);
  parallel_elements(op.input.size(), [=](int64_t begin, int64_t end) { convert(input + begin, output + begin, end - begin); });
}

}  // namespace

void copy_bytes(void* to, const void* from, size_t bytes) {
  parallel_elements(static_cast<int64_t>(bytes), [=](int64_t begin, int64_t end) {
    std::memcpy(static_cast<std::byte*>(to) + begin, static_cast<const std::byte*>(from) + begin, static_cast<size_t>(end - begin));
  });
}

void zero_bytes(void* to, size_t bytes) {
  parallel_elements(static_cast<int64_t>(bytes), [=](int64_t begin, int64_t end) {
    std::memset(static_cast<std::byte*>(to) + begin, 0, static_cast<size_t>(end - begin));
  });
}

void cast(const Cast& op) {
  if (op.input.dtype() == op.output.dtype()) {
    if (op.input.data() != op.output.data()) copy_bytes(op.output.data(), op.input.data(), op.input.bytes());
  } else if (op.input.dtype() == DType::kFloat32) {
    run<float, bfloat16>(op);
  } else {
    run<bfloat16, float>(op);
  }
}

}  // namespace mpibert::cpu
