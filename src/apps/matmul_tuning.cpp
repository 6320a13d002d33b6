#include "apps/matmul_tuning.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>

#include "comm/rank_0.h"
#include "mpibert/base/error.h"
#include "mpibert/base/file.h"
#include "mpibert/base/log.h"
#include "mpibert/ops/planning_backend.h"

namespace mpibert::apps {

namespace {

namespace fs = std::filesystem;

constexpr size_t kMostBytes = size_t{16} << 20;  // of a table; one of a hundred kinds has 40 KB

fs::path table_of_run(const fs::path& run) { return run / "matmul_algorithms.json"; }

// --matmul-cache, $XDG_CACHE_HOME/mpibert or ~/.cache/mpibert; empty where none is known.
// Source: XDG Base Directory Specification 0.8: a relative $XDG_CACHE_HOME is ignored.
fs::path cache_folder(const MatmulTuningFlags& flags) {
  if (!flags.cache.empty()) return flags.cache;
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache && fs::path(cache).is_absolute()) return fs::path(cache) / "mpibert";
  const char* home = std::getenv("HOME");
  return home && *home ? fs::path(home) / ".cache" / "mpibert" : fs::path();
}

bool is_there(const fs::path& file) {
  std::error_code ignored;
  return fs::exists(file, ignored);
}

void remove_file(const fs::path& file) {
  std::error_code error;
  fs::remove(file, error);
  MPIBERT_CHECK(!error, kIo, "cannot remove ", file.string(), ": ", error.message());
}

// A file of the cache is a help: what is wrong with it is said, and the program goes on without.
template <class Body>
void or_warn(const fs::path& path, const char* consequence, const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    log_warning(path.string(), ": ", error.what(), "; ", consequence);
  } catch (const fs::filesystem_error& error) {
    log_warning(path.string(), ": ", error.what(), "; ", consequence);
  }
}

// The table of the cache, with what it lacked.
void tune(const MatmulTuningFlags& flags, MatmulTuner& tuner, const std::function<std::vector<Matmul>()>& products) {
  const fs::path folder = cache_folder(flags), file = folder / ("matmul-" + tuner.platform() + ".json");
  const bool cached = !folder.empty() && is_there(file);
  if (cached) or_warn(file, "algorithms are measured anew", [&] { tuner.use(read_file(file, kMostBytes)); });
  const auto start = std::chrono::steady_clock::now();
  const int64_t measured = tuner.measure(products());
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (measured > 0 && !folder.empty()) {
    or_warn(file, "the next run measures again", [&] {
      fs::create_directories(folder);
      write_file_atomically(file, tuner.table());
    });
  }
  log_info("matrix products: ", measured, measured == 1 ? " kind" : " kinds", " measured in ", number_text(std::round(seconds * 100) / 100),
           " s", folder.empty() ? "" : str_cat("; algorithms are kept in ", file.string()));
}

// Whether the run's own table is used from here on.
bool go_on_with(const fs::path& file, MatmulTuner& tuner) {
  try {
    tuner.use(read_file(file, kMostBytes));
    log_info("matrix products: algorithms of this run, ", file.string());
    return true;
  } catch (const Error& error) {
    log_info("matrix products: ", file.string(), " cannot be used: ", error.what(),
             "; from here on products may differ in their last bits");
    return false;
  }
}

// On rank 0: the table that all ranks use; empty: the library's first choices.
std::string chosen_table(const MatmulTuningFlags& flags, MatmulTuner& tuner, const fs::path& run, bool resumed,
                         const std::function<std::vector<Matmul>()>& products) {
  const fs::path file = table_of_run(run);
  const bool off = flags.mode == "off", has_table = !run.empty() && is_there(file);
  if (resumed && !has_table) {
    if (!off) log_info("matrix products: by the library's first choice, as this run began");
    return "";
  }
  if (off) {
    if (resumed)
      log_info(
          "matrix products: by the library's first choice, where this run had measured algorithms; from here on products may differ in "
          "their last bits");
    if (has_table && !resumed) remove_file(file);  // of a start that came to no checkpoint
    return "";
  }
  if (!resumed || !go_on_with(file, tuner)) {
    tune(flags, tuner, products);
    if (!run.empty()) write_file_atomically(file, tuner.table());
  }
  return tuner.table();
}

bool is_one_platform(Communicator& comm, const std::string& mine) {
  const auto all = comm.all_gather_bytes(std::as_bytes(std::span(mine)), "platforms of matrix products");
  return std::ranges::all_of(all, [&](const std::vector<std::byte>& each) { return each == all.front(); });
}

}  // namespace

void MatmulTuningFlags::declare(Options& options) {
  options.add({.name = "matmul-tuning",
               .target = &mode,
               .help = "cuda: auto: the fastest of cuBLASLt's algorithms for every kind of matrix product, measured once and kept; off: "
                       "its first choice",
               .choices = {"auto", "off"}});
  options.add({.name = "matmul-cache",
               .target = &cache,
               .help = "folder where measured algorithms are kept; empty: $XDG_CACHE_HOME/mpibert or ~/.cache/mpibert"});
}

std::vector<Matmul> products_of_training(DeviceType device, const BertConfig& config, const Model::MakeHead& head, DType compute,
                                         const BatchLimits& limits, std::span<const Slot> slots) {
  std::vector<Matmul> products;
  const std::unique_ptr<Backend> backend = make_planning_backend(device, [&](const Matmul& product) { products.push_back(product); });
  ParameterArena arena;
  Model model(config, arena, head);
  arena.allocate(*backend, compute, arena.size());
  const Buffer gradients = backend->allocate(static_cast<size_t>(arena.padded_size()) * sizeof(float)),
               state = backend->allocate(kStepStateBytes);
  arena.use_gradients(gradients.view(DType::kFloat32, {arena.padded_size()}));
  const auto terms = static_cast<int64_t>(model.head().terms().size());
  const Buffer sums = backend->allocate(2 * static_cast<size_t>(terms) * sizeof(float));
  const Pass pass{.train = true,
                  .state = state.view(DType::kUInt8, {kStepStateBytes}),
                  .loss_sums = sums.view(DType::kFloat32, {terms}),
                  .correct = sums.view(DType::kFloat32, {terms}, static_cast<size_t>(terms) * sizeof(float))};
  model.plan(*backend, compute, limits, true);
  model.allocate(*backend);
  constexpr size_t kLookedAt = 2;  // at the beginning and at the end of a slot: those between are as full
  for (const Slot& slot : slots) {
    for (size_t i = 0; i < slot.micro_batches.size(); ++i) {
      if (i >= kLookedAt && i + kLookedAt < slot.micro_batches.size()) continue;
      model.put(*backend, slot.micro_batches[i]);
      model.forward(*backend, pass);
      model.backward(*backend, pass);
    }
  }
  return products;
}

void choose_matmul_algorithms(const MatmulTuningFlags& flags, const Session& session, const std::filesystem::path& run, bool resumed,
                              const std::function<std::vector<Matmul>()>& products) {
  MatmulTuner* tuner = session.backend->matmul_tuner();
  if (!tuner) return;
  if (!is_one_platform(*session.comm, tuner->platform())) {
    log_info("matrix products: by the library's first choice, as ranks have different cards or libraries");
    return;
  }
  const std::string table =
      from_rank_0(*session.comm, "algorithms of matrix products", [&] { return chosen_table(flags, *tuner, run, resumed, products); });
  if (!table.empty() && session.comm->rank() != 0) tuner->use(table);
}

}  // namespace mpibert::apps
