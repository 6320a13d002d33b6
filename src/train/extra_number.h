#pragma once

#include <map>
#include <optional>
#include <string>

#include "mpibert/base/error.h"
#include "mpibert/base/parse_number.h"

namespace mpibert {

// A number of a checkpoint's `extra`, none if it is not there. Throws kCorrupt for what is no number.
template <class Number>
std::optional<Number> extra_number(const std::map<std::string, std::string>& extra, const std::string& name) {
  const auto found = extra.find(name);
  if (found == extra.end()) return std::nullopt;
  const std::optional<Number> number = parse_number<Number>(found->second);
  MPIBERT_CHECK(number, kCorrupt, "state.json: extra.", name, " is '", found->second, "', expected a number");
  return number;
}

}  // namespace mpibert
