#include "mpibert/data/batch.h"

#include <algorithm>

#include "mpibert/base/error.h"
#include "mpibert/data/schema.h"

namespace mpibert {

namespace {

template <class Named>
std::string names_of(const std::vector<std::pair<std::string, Named>>& fields) {
  std::string names;
  for (const auto& [name, unused] : fields) names += (names.empty() ? "" : ", ") + name;
  return names;
}

}  // namespace

const std::vector<int32_t>& Sample::label(std::string_view name) const {
  for (const auto& [known, values] : labels)
    if (known == name) return values;
  throw Error(ErrorKind::kInvalidArgument, str_cat("a sample has no label '", name, "'; it has: ", names_of(labels)));
}

bool Batch::has(std::string_view name) const {
  for (const auto& [known, tensor] : fields_)
    if (known == name) return true;
  return false;
}

Tensor Batch::operator[](std::string_view name) const {
  for (const auto& [known, tensor] : fields_)
    if (known == name) return tensor;
  throw Error(ErrorKind::kInvalidArgument, str_cat("a batch has no field '", name, "'; it has: ", names_of(fields_)));
}

bool has_field(const Schema& schema, std::string_view name) {
  return std::any_of(schema.begin(), schema.end(), [&](const Field& field) { return field.name == name; });
}

void Batch::set_extent(int64_t tokens, int64_t sequences, int64_t max_seq_length, int64_t choices) {
  tokens_ = tokens;
  sequences_ = sequences;
  max_seq_length_ = max_seq_length;
  choices_ = choices;
}

void Batch::add(std::string name, std::vector<int32_t> values, DType dtype) {
  MPIBERT_CHECK(bytes_of(dtype) == sizeof(int32_t), kInvalidArgument, "field '", name, "' of a batch has 4 bytes an element, not those of ",
                name_of(dtype));
  storage_.push_back(std::move(values));
  add_view(std::move(name), Tensor(storage_.back().data(), dtype, Shape{static_cast<int64_t>(storage_.back().size())}));
}

void Batch::add_view(std::string name, Tensor tensor) {
  MPIBERT_CHECK(!has(name), kInvalidArgument, "a batch has field '", name, "' already");
  fields_.emplace_back(std::move(name), tensor);
}

}  // namespace mpibert
