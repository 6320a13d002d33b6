#pragma once

#include <cstdint>
#include <deque>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace mpibert {

// One setting of a program: where its value lives, what it may be, and what it means. The value the target has when the option is added is
// its default.
struct Option {
  std::string name;  // "learning-rate"; '_' and '-' are the same everywhere
  std::variant<std::string*, int64_t*, double*, bool*, std::vector<std::string>*> target;
  std::string help;
  double minimum = -std::numeric_limits<double>::infinity(), maximum = std::numeric_limits<double>::infinity();  // of numbers
  std::vector<std::string> choices{};                                                                            // of strings; empty: any
  bool required = false;
  std::vector<std::string> aliases{};
  std::string origin = "default";  // who set it last: "default", "FILE", "environment", "flag"
};

// The one table from which the command line, the configuration file, the environment, the help and the saved run are made.
class Options {
 public:
  void add(Option option);  // throws std::logic_error on a name that is taken
  const std::deque<Option>& all() const { return options_; }
  const Option* find(std::string_view name) const;  // by name or alias; null if there is none

  // Sets an option from text. Throws kUsage naming the option, what it may be and what it got; an unknown name gets the nearest known one.
  void set(std::string_view name, const std::vector<std::string>& values, const std::string& origin);
  // "learning-rate" for "lerning-rate"; empty if nothing is near.
  std::string nearest(std::string_view name) const;
  void check_required() const;  // throws kUsage naming what is missing

  // Value as TOML: "text", 12, 0.1, true, ["a", "b"].
  static std::string value_text(const Option& option);
  // All options as a TOML file, the origin of each as a comment. It reads back to the same values.
  std::string toml() const;

 private:
  Option* lookup(std::string_view name);
  std::deque<Option> options_;
};

// Levenshtein distance, for suggestions.
int64_t edit_distance(std::string_view a, std::string_view b);

// The one of `known` nearest to `name` if it is near enough to be meant, else empty.
std::string nearest_name(std::string_view name, const std::vector<std::string>& known);

// The words of an option that takes several, at their commas too and without white space around: "a, b" and "c" are a, b, c. Empty ones
// stay.
std::vector<std::string> split_at_commas(const std::vector<std::string>& words);

// Numbers written so that they read back to the same bits ("%.17g", shortened where that loses nothing).
std::string number_text(double value);

}  // namespace mpibert
