#include "mpibert/base/options.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "mpibert/base/error.h"
#include "mpibert/base/parse_number.h"

namespace mpibert {

namespace {

std::string canonical(std::string_view name) {
  std::string out(name);
  std::replace(out.begin(), out.end(), '_', '-');
  return out;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n') out += "\\n";
    else if (c == '\t') out += "\\t";
    else out += c;
  }
  return out + '"';
}

template <class Number>
Number number_of(const Option& option, const std::string& text, const char* kind) {
  const std::optional<Number> value = parse_number<Number>(text);
  MPIBERT_CHECK(value, kUsage, "--", option.name, " expects ", kind, ", not '", text, "'");
  MPIBERT_CHECK(static_cast<double>(*value) >= option.minimum && static_cast<double>(*value) <= option.maximum, kUsage, "--", option.name,
                " is ", text, "; it must be ",
                option.maximum < std::numeric_limits<double>::infinity() ? str_cat("from ", option.minimum, " to ", option.maximum)
                                                                         : str_cat("at least ", option.minimum));
  return *value;
}

void assign(Option& option, const std::vector<std::string>& values) {
  if (auto* list = std::get_if<std::vector<std::string>*>(&option.target)) {
    **list = values;
    return;
  }
  MPIBERT_CHECK(values.size() == 1, kUsage, "--", option.name, " takes one value, not ", values.size());
  const std::string& text = values.front();
  if (auto* integer = std::get_if<int64_t*>(&option.target)) {
    **integer = number_of<int64_t>(option, text, "a whole number");
  } else if (auto* real = std::get_if<double*>(&option.target)) {
    **real = number_of<double>(option, text, "a number");
  } else if (auto* flag = std::get_if<bool*>(&option.target)) {
    MPIBERT_CHECK(text == "true" || text == "false", kUsage, "--", option.name, " expects true or false, not '", text, "'");
    **flag = text == "true";
  } else {
    if (!option.choices.empty() && std::find(option.choices.begin(), option.choices.end(), text) == option.choices.end()) {
      std::string known;
      for (const std::string& choice : option.choices) known += (known.empty() ? "" : ", ") + choice;
      const std::string meant = nearest_name(text, option.choices);
      throw Error(ErrorKind::kUsage, str_cat("--", option.name, " is one of ", known, "; not '", text, "'",
                                             meant.empty() ? "" : str_cat(" (did you mean ", meant, "?)")));
    }
    *std::get<std::string*>(option.target) = text;
  }
}

}  // namespace

void Options::add(Option option) {
  MPIBERT_ASSERT(find(option.name) == nullptr);
  for (const std::string& alias : option.aliases) MPIBERT_ASSERT(find(alias) == nullptr);
  options_.push_back(std::move(option));
}

const Option* Options::find(std::string_view name) const { return const_cast<Options*>(this)->lookup(name); }

Option* Options::lookup(std::string_view name) {
  const std::string wanted = canonical(name);
  for (Option& option : options_) {
    if (option.name == wanted) return &option;
    for (const std::string& alias : option.aliases)
      if (canonical(alias) == wanted) return &option;
  }
  return nullptr;
}

void Options::set(std::string_view name, const std::vector<std::string>& values, const std::string& origin) {
  Option* option = lookup(name);
  if (!option) {
    const std::string meant = nearest(name);
    throw Error(ErrorKind::kUsage, str_cat("unknown option '", name, "'", meant.empty() ? "" : str_cat("; did you mean '", meant, "'?"),
                                           origin == "flag" ? "" : str_cat(" (in ", origin, ")")));
  }
  try {
    assign(*option, values);
  } catch (const Error& error) {
    if (origin == "flag") throw;
    throw Error(error.kind(), str_cat(error.what(), " (in ", origin, ")"));
  }
  option->origin = origin;
}

std::string Options::nearest(std::string_view name) const {
  std::vector<std::string> known;
  for (const Option& option : options_) {
    known.push_back(option.name);
    known.insert(known.end(), option.aliases.begin(), option.aliases.end());
  }
  return nearest_name(canonical(name), known);
}

void Options::check_required() const {
  for (const Option& option : options_)
    MPIBERT_CHECK(!option.required || option.origin != "default", kUsage, "--", option.name, " is missing: ", option.help);
}

std::string Options::value_text(const Option& option) {
  if (auto* text = std::get_if<std::string*>(&option.target)) return quoted(**text);
  if (auto* integer = std::get_if<int64_t*>(&option.target)) return std::to_string(**integer);
  if (auto* flag = std::get_if<bool*>(&option.target)) return **flag ? "true" : "false";
  if (auto* real = std::get_if<double*>(&option.target)) {
    const std::string digits = number_text(**real);
    return digits.find_first_of(".en") == std::string::npos ? digits + ".0" : digits;
  }
  std::string out = "[";
  for (const std::string& item : *std::get<std::vector<std::string>*>(option.target)) out += (out.size() > 1 ? ", " : "") + quoted(item);
  return out + "]";
}

std::string Options::toml() const {
  std::string out;
  for (const Option& option : options_) out += str_cat(option.name, " = ", value_text(option), "  # ", option.origin, "\n");
  return out;
}

int64_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<int64_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 0; i < a.size(); ++i) {
    int64_t diagonal = row[0];
    row[0] = static_cast<int64_t>(i) + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const int64_t substituted = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, substituted});
    }
  }
  return row.back();
}

std::string nearest_name(std::string_view name, const std::vector<std::string>& known) {
  std::string best;
  int64_t best_distance = std::max<int64_t>(2, static_cast<int64_t>(name.size()) / 3) + 1;
  for (const std::string& candidate : known) {
    const int64_t distance = edit_distance(name, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::vector<std::string> split_at_commas(const std::vector<std::string>& words) {
  constexpr std::string_view kWhite = " \t\r\n";
  std::vector<std::string> parts;
  const auto add = [&](std::string_view part) {
    part.remove_prefix(std::min(part.find_first_not_of(kWhite), part.size()));
    parts.emplace_back(part.substr(0, part.find_last_not_of(kWhite) + 1));
  };
  for (std::string_view rest : words) {
    for (size_t comma = rest.find(','); comma != std::string_view::npos; comma = rest.find(',')) {
      add(rest.substr(0, comma));
      rest.remove_prefix(comma + 1);
    }
    add(rest);
  }
  return parts;
}

std::string number_text(double value) {
  std::array<char, 40> digits{};
  const auto result = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  return {digits.data(), result.ptr};
}

}  // namespace mpibert
