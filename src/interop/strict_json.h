#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace mpibert {

// Parses JSON that may come from anyone: nesting deeper than `max_depth` and a key used twice in one object are refused, because a deep
// value cannot be copied or written without overflowing the stack, and because readers disagree on which of two equal keys counts.
// Throws kCorrupt naming `where`.
nlohmann::json parse_strict_json(std::string_view text, const std::string& where, int max_depth = 64);

// Members of an object, with errors that name the member and `where`.
const nlohmann::json& json_member(const nlohmann::json& object, const char* key, const std::string& where);
std::string json_string(const nlohmann::json& object, const char* key, const std::string& where);
int64_t json_count(const nlohmann::json& object, const char* key, const std::string& where);  // an integer, 0 .. 2^63 - 1

}  // namespace mpibert
