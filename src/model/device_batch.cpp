#include "model/device_batch.h"

#include <algorithm>

#include "model/padding.h"

namespace mpibert {

namespace {

constexpr int64_t kAlignment = 64;  // of a field, in numbers: 256 bytes

int64_t place_of(int64_t numbers) { return (numbers + kAlignment - 1) / kAlignment * kAlignment; }

int64_t numbers_of(const BatchShape& shape, const Schema& labels) {
  int64_t numbers = 4 * place_of(shape.tokens) + place_of(shape.sequences) + place_of(shape.sequences + 1);
  for (const Field& label : labels)
    numbers += place_of(label.per == Per::kToken ? shape.tokens : label.per == Per::kSequence ? shape.sequences : shape.predictions);
  return numbers;
}

}  // namespace

void DeviceBatch::plan(ActivationArena& arena, const Backend& backend, const BatchLimits& padded, const Schema& labels) {
  labels_ = labels;
  memory_ = backend.device().type == DeviceType::kCpu ? nullptr : &arena.saved("batch", DType::kInt32, {numbers_of(padded, labels)});
}

const Batch& DeviceBatch::put(Backend& backend, const Batch& host) {
  if (!memory_) return host;
  const Batch padded = pad(host, labels_);
  const Tensor memory = memory_->as({numbers_of(shape_of(padded), labels_)});
  fields_.resize(static_cast<size_t>(memory.size()));
  const Tensor fields = host_tensor(std::span(fields_), memory.shape());
  copy_ = Batch();
  copy_.set_extent(padded.tokens(), padded.sequences(), padded.max_seq_length(), padded.choices());
  int64_t begin = 0;
  for (const auto& [name, field] : padded.fields()) {
    const int64_t end = begin + field.size();
    std::ranges::copy(Tensor(field.data(), DType::kInt32, field.shape()).span<int32_t>(),
                      fields.elements(begin, end).span<int32_t>().begin());
    copy_.add_view(name, Tensor(memory.elements(begin, end).data(), field.dtype(), field.shape(), memory.device()));
    begin += place_of(field.size());
  }
  backend.upload(fields.elements(0, begin), memory.elements(0, begin));
  return copy_;
}

}  // namespace mpibert
