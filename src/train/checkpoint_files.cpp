#include "train/checkpoint_files.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <ctime>

#include "interop/strict_json.h"
#include "mpibert/base/error.h"
#include "mpibert/base/file.h"

namespace mpibert {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kSchema = 1;
constexpr size_t kMaxManifestBytes = 16 << 20;

bool is_sha256(const std::string& text) { return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos; }

std::vector<ManifestFile> read_files(const nlohmann::json& list, const std::string& where) {
  MPIBERT_CHECK(list.is_array() && !list.empty(), kCorrupt, where, ": \"files\" is not a list with members");
  std::vector<ManifestFile> files;
  for (const nlohmann::json& item : list) {
    ManifestFile file{json_string(item, "name", where), json_count(item, "size", where), json_string(item, "sha256", where)};
    MPIBERT_CHECK(is_plain_file_name(file.name) && file.name != kManifest, kCorrupt, where,
                  ": \"files\": ", nlohmann::json(file.name).dump(), " is not a plain file name");
    MPIBERT_CHECK(is_sha256(file.sha256), kCorrupt, where, ": ", file.name, ": \"sha256\" is not 64 hexadecimal digits");
    files.push_back(std::move(file));
  }
  std::sort(files.begin(), files.end(), [](const ManifestFile& a, const ManifestFile& b) { return a.name < b.name; });
  for (size_t i = 1; i < files.size(); ++i) {
    MPIBERT_CHECK(files[i].name != files[i - 1].name, kCorrupt, where, ": ", files[i].name, " stands twice");
  }
  return files;
}

}  // namespace

std::string CheckpointManifest::json() const {
  nlohmann::ordered_json object = {
      {"schema", kSchema}, {"program", "mpibert " MPIBERT_VERSION}, {"step", step}, {"world_size", world_size}, {"created", created}};
  if (score) object["score"] = *score;
  object["tensors"] = {{"count", tensor_count}, {"digest", digest}};
  object["files"] = nlohmann::ordered_json::array();
  for (const ManifestFile& file : files) object["files"].push_back({{"name", file.name}, {"size", file.size}, {"sha256", file.sha256}});
  return object.dump(1) + "\n";
}

const ManifestFile* CheckpointManifest::find(const std::string& name) const {
  const auto at = std::find_if(files.begin(), files.end(), [&](const ManifestFile& file) { return file.name == name; });
  return at == files.end() ? nullptr : &*at;
}

CheckpointManifest read_checkpoint_manifest(const fs::path& checkpoint) {
  const std::string where = (checkpoint / kManifest).string();
  const nlohmann::json object = parse_strict_json(read_file(where, kMaxManifestBytes), where);
  const int64_t schema = json_count(object, "schema", where);
  MPIBERT_CHECK(schema == kSchema, kCorrupt, where, ": schema ", schema, ", and this program reads ", kSchema,
                "; a newer program wrote it");
  CheckpointManifest manifest;
  manifest.step = json_count(object, "step", where);
  manifest.world_size = json_count(object, "world_size", where);
  manifest.created = json_string(object, "created", where);
  const nlohmann::json& tensors = json_member(object, "tensors", where);
  manifest.tensor_count = json_count(tensors, "count", where);
  manifest.digest = json_string(tensors, "digest", where);
  MPIBERT_CHECK(is_sha256(manifest.digest), kCorrupt, where, ": \"digest\" is not 64 hexadecimal digits");
  if (object.contains("score")) {
    MPIBERT_CHECK(object["score"].is_number(), kCorrupt, where, ": \"score\" is not a number");
    manifest.score = object["score"].get<double>();
  }
  manifest.files = read_files(json_member(object, "files", where), where);
  MPIBERT_CHECK(manifest.find(kWeights) != nullptr, kCorrupt, where, ": ", kWeights, " is not in \"files\"");
  return manifest;
}

bool is_plain_file_name(const std::string& name) {
  const bool readable =
      std::all_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f && c != '/'; });
  return readable && !name.empty() && name.size() <= 255 && name != "." && name != "..";
}

fs::path checkpoints_folder(const fs::path& run) { return run / "checkpoints"; }

std::string checkpoint_name(int64_t step) {
  const std::string digits = std::to_string(step);
  return "step-" + std::string(digits.size() < 8 ? 8 - digits.size() : 0, '0') + digits;
}

std::vector<StepFolder> step_folders(const fs::path& run) {
  std::vector<StepFolder> found;
  std::error_code code;
  for (fs::directory_iterator entry(checkpoints_folder(run), code), end; !code && entry != end; entry.increment(code)) {
    const std::string name = entry->path().filename().string();
    int64_t step = 0;
    const char* const digits = name.data() + std::min<size_t>(5, name.size());
    const auto [rest, problem] = std::from_chars(digits, name.data() + name.size(), step);
    // The name has to be the one we would give, so that no two folders are of one step.
    std::error_code ignored;
    if (problem == std::errc() && step >= 0 && name == checkpoint_name(step) && entry->is_directory(ignored))
      found.push_back({entry->path(), step});
  }
  std::sort(found.begin(), found.end(), [](const StepFolder& a, const StepFolder& b) { return a.step < b.step; });
  return found;
}

void TensorDigest::add(const std::string& name, DType dtype, const Shape& shape, std::span<const std::byte> bytes) {
  constexpr std::string_view kEnd("\0", 1);
  sha_.update(name).update(kEnd).update(name_of(dtype)).update(kEnd).update(shape.text()).update(kEnd).update(bytes);
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

}  // namespace mpibert
