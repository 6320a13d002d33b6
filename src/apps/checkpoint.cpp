#include "mpibert/train/checkpoint.h"

#include <memory>

#include "apps/declarations.h"
#include "mpibert/base/error.h"

namespace mpibert::apps {

namespace {

int list(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    const std::vector<CheckpointInfo> found = list_checkpoints(path);
    for (const CheckpointInfo& info : found) {
      const std::string score = info.score ? str_cat(" score ", *info.score) : "";
      print_line(str_cat(info.path.string(), "  ", info.bytes, " bytes  ", info.created, score, info.latest ? "  LATEST" : "",
                         info.best ? "  BEST" : "", info.problem.empty() ? "" : str_cat("  DAMAGED: ", info.problem)));
    }
    if (found.empty()) print_line(str_cat(path, ": no checkpoints"));
  }
  return 0;
}

int verify(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    const auto checkpoint = resolve_model_path(path);
    verify_checkpoint(checkpoint, Verify::kTensors);
    print_line(str_cat(checkpoint.string(), ": good"));
  }
  return 0;
}

int digest(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) print_line(str_cat(checkpoint_digest(path), "  ", path));
  return 0;
}

int diff(const std::vector<std::string>& paths) {
  MPIBERT_CHECK(paths.size() == 2, kUsage, "checkpoint diff compares two paths, not ", paths.size());
  const std::vector<TensorDifference> differences = diff_checkpoints(paths[0], paths[1]);
  for (const TensorDifference& d : differences)
    print_line(d.what == "values" ? str_cat(d.name, ": ", d.different, " of ", d.elements, " elements differ, by up to ", d.max_abs)
                                  : str_cat(d.name, ": ", d.what));
  if (differences.empty()) print_line("equal, bit by bit");
  return differences.empty() ? 0 : 1;
}

}  // namespace

std::function<int()> declare_checkpoint(Options& options) {
  auto words = std::make_shared<std::vector<std::string>>();
  options.add({.name = "arguments",
               .target = words.get(),
               .help = "ls RUN... | verify PATH... | digest PATH... | diff PATH PATH",
               .required = true});
  return [words] {
    const std::string verb = words->front();
    const std::vector<std::string> paths(words->begin() + 1, words->end());
    MPIBERT_CHECK(!paths.empty(), kUsage, "checkpoint ", verb, " needs a path");
    if (verb == "ls") return list(paths);
    if (verb == "verify") return verify(paths);
    if (verb == "digest") return digest(paths);
    if (verb == "diff") return diff(paths);
    const std::string meant = nearest_name(verb, {"ls", "verify", "digest", "diff"});
    throw Error(ErrorKind::kUsage, str_cat("checkpoint does ls, verify, digest or diff, not '", verb, "'",
                                           meant.empty() ? "" : str_cat("; did you mean ", meant, "?")));
  };
}

}  // namespace mpibert::apps
