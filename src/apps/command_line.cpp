#include <toml++/toml.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "apps/command.h"
#include "mpibert/base/error.h"
#include "mpibert/base/file.h"

namespace mpibert::apps {

namespace {

// What the environment says of an option, or null. MPIBERT_DATA is the mirror of raw data of datasets/*/prepare.sh, never --data.
const char* from_environment(const std::string& name) { return name == "MPIBERT_DATA" ? nullptr : std::getenv(name.c_str()); }

std::string environment_name(const Option& option) {
  std::string name = "MPIBERT_" + option.name;
  for (char& c : name) c = c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

std::string toml_text(const toml::node& node, const std::string& where) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* integer = node.as_integer()) return std::to_string(integer->get());
  if (const auto* real = node.as_floating_point()) return number_text(real->get());
  if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
  throw Error(ErrorKind::kUsage, str_cat(where, ": a value is text, a number, true or false, or a list of these"));
}

void fill_from_file(Options& options, const std::string& path) {
  toml::table table;
  try {
    table = toml::parse(read_file(path, 1 << 20), path);
  } catch (const toml::parse_error& error) {
    throw Error(ErrorKind::kUsage, str_cat(path, ":", error.source().begin.line, ": not valid TOML: ", error.description()));
  }
  for (const auto& [key, node] : table) {
    const std::string name(key.str());
    const std::string where = str_cat(path, ":", node.source().begin.line);
    std::vector<std::string> values;
    if (const auto* list = node.as_array()) {
      for (const auto& item : *list) values.push_back(toml_text(item, where));
    } else {
      values.push_back(toml_text(node, where));
    }
    options.set(name, values, where);
  }
}

// "--name=value" and "--no-name" in the forms that CLI11 takes; unknown names are refused here, with a suggestion.
std::vector<std::string> expanded(const Options& options, const std::vector<std::string>& arguments) {
  std::vector<std::string> out;
  for (const std::string& argument : arguments) {
    if (argument.size() > 2 && argument.starts_with("--")) {
      const size_t equals = argument.find('=');
      std::string name = argument.substr(2, equals == std::string::npos ? std::string::npos : equals - 2);
      const Option* option = options.find(name);
      const bool negated = !option && name.starts_with("no-") && options.find(name.substr(3)) &&
                           std::holds_alternative<bool*>(options.find(name.substr(3))->target);
      if (negated) option = options.find(name.substr(3));
      if (!option) {
        const std::string meant = options.nearest(name);
        throw Error(ErrorKind::kUsage,
                    str_cat("unknown option '--", name, "'", meant.empty() ? "" : str_cat("; did you mean '--", meant, "'?")));
      }
      out.push_back("--" + option->name);
      if (std::holds_alternative<bool*>(option->target)) {
        out.back() += "=" + (negated ? "false" : equals == std::string::npos ? "true" : argument.substr(equals + 1));
      } else if (equals != std::string::npos) {
        out.push_back(argument.substr(equals + 1));
      }
    } else {
      out.push_back(argument);
    }
  }
  return out;
}

}  // namespace

void fill_options(Options& options, const Command& command, const std::vector<std::string>& arguments, bool complete) {
  CLI::App app;
  app.set_help_flag();
  std::map<std::string, std::vector<std::string>> given;
  for (const Option& option : options.all()) {
    const bool many = std::holds_alternative<std::vector<std::string>*>(option.target);
    const bool positional = option.name == command.positional;
    auto* added = app.add_option((positional ? option.name + "," : "") + "--" + option.name, given[option.name]);
    if (many) added->expected(1, 1 << 20)->allow_extra_args(positional);  // else CLI11 takes the brackets of [MASK] for those of a list
    else added->expected(1)->allow_extra_args(false)->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  }
  std::vector<std::string> reversed = expanded(options, arguments);
  std::reverse(reversed.begin(), reversed.end());
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    throw Error(ErrorKind::kUsage, str_cat(error.what(), "; see mpibert ", command.name, " --help"));
  }
  if (given.contains("config") && !given["config"].empty()) fill_from_file(options, given["config"].front());
  for (const Option& option : options.all())
    if (const char* text = from_environment(environment_name(option))) options.set(option.name, {text}, environment_name(option));
  for (const auto& [name, values] : given)
    if (!values.empty()) options.set(name, values, "flag");
  if (complete) options.check_required();
}

std::string help_text(const Command& command, const Options& options) {
  std::string out = str_cat("usage: ", command.uses_mpi ? "mpirun -n RANKS " : "", "mpibert ", command.name,
                            command.positional.empty() ? "" : " " + command.positional + "...", " [--option value]...\n\n", command.help,
                            "\n\noptions, also as keys of the --config file and (but for --data) as MPIBERT_<NAME> in the environment:\n");
  for (const Option& option : options.all()) {
    std::string choices;
    for (const std::string& choice : option.choices) choices += (choices.empty() ? "" : "|") + choice;
    std::string head = str_cat("  --", option.name, choices.empty() ? "" : " " + choices);
    head.resize(std::max<size_t>(head.size() + 1, 36), ' ');
    out += str_cat(head, option.help, option.required ? " (required)" : str_cat(" [", Options::value_text(option), "]"), "\n");
  }
  return out;
}

std::string help_text() {
  std::string out =
      "mpibert: pre-trains and fine-tunes BERT data-parallel over MPI\n\nusage: mpibert COMMAND [--option value]...; mpibert COMMAND "
      "--help explains one\n\n";
  for (const Command& command : commands()) {
    std::string name = "  " + command.name;
    name.resize(14, ' ');
    out += name + command.help + "\n";
  }
  return out;
}

void print_line(const std::string& line) {
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fputc('\n', stdout);
  std::fflush(stdout);
}

}  // namespace mpibert::apps
