#include "interop/named_tensors.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "mpibert/base/error.h"

namespace mpibert {

namespace {

bool is_utf8(const std::string& text) {
  try {
    nlohmann::json(text).dump();
    return true;
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

}  // namespace

void check_named_tensors(const std::vector<NamedTensor>& tensors) {
  std::vector<std::string_view> names;
  for (const NamedTensor& tensor : tensors) {
    MPIBERT_CHECK(!tensor.name.empty() && is_utf8(tensor.name), kInvalidArgument, "a tensor cannot be named \"", tensor.name,
                  "\": names are UTF-8 and not empty");
    const size_t bytes = static_cast<size_t>(tensor.shape.size()) * bytes_of(tensor.dtype);
    MPIBERT_CHECK(tensor.bytes.size() == bytes, kInvalidArgument, "tensor \"", tensor.name, "\": ", name_of(tensor.dtype), " ",
                  tensor.shape.text(), " takes ", bytes, " bytes, but ", tensor.bytes.size(), " are given");
    names.push_back(tensor.name);
  }
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  MPIBERT_CHECK(twice == names.end(), kInvalidArgument, "two tensors are named \"", *twice, "\"");
}

}  // namespace mpibert
