#pragma once

#include <functional>
#include <string>
#include <vector>

#include "mpibert/base/options.h"

namespace mpibert::apps {

// One command of the program. A command declares its options, and main fills them from file, environment and flags before it runs.
struct Command {
  std::string name, help;
  std::string positional{};  // name of the option that takes words without a flag; empty if there is none
  bool uses_mpi = false;     // started as one of the ranks of a job
  // Adds the options and returns what runs the command; the closure owns the settings. Returns the exit code.
  std::function<std::function<int()>(Options&)> declare;
};

const std::vector<Command>& commands();

// Fills `options` from, in rising precedence: the TOML file named by --config, the environment MPIBERT_<NAME>, the flags. Throws kUsage; a
// missing required option only if `complete`.
void fill_options(Options& options, const Command& command, const std::vector<std::string>& arguments, bool complete = true);

// mpibert config: works on the options of other commands, so it takes its words as they are.
int run_config(const std::vector<std::string>& arguments);

// Text for --help of one command, and of the program.
std::string help_text(const Command& command, const Options& options);
std::string help_text();

// Prints one line to stdout, where results go.
void print_line(const std::string& line);

}  // namespace mpibert::apps
