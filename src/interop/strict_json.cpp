#include "interop/strict_json.h"

#include <limits>
#include <set>
#include <vector>

#include "mpibert/base/error.h"

namespace mpibert {

using nlohmann::json;

json parse_strict_json(std::string_view text, const std::string& where, int max_depth) {
  std::vector<std::set<std::string>> keys;  // of the containers that are open; an array has none
  const auto check = [&](int, json::parse_event_t event, json& parsed) {
    switch (event) {
      case json::parse_event_t::object_start:
      case json::parse_event_t::array_start:
        keys.emplace_back();
        MPIBERT_CHECK(static_cast<int>(keys.size()) <= max_depth, kCorrupt, where, ": JSON nested deeper than ", max_depth);
        break;
      case json::parse_event_t::object_end:
      case json::parse_event_t::array_end:
        keys.pop_back();
        break;
      case json::parse_event_t::key:
        MPIBERT_CHECK(keys.back().insert(parsed.get<std::string>()).second, kCorrupt, where, ": the key ", parsed.dump(),
                      " stands twice in one object");
        break;
      case json::parse_event_t::value:
        break;
    }
    return true;
  };
  try {
    return json::parse(text, check);
  } catch (const json::exception& error) {
    throw Error(ErrorKind::kCorrupt, str_cat(where, ": not JSON: ", error.what()));
  }
}

const json& json_member(const json& object, const char* key, const std::string& where) {
  MPIBERT_CHECK(object.is_object(), kCorrupt, where, ": expected a JSON object, found ", object.type_name());
  const auto found = object.find(key);
  MPIBERT_CHECK(found != object.end(), kCorrupt, where, ": \"", key, "\" is missing");
  return *found;
}

std::string json_string(const json& object, const char* key, const std::string& where) {
  const json& value = json_member(object, key, where);
  MPIBERT_CHECK(value.is_string(), kCorrupt, where, ": \"", key, "\" is not a string but ", value.type_name());
  return value.get<std::string>();
}

int64_t json_count(const json& object, const char* key, const std::string& where) {
  const json& value = json_member(object, key, where);
  MPIBERT_CHECK(value.is_number_unsigned() && value.get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()), kCorrupt,
                where, ": \"", key, "\" is not a count");
  return value.get<int64_t>();
}

}  // namespace mpibert
