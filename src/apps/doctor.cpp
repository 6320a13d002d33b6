#include <sched.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/declarations.h"
#include "apps/session.h"
#include "apps/version.h"
#include "mpibert/base/error.h"
#include "mpibert/ops/backend.h"
#include "mpibert/ops/cards.h"

namespace mpibert::apps {

namespace {

struct Finding {
  std::string what, value, problem{}, remedy{};
};

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
}

// The value after "key" and a colon in one of the tables of /proc.
std::string proc_value(const char* path, const std::string& key) {
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(key)) continue;
    const size_t colon = line.find(':');
    const size_t start = colon == std::string::npos ? colon : line.find_first_not_of(" \t", colon + 1);
    return start == std::string::npos ? "" : line.substr(start);
  }
  return "";
}

std::string vector_instructions() {
  const std::string flags = " " + proc_value("/proc/cpuinfo", "flags") + " ";
  std::string found;
  for (const char* name : {"amx_bf16", "avx512_bf16", "avx512f", "avx2"})
    if (flags.find(std::string(" ") + name + " ") != std::string::npos) found += (found.empty() ? "" : " ") + std::string(name);
  return found.empty() ? "none" : found;
}

Finding processor() {
  const std::string found = vector_instructions();
  Finding finding{.what = "processor",
                  .value = str_cat(proc_value("/proc/cpuinfo", "model name"), ", ", usable_cores(), " usable cores, ", found)};
  const bool intel = proc_value("/proc/cpuinfo", "vendor_id") == "GenuineIntel";
  if (found.find(intel ? "amx_bf16" : "bf16") == std::string::npos) {
    finding.problem = "no fast bf16 instructions: --precision bf16 is right but not faster than fp32";
    finding.remedy = "use --precision fp32 here";
  }
  return finding;
}

Finding threads() {
  const char* text = std::getenv("OMP_NUM_THREADS");
  Finding finding{.what = "threads", .value = text ? str_cat("OMP_NUM_THREADS=", text) : "OMP_NUM_THREADS not set"};
  if (text && std::atoi(text) > usable_cores()) {
    finding.problem = str_cat("more threads than the ", usable_cores(), " cores this process may use");
    finding.remedy = "launch/local.sh sets cores / ranks";
  }
  return finding;
}

Finding devices() {
  const int cards = device_count(DeviceType::kCuda);
  Finding finding{.what = "devices", .value = cards == 0 ? "cpu" : str_cat("cpu, ", cards, cards == 1 ? " CUDA device" : " CUDA devices")};
  if (cards == 0 && cuda_version() != "not built in") {
    finding.problem = "this build has the CUDA backend, but finds no card";
    finding.remedy =
        "see that nvidia-smi lists one, that its driver is not older than this build's CUDA, and what CUDA_VISIBLE_DEVICES says; or use "
        "--device cpu";
  }
  return finding;
}

// The file that the driver's kernel module keeps; the runtime knows only which CUDA the driver serves.
std::string driver_version() {
  std::ifstream in("/sys/module/nvidia/version");
  std::string version;
  std::getline(in, version);
  return version;
}

// One for each card, the driver, and which of them the ranks of this host take.
std::vector<Finding> cards() {
  const auto gib = [](size_t bytes) { return number_text(std::round(static_cast<double>(bytes) / (1 << 30) * 10) / 10); };
  std::vector<Finding> findings;
  for (const CardDescription& card : describe_cards()) {
    Finding finding{.what = str_cat("cuda:", findings.size()), .value = card.name};
    if (card.memory_bytes > 0)
      finding.value += str_cat(", compute capability ", card.capability_major, ".", card.capability_minor, ", ", card.multiprocessors,
                               " multiprocessors, ", gib(card.free_bytes), " of ", gib(card.memory_bytes), " GiB free");
    finding.problem = card.problem;
    if (!card.problem.empty()) finding.remedy = "hide it with CUDA_VISIBLE_DEVICES, or see nvidia-smi for what holds it";
    findings.push_back(finding);
  }
  const auto count = static_cast<int>(findings.size());
  if (count == 0) return findings;
  if (const std::string version = driver_version(); !version.empty()) findings.push_back({.what = "driver", .value = version});
  std::string map;
  for (int rank = 0; rank <= count; ++rank) map += str_cat(rank, " -> cuda:", device_of_rank("cuda", rank).index, ", ");
  findings.push_back({.what = "ranks of this host", .value = map + "..."});
  return findings;
}

Finding memory() {
  return {.what = "memory",
          .value = str_cat(proc_value("/proc/meminfo", "MemTotal"), " in all, ", proc_value("/proc/meminfo", "MemAvailable"), " free")};
}

Finding disk() {
  struct statvfs status {};
  if (statvfs(".", &status) != 0)
    return {.what = "disk", .value = "unknown", .problem = "cannot examine the current folder", .remedy = "change to a folder that exists"};
  const double free_gib = static_cast<double>(status.f_bavail) * static_cast<double>(status.f_frsize) / (1 << 30);
  Finding finding{.what = "disk", .value = str_cat(static_cast<int64_t>(free_gib), " GiB free here")};
  if (free_gib < 5) {
    finding.problem = "a BERT-base checkpoint with its optimizer state takes 1.3 GB";
    finding.remedy = "free some space, or lower --save-total-limit";
  }
  return finding;
}

}  // namespace

std::function<int()> declare_doctor(Options& options) {
  struct Settings {
    bool json = false;
  };
  auto settings = std::make_shared<Settings>();
  options.add({.name = "json", .target = &settings->json, .help = "one JSON object"});
  return [settings] {
    std::vector<Finding> findings = {processor(), threads(), devices(), memory(), disk()};
    for (const Finding& card : cards()) findings.push_back(card);
    for (const auto& [name, version] : versions()) findings.push_back({.what = name, .value = version});
    nlohmann::ordered_json object;
    int problems = 0;
    for (const Finding& finding : findings) {
      problems += !finding.problem.empty();
      object[finding.what] = {{"value", finding.value}, {"problem", finding.problem}, {"remedy", finding.remedy}};
      if (settings->json) continue;
      print_line(str_cat(finding.problem.empty() ? "ok       " : "problem  ", finding.what, ": ", finding.value));
      if (!finding.problem.empty()) print_line(str_cat("         ", finding.problem, "; ", finding.remedy));
    }
    if (settings->json) print_line(object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    else print_line(problems == 0 ? "nothing is wrong" : str_cat(problems, problems == 1 ? " problem" : " problems"));
    return 0;
  };
}

}  // namespace mpibert::apps
