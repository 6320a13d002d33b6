#include "apps/version.h"

#include <hdf5.h>
#include <mpi.h>
#include <dnnl.hpp>

#include <array>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/declarations.h"
#include "mpibert/base/error.h"
#include "mpibert/comm/communicator.h"
#include "mpibert/ops/backend.h"

namespace mpibert::apps {

std::vector<std::pair<std::string, std::string>> versions() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> mpi{};
  int length = 0;
  MPI_Get_library_version(mpi.data(), &length);
  const std::string mpi_text(mpi.data(), static_cast<size_t>(length));
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  const dnnl_version_t* dnnl = dnnl_version();
  return {{"mpibert", MPIBERT_VERSION},
          {"compiler", __VERSION__},
          {"mpi", mpi_text.substr(0, mpi_text.find(','))},
          {"hdf5", str_cat(major, ".", minor, ".", release)},
          {"onednn", str_cat(dnnl->major, ".", dnnl->minor, ".", dnnl->patch)},
          {"cuda", cuda_version()},
          {"nccl", nccl_version()}};
}

std::function<int()> declare_version(Options& options) {
  struct Settings {
    bool json = false;
  };
  auto settings = std::make_shared<Settings>();
  options.add({.name = "json", .target = &settings->json, .help = "one JSON object"});
  return [settings] {
    nlohmann::ordered_json object;
    for (const auto& [name, version] : versions()) {
      object[name] = version;
      if (!settings->json) print_line(str_cat(name, " ", version));
    }
    if (settings->json) print_line(object.dump());
    return 0;
  };
}

}  // namespace mpibert::apps
