#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>

#include "interop/safetensors_header.h"
#include "interop/strict_json.h"
#include "mpibert/base/error.h"
#include "mpibert/base/file.h"
#include "mpibert/interop/safetensors.h"
#include "mpibert/ops/host_cast.h"

namespace mpibert {

static_assert(std::endian::native == std::endian::little, "numbers in files are little endian and are read as they are");

namespace {

namespace fs = std::filesystem;

class OpenFile {
 public:
  explicit OpenFile(fs::path path) : path_(std::move(path)) {
    // O_NONBLOCK: a pipe by this name must not make us wait.
    descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const int code = errno;
    MPIBERT_CHECK(descriptor_ >= 0 || code == EACCES || code == ENOENT || code == ENOTDIR, kIo, "cannot open ", path_.string(), ": ", std::strerror(code));
    MPIBERT_CHECK(descriptor_ >= 0 || code == EACCES, kNotFound, "cannot open ", path_.string(), ": ", std::strerror(code));
    MPIBERT_CHECK(descriptor_ >= 0, kPermission, "cannot open ", path_.string(), ": ", std::strerror(code));
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
      ::close(descriptor_);
      throw Error(ErrorKind::kCorrupt, str_cat(path_.string(), " is not a regular file"));
    }
    size_ = static_cast<uint64_t>(status.st_size);
  }
  ~OpenFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  OpenFile(OpenFile&& other) noexcept : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)), size_(other.size_) {}
  OpenFile& operator=(OpenFile&&) = delete;

  const fs::path& path() const { return path_; }
  uint64_t size() const { return size_; }

  void read(uint64_t offset, std::span<std::byte> out) const {
    while (!out.empty()) {
      const ssize_t got = ::pread(descriptor_, out.data(), std::min<size_t>(out.size(), size_t{1} << 30), static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      MPIBERT_CHECK(got >= 0, kIo, "cannot read ", path_.string(), " at byte ", offset, ": ", std::strerror(errno));
      MPIBERT_CHECK(got > 0, kCorrupt, path_.string(), " ends at byte ", offset, "; it became shorter while it was read");
      out = out.subspan(static_cast<size_t>(got));
      offset += static_cast<uint64_t>(got);
    }
  }

 private:
  fs::path path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

SafetensorsHeader read_header(const OpenFile& file) {
  const std::string name = file.path().string();
  MPIBERT_CHECK(file.size() >= 8, kCorrupt, name, " has ", file.size(), " bytes; a safetensors file has at least 8");
  uint64_t header_bytes = 0;
  file.read(0, std::as_writable_bytes(std::span(&header_bytes, 1)));
  MPIBERT_CHECK(header_bytes <= kSafetensorsMaxHeaderBytes, kCorrupt, name, ": the header claims ", header_bytes, " bytes, more than the ",
                kSafetensorsMaxHeaderBytes, " that the format allows; this may be no safetensors file");
  MPIBERT_CHECK(header_bytes <= file.size() - 8, kCorrupt, name, ": the header claims ", header_bytes, " bytes, but the file has ", file.size(),
                "; it is truncated or no safetensors file");
  std::string json(header_bytes, '\0');
  file.read(8, std::as_writable_bytes(std::span(json)));
  return parse_safetensors_header(json, 8 + header_bytes, file.size() - 8 - header_bytes, name);
}

// What other programs leave in a folder instead of model.safetensors.
[[noreturn]] void throw_no_weights(const fs::path& folder) {
  struct Foreign {
    const char *name, *what;
  };
  constexpr const char* kRemedy =
      "; convert it with transformers: python -c \"from transformers import AutoModelForPreTraining as M; "
      "M.from_pretrained('FOLDER').save_pretrained('FOLDER')\"";
  for (const Foreign& foreign : {Foreign{"pytorch_model.bin", "a PyTorch pickle"}, Foreign{"pytorch_model.bin.index.json", "PyTorch pickles"},
                                 Foreign{"tf_model.h5", "a Keras file"}, Foreign{"flax_model.msgpack", "a Flax file"},
                                 Foreign{"bert_model.ckpt.index", "a TensorFlow checkpoint"}, Foreign{"model.ckpt.index", "a TensorFlow checkpoint"}}) {
    MPIBERT_CHECK(!fs::exists(folder / foreign.name), kInvalidArgument, folder.string(), " holds its weights only as ", foreign.name, " (", foreign.what,
                  "), and this program reads model.safetensors", kRemedy);
  }
  throw Error(ErrorKind::kNotFound, str_cat(folder.string(), " holds no model.safetensors and no model.safetensors.index.json"));
}

fs::path file_of(const fs::path& path) {
  MPIBERT_CHECK(fs::exists(path), kNotFound, "no such file or folder: ", path.string());
  if (!fs::is_directory(path)) return path;
  for (const char* name : {"model.safetensors", "model.safetensors.index.json"}) {
    if (fs::exists(path / name)) return path / name;
  }
  throw_no_weights(path);
}

bool is_plain_name(const std::string& name) { return !name.empty() && name != "." && name != ".." && name.find_first_of(std::string("/\0", 2)) == std::string::npos; }

// tensor -> file, of model.safetensors.index.json.
std::map<std::string, std::string> read_index(const fs::path& path) {
  const std::string where = path.string();
  const nlohmann::json index = parse_strict_json(read_file(path, kSafetensorsMaxHeaderBytes), where);
  const nlohmann::json& weight_map = json_member(index, "weight_map", where);
  MPIBERT_CHECK(weight_map.is_object() && !weight_map.empty(), kCorrupt, where, ": \"weight_map\" is not an object with members");
  std::map<std::string, std::string> files;
  for (const auto& [tensor, file] : weight_map.items()) {
    MPIBERT_CHECK(file.is_string() && is_plain_name(file.get<std::string>()), kCorrupt, where, ": tensor \"", tensor, "\": not a plain file name: ", file.dump());
    files.emplace(tensor, file.get<std::string>());
  }
  return files;
}

}  // namespace

struct SafetensorsReader::Data {
  std::vector<OpenFile> open;
  std::vector<fs::path> files;
  std::vector<TensorInfo> tensors;
  std::map<std::string, std::string> metadata;

  void add(const fs::path& path) {
    open.emplace_back(path);
    files.push_back(path);
    SafetensorsHeader header = read_header(open.back());
    for (TensorInfo& tensor : header.tensors) {
      tensor.file = open.size() - 1;
      tensors.push_back(std::move(tensor));
    }
    if (open.size() == 1) metadata = std::move(header.metadata);
  }

  void add_sharded(const fs::path& index) {
    const std::map<std::string, std::string> map = read_index(index);
    std::vector<std::string> names;
    for (const auto& [tensor, file] : map) names.push_back(file);
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    for (const std::string& name : names) add(index.parent_path() / name);
    std::sort(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; });
    for (const TensorInfo& tensor : tensors) {
      const auto listed = map.find(tensor.name);
      MPIBERT_CHECK(listed != map.end(), kCorrupt, files[tensor.file].string(), ": tensor \"", tensor.name, "\" is not in ", index.filename().string());
      MPIBERT_CHECK(names[tensor.file] == listed->second, kCorrupt, index.string(), ": tensor \"", tensor.name, "\" is in ", names[tensor.file],
                    ", not in ", listed->second);
    }
    for (const auto& [tensor, file] : map) {
      const auto at = std::lower_bound(tensors.begin(), tensors.end(), tensor, [](const TensorInfo& a, const std::string& b) { return a.name < b; });
      MPIBERT_CHECK(at != tensors.end() && at->name == tensor, kCorrupt, index.string(), ": tensor \"", tensor, "\" is not in ", file);
    }
    MPIBERT_CHECK(tensors.size() == map.size(), kCorrupt, index.string(), ": a tensor stands in two files");
  }
};

SafetensorsReader::SafetensorsReader(const fs::path& path) : data_(std::make_unique<Data>()) {
  const fs::path file = file_of(path);
  if (file.extension() == ".json") {
    data_->add_sharded(file);
  } else {
    data_->add(file);
  }
}

SafetensorsReader::~SafetensorsReader() = default;
SafetensorsReader::SafetensorsReader(SafetensorsReader&&) noexcept = default;
SafetensorsReader& SafetensorsReader::operator=(SafetensorsReader&&) noexcept = default;

const std::vector<TensorInfo>& SafetensorsReader::tensors() const { return data_->tensors; }
const std::map<std::string, std::string>& SafetensorsReader::metadata() const { return data_->metadata; }
const std::vector<fs::path>& SafetensorsReader::files() const { return data_->files; }

const TensorInfo* SafetensorsReader::find(std::string_view name) const {
  const auto at = std::lower_bound(data_->tensors.begin(), data_->tensors.end(), name, [](const TensorInfo& a, std::string_view b) { return a.name < b; });
  return at != data_->tensors.end() && at->name == name ? &*at : nullptr;
}

void SafetensorsReader::read_bytes(const TensorInfo& tensor, std::span<std::byte> out) const {
  MPIBERT_CHECK(out.size() == tensor.end - tensor.begin, kInvalidArgument, "tensor \"", tensor.name, "\" has ", tensor.end - tensor.begin,
                " bytes, the buffer ", out.size());
  data_->open.at(tensor.file).read(tensor.begin, out);
}

std::vector<float> SafetensorsReader::read_floats(const TensorInfo& tensor) const {
  std::vector<float> values(static_cast<size_t>(tensor.shape.size()));
  if (tensor.dtype == DType::kFloat32) {
    read_bytes(tensor, std::as_writable_bytes(std::span(values)));
    return values;
  }
  MPIBERT_CHECK(is_float(tensor.dtype), kCorrupt, files()[tensor.file].string(), ": tensor \"", tensor.name,
                "\" is of ", safetensors_dtype(tensor.dtype), ", expected F32, BF16 or F16");
  std::vector<std::byte> narrow(tensor.end - tensor.begin);
  read_bytes(tensor, narrow);
  host_cast(Tensor(narrow.data(), tensor.dtype, tensor.shape), host_tensor(std::span(values), tensor.shape));
  return values;
}

}  // namespace mpibert
