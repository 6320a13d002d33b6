#pragma once

#include <string>
#include <string_view>

namespace mpibert {

// The string that a JSON object has under a name, into `text`. Empty, or what is wrong with the line: no object, no such member, one that
// is no string.
std::string text_field_of(std::string_view line, const std::string& name, std::string& text);

}  // namespace mpibert
