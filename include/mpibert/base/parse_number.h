#pragma once

#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

namespace mpibert {

// The number that all of `text` spells, in the decimal notation of C++ whatever the locale, without white space or a leading '+'; an
// integer may be given in another base. None if `text` spells no number or one outside Number's range. Floating point: "inf" and "nan" are
// numbers.
template <class Number, class... Base>
std::optional<Number> parse_number(std::string_view text, Base... base) {
  Number value{};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value, base...);
  return code == std::errc{} && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

}  // namespace mpibert
