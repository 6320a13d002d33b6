#include "apps/declarations.h"
#include "mpibert/base/error.h"

namespace mpibert::apps {

// config show COMMAND [options of that command]: what it would run with, and where each value comes from.
// config check COMMAND [options]: says "good", or what is wrong.
int run_config(const std::vector<std::string>& arguments) {
  const std::string verb = arguments.empty() ? "" : arguments[0];
  MPIBERT_CHECK(verb == "show" || verb == "check", kUsage,
                "config does show or check: mpibert config show pretrain --config FILE --max-steps 10");
  MPIBERT_CHECK(arguments.size() > 1, kUsage, "config ", verb, " needs the name of a command, such as pretrain");
  std::vector<std::string> names;
  for (const Command& command : commands()) {
    names.push_back(command.name);
    if (command.name != arguments[1]) continue;
    Options options;
    const std::function<int()> owner = command.declare(options);  // keeps the settings that the options point to
    fill_options(options, command, {arguments.begin() + 2, arguments.end()}, verb == "check");
    print_line(verb == "show" ? options.toml() : "good");
    return 0;
  }
  const std::string meant = nearest_name(arguments[1], names);
  throw Error(ErrorKind::kUsage,
              str_cat("unknown command '", arguments[1], "'", meant.empty() ? "" : str_cat("; did you mean ", meant, "?")));
}

// For the help only: main hands the words of this command to run_config.
std::function<int()> declare_config(Options&) {
  return [] { return run_config({}); };
}

}  // namespace mpibert::apps
