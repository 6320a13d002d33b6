#include <chrono>
#include <csignal>
#include <new>
#include <optional>
#include <thread>

#include "apps/command.h"
#include "apps/exit_code.h"
#include "mpibert/base/error.h"
#include "mpibert/base/log.h"
#include "mpibert/comm/mpi_job.h"

namespace {

using namespace mpibert;
using namespace mpibert::apps;

const Command& find_command(const std::string& name) {
  std::vector<std::string> names;
  for (const Command& command : commands()) {
    if (command.name == name) return command;
    names.push_back(command.name);
  }
  const std::string meant = nearest_name(name, names);
  throw Error(ErrorKind::kUsage, str_cat("unknown command '", name, "'", meant.empty() ? "" : str_cat("; did you mean '", meant, "'?"),
                                         "; see mpibert --help"));
}

int run(const Command& command, const std::vector<std::string>& arguments) {
  Options options;
  const std::function<int()> body = command.declare(options);
  fill_options(options, command, arguments);
  return body();
}

// Runs `body` and turns what it throws into one message and an exit code.
int guarded(int rank, const std::function<int()>& body) {
  const auto report = [rank](const std::string& message, int code) {
    // Ranks often fail alike; the first then speaks for all, because its abort ends the others within this wait.
    if (rank > 0) std::this_thread::sleep_for(std::chrono::seconds(1));
    log_error(message);
    return code;
  };
  try {
    return body();
  } catch (const Error& error) {
    return report(error.what(), exit_code(error.kind()));
  } catch (const std::bad_alloc&) {
    return report("out of memory; use fewer ranks on this host, a smaller --micro-tokens or a smaller model",
                  exit_code(ErrorKind::kOutOfMemory));
  } catch (const std::logic_error& error) {
    return report(str_cat("internal error: ", error.what()), 70);
  } catch (const std::exception& error) {
    return report(str_cat("internal error: ", error.what()), kInternalError);
  }
}

int run_as_rank(const Command& command, const std::vector<std::string>& arguments) {
  MpiJob job;
  set_log_rank(job.rank(), job.size());
  const int code = guarded(job.rank(), [&] { return run(command, arguments); });
  if (code != kFinished && code != kStoppedOnRequest && job.size() > 1) MpiJob::abort(code);  // the others may be waiting for this rank
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file beyond the user's limit is a failed write, which is dealt with, not a death
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  return guarded(0, [&]() -> int {
    if (arguments.empty() || arguments[0] == "--help" || arguments[0] == "-h" || arguments[0] == "help") {
      print_line(help_text());
      return arguments.empty() ? exit_code(ErrorKind::kUsage) : kFinished;
    }
    const std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
    if (arguments[0] == "--version") return run(find_command("version"), rest);
    const Command& command = find_command(arguments[0]);
    if (command.name == "config" && !(rest.size() == 1 && rest[0] == "--help")) return run_config(rest);
    if (!rest.empty() && (rest[0] == "--help" || rest[0] == "-h")) {
      Options options;
      const std::function<int()> owner = command.declare(options);  // keeps the settings that the options point to
      print_line(help_text(command, options));
      return kFinished;
    }
    return command.uses_mpi ? run_as_rank(command, rest) : run(command, rest);
  });
}
