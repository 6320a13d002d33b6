#include "model/device_batch.h"

#include <cstring>

namespace mpibert {

namespace {

constexpr size_t kAlignment = 256;

size_t place_of(const Tensor& field) { return (field.bytes() + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

const Batch& DeviceBatch::put(Backend& backend, const Batch& host) {
  if (backend.device().type == DeviceType::kCpu) return host;
  size_t bytes = kAlignment;
  for (const auto& [name, field] : host.fields()) bytes += place_of(field);
  if (bytes > memory_.bytes()) memory_ = backend.allocate(bytes);
  fields_.resize(bytes);
  copy_ = Batch();
  copy_.set_extent(host.tokens(), host.sequences(), host.max_seq_length());
  copy_.set_sample_ids(host.sample_ids());
  size_t at = 0;
  for (const auto& [name, field] : host.fields()) {
    if (field.bytes() > 0) std::memcpy(fields_.data() + at, field.data(), field.bytes());
    copy_.add_view(name, memory_.view(field.dtype(), field.shape(), at));
    at += place_of(field);
  }
  const Shape all{static_cast<int64_t>(bytes)};
  backend.upload(Tensor(fields_.data(), DType::kUInt8, all, Device{}), memory_.view(DType::kUInt8, all));
  return copy_;
}

}  // namespace mpibert
