#include "mpibert/ops/host_cast.h"

#include <algorithm>

#include "mpibert/base/error.h"
#include "ops/element.h"

namespace mpibert {

void host_cast(const Tensor& from, const Tensor& to) {
  for (const Tensor* t : {&from, &to})
    MPIBERT_CHECK(t->device().type == DeviceType::kCpu && is_float(t->dtype()) && t->size() == from.size(), kInvalidArgument,
                  "host_cast: expected ", from.size(), " numbers of fp32, bf16 or fp16 on the host, found ", t->size(), " of ",
                  name_of(t->dtype()));
  with_type<float, bfloat16, float16>(from.dtype(), [&]<class From>(From) {
    with_type<float, bfloat16, float16>(to.dtype(), [&]<class To>(To) {
      std::ranges::transform(from.span<From>(), to.span<To>().begin(), [](From x) { return To(static_cast<float>(x)); });
    });
  });
}

std::vector<float> host_floats(Backend& backend, const Tensor& tensor) {
  std::vector<float> numbers(static_cast<size_t>(tensor.size()));
  if (tensor.dtype() == DType::kFloat32) {
    backend.download(tensor, host_tensor(std::span(numbers), tensor.shape()));
    return numbers;
  }
  std::vector<std::byte> bytes(tensor.bytes());
  const Tensor stored(bytes.data(), tensor.dtype(), tensor.shape());
  backend.download(tensor, stored);
  host_cast(stored, host_tensor(std::span(numbers), tensor.shape()));
  return numbers;
}

}  // namespace mpibert
