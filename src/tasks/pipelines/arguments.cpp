#include <algorithm>

#include "mpibert/base/error.h"
#include "tasks/pipelines/pipelines.h"

namespace mpibert {

namespace {

std::string listed(const std::vector<std::string_view>& names) {
  std::string text;
  for (const std::string_view name : names) text += str_cat(text.empty() ? "" : ", ", name);
  return text;
}

}  // namespace

PipelineArguments::PipelineArguments(const PipelineInput& input, const std::vector<std::string_view>& names) : where_(input.where) {
  nlohmann::json value = input.text;
  if (input.json) value = nlohmann::json::parse(input.text, nullptr, false);
  MPIBERT_CHECK(!value.is_discarded(), kCorrupt, where_, ": not JSON: expected an object a line, found '", input.text.substr(0, 60), "'");
  if (value.is_string()) value = {{names.front(), value}};
  MPIBERT_CHECK(value.is_object(), kCorrupt, where_, ": expected an object with ", listed(names), ", or a string; found ",
                value.type_name());
  if (const auto parameters = value.find("parameters"); parameters != value.end() && parameters->is_object()) {
    const nlohmann::json inner = *parameters;
    value.erase(parameters);
    value.update(inner);
  }
  for (const auto& [key, unused] : value.items())
    MPIBERT_CHECK(std::ranges::find(names, key) != names.end(), kCorrupt, where_, ": '", key,
                  "' is no argument of this pipeline, which has ", listed(names));
  object_ = std::move(value);
}

void PipelineArguments::refuse(std::string_view name, const char* expected) const {
  throw Error(ErrorKind::kCorrupt, str_cat(where_, ": '", name, "' is ", object_.at(name).type_name(), "; expected ", expected));
}

std::string PipelineArguments::text(const std::vector<std::string_view>& names) const {
  std::optional<std::string> found;
  for (const std::string_view name : names) {
    if (!has(name)) continue;
    MPIBERT_CHECK(!found, kCorrupt, where_, ": has a text twice; one of ", listed(names), " is expected");
    found = text_or(name, std::nullopt);
  }
  MPIBERT_CHECK(found, kCorrupt, where_, ": has no text; '", names.front(), "' is expected");
  return *found;
}

std::optional<std::string> PipelineArguments::text_or(std::string_view name, const std::optional<std::string>& otherwise) const {
  if (!has(name)) return otherwise;
  if (!object_.at(name).is_string()) refuse(name, "a string");
  return object_.at(name).get<std::string>();
}

std::optional<int64_t> PipelineArguments::integer_or(std::string_view name, const std::optional<int64_t>& otherwise) const {
  if (!has(name)) return otherwise;
  if (!object_.at(name).is_number_integer()) refuse(name, "a whole number");
  return object_.at(name).get<int64_t>();
}

bool PipelineArguments::boolean_or(std::string_view name, bool otherwise) const {
  if (!has(name)) return otherwise;
  if (!object_.at(name).is_boolean()) refuse(name, "true or false");
  return object_.at(name).get<bool>();
}

std::vector<std::string> PipelineArguments::texts_or(std::string_view name, const std::vector<std::string>& otherwise) const {
  if (!has(name)) return otherwise;
  const nlohmann::json& value = object_.at(name);
  if (value.is_string()) return {value.get<std::string>()};
  if (!value.is_array() || !std::ranges::all_of(value, [](const auto& each) { return each.is_string(); }))
    refuse(name, "a string or a list of strings");
  return value.get<std::vector<std::string>>();
}

}  // namespace mpibert
