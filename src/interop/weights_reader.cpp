#include "mpibert/interop/weights_reader.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <iterator>

#include "interop/mindspore_header.h"
#include "interop/mxnet_header.h"
#include "interop/pytorch_header.h"
#include "interop/safetensors_header.h"
#include "interop/sorted_table.h"
#include "interop/strict_json.h"
#include "interop/tensorflow_header.h"
#include "mpibert/base/error.h"
#include "mpibert/base/file.h"
#include "mpibert/ops/host_cast.h"

namespace mpibert {

static_assert(std::endian::native == std::endian::little, "numbers in files are little endian and are read as they are");

namespace {

namespace fs = std::filesystem;

constexpr std::array<const char*, 5> kFilesOfWeights = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                                                        "pytorch_model.bin.index.json", "pretrained.params"};
constexpr size_t kMaxIndexBytes = 100'000'000;

// What other programs leave in a folder instead.
[[noreturn]] void throw_no_weights(const fs::path& folder) {
  struct Foreign {
    const char *name, *what;
  };
  constexpr const char* kRemedy =
      "; convert it with transformers: python -c \"from transformers import AutoModelForPreTraining as M; "
      "M.from_pretrained('FOLDER').save_pretrained('FOLDER')\"";
  for (const Foreign& foreign : {Foreign{"tf_model.h5", "a Keras file"}, Foreign{"flax_model.msgpack", "a Flax file"}}) {
    MPIBERT_CHECK(!fs::exists(folder / foreign.name), kInvalidArgument, folder.string(), " holds its weights only as ", foreign.name, " (",
                  foreign.what, "), and this program reads model.safetensors, pytorch_model.bin and bert_model.ckpt", kRemedy);
  }
  throw Error(ErrorKind::kNotFound, str_cat(folder.string(),
                                            " holds none of model.safetensors, pytorch_model.bin, their .index.json, pretrained.params, "
                                            "bert_model.ckpt.index and one file .ckpt"));
}

fs::path file_of(const fs::path& path) {
  if (const fs::path index = path.string() + ".index"; !fs::exists(path) && fs::exists(index))
    return index;  // PREFIX of a TensorFlow checkpoint
  MPIBERT_CHECK(fs::exists(path), kNotFound, "no such file or folder: ", path.string());
  if (!fs::is_directory(path)) return path;
  if (const std::optional<fs::path> file = find_weights(path)) return *file;
  throw_no_weights(path);
}

bool is_plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find_first_of(std::string("/\0", 2)) == std::string::npos;
}

// tensor -> file, of an index: {"weight_map": {TENSOR: FILE, ...}, ...}
std::map<std::string, std::string> read_index(const fs::path& path) {
  const std::string where = path.string();
  const nlohmann::json index = parse_strict_json(read_file(path, kMaxIndexBytes), where);
  const nlohmann::json& weight_map = json_member(index, "weight_map", where);
  MPIBERT_CHECK(weight_map.is_object() && !weight_map.empty(), kCorrupt, where, ": \"weight_map\" is not an object with members");
  std::map<std::string, std::string> files;
  for (const auto& [tensor, file] : weight_map.items()) {
    MPIBERT_CHECK(file.is_string() && is_plain_name(file.get<std::string>()), kCorrupt, where, ": tensor \"", tensor,
                  "\": not a plain file name: ", file.dump());
    files.emplace(tensor, file.get<std::string>());
  }
  return files;
}

// Reads what lies between the first and the last number, and picks.
void read_strided(const InputFile& file, const TensorInfo& tensor, std::span<std::byte> out) {
  if (out.empty()) return;
  const size_t element = bytes_of(tensor.dtype);
  const auto rank = static_cast<size_t>(tensor.shape.rank());
  int64_t before = 0, behind = 0;  // how many elements lie before the first number and behind it
  for (size_t i = 0; i < rank; ++i) {
    const int64_t reach = (tensor.shape[static_cast<int>(i)] - 1) * tensor.strides[i];
    (reach < 0 ? before : behind) += std::abs(reach);
  }
  std::vector<std::byte> all(static_cast<size_t>(before + 1 + behind) * element);
  file.read(tensor.begin - static_cast<uint64_t>(before) * element, all);
  std::array<int64_t, 5> at{};
  int64_t from = before;
  for (size_t to = 0; to < out.size(); to += element) {
    std::memcpy(out.data() + to, all.data() + static_cast<size_t>(from) * element, element);
    for (size_t i = rank; i-- > 0;) {  // the next place, the last dimension fastest
      from += tensor.strides[i];
      if (++at[i] < tensor.shape[static_cast<int>(i)]) break;
      from -= tensor.strides[i] * tensor.shape[static_cast<int>(i)];
      at[i] = 0;
    }
  }
}

// The folder's one file with this ending.
std::optional<fs::path> only_file(const fs::path& folder, const char* ending) {
  std::vector<fs::path> files;
  if (!fs::is_directory(folder)) return std::nullopt;
  for (const fs::directory_entry& file : fs::directory_iterator(folder)) {
    if (file.path().extension() == ending && file.is_regular_file()) files.push_back(file.path());
  }
  return files.size() == 1 ? std::optional(files.front()) : std::nullopt;
}

}  // namespace

std::optional<fs::path> find_weights(const fs::path& folder) {
  for (const char* name : kFilesOfWeights) {
    if (fs::exists(folder / name)) return folder / name;
  }
  if (const std::optional<fs::path> index = find_tensorflow_index(folder)) return index;
  return only_file(folder, ".ckpt");  // MindSpore's, of any name
}

struct WeightsReader::Data {
  std::vector<InputFile> open;
  std::vector<fs::path> files;
  std::vector<TensorInfo> tensors;
  std::map<std::string, std::string> metadata;

  void add(const fs::path& path) {
    const size_t first = open.size();
    const InputFile& file = open.emplace_back(path);
    std::vector<InputFile> shards;
    SafetensorsHeader header;
    if (is_sorted_table(file) || path.extension() == ".index") {
      header.tensors = read_tensorflow_header(file, shards);
    } else if (is_pytorch_file(file)) {
      header.tensors = read_pytorch_header(file);
    } else if (is_mxnet_file(file)) {
      header.tensors = read_mxnet_header(file);
    } else if (is_mindspore_file(file)) {
      header.tensors = read_mindspore_header(file);
    } else {
      header = read_safetensors_header(file);
    }
    std::move(shards.begin(), shards.end(), std::back_inserter(open));
    for (size_t i = first; i < open.size(); ++i) files.push_back(open[i].path());
    for (TensorInfo& tensor : header.tensors) {
      tensor.file += first;
      tensors.push_back(std::move(tensor));
    }
    if (first == 0) metadata = std::move(header.metadata);
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
      MPIBERT_CHECK(listed != map.end(), kCorrupt, files[tensor.file].string(), ": tensor \"", tensor.name, "\" is not in ",
                    index.filename().string());
      MPIBERT_CHECK(names[tensor.file] == listed->second, kCorrupt, index.string(), ": tensor \"", tensor.name, "\" is in ",
                    names[tensor.file], ", not in ", listed->second);
    }
    for (const auto& [tensor, file] : map) {
      const auto at =
          std::lower_bound(tensors.begin(), tensors.end(), tensor, [](const TensorInfo& a, const std::string& b) { return a.name < b; });
      MPIBERT_CHECK(at != tensors.end() && at->name == tensor, kCorrupt, index.string(), ": tensor \"", tensor, "\" is not in ", file);
    }
    MPIBERT_CHECK(tensors.size() == map.size(), kCorrupt, index.string(), ": a tensor stands in two files");
  }
};

WeightsReader::WeightsReader(const fs::path& path) : data_(std::make_unique<Data>()) {
  const fs::path file = file_of(path);
  if (file.extension() == ".json") {
    data_->add_sharded(file);
  } else {
    data_->add(file);
  }
}

WeightsReader::~WeightsReader() = default;
WeightsReader::WeightsReader(WeightsReader&&) noexcept = default;
WeightsReader& WeightsReader::operator=(WeightsReader&&) noexcept = default;

const std::vector<TensorInfo>& WeightsReader::tensors() const { return data_->tensors; }
const std::map<std::string, std::string>& WeightsReader::metadata() const { return data_->metadata; }
const std::vector<fs::path>& WeightsReader::files() const { return data_->files; }

const TensorInfo* WeightsReader::find(std::string_view name) const {
  const auto at = std::lower_bound(data_->tensors.begin(), data_->tensors.end(), name,
                                   [](const TensorInfo& a, std::string_view b) { return a.name < b; });
  return at != data_->tensors.end() && at->name == name ? &*at : nullptr;
}

void WeightsReader::read_bytes(const TensorInfo& tensor, std::span<std::byte> out) const {
  MPIBERT_CHECK(out.size() == tensor.bytes(), kInvalidArgument, "tensor \"", tensor.name, "\" has ", tensor.bytes(), " bytes, the buffer ",
                out.size());
  const InputFile& file = data_->open.at(tensor.file);
  if (tensor.strides.empty()) {
    file.read(tensor.begin, out);
  } else {
    read_strided(file, tensor, out);
  }
}

std::vector<float> WeightsReader::read_floats(const TensorInfo& tensor) const {
  std::vector<float> values(static_cast<size_t>(tensor.shape.size()));
  if (tensor.dtype == DType::kFloat32) {
    read_bytes(tensor, std::as_writable_bytes(std::span(values)));
    return values;
  }
  MPIBERT_CHECK(is_float(tensor.dtype), kCorrupt, files()[tensor.file].string(), ": tensor \"", tensor.name, "\" is of ",
                name_of(tensor.dtype), ", expected fp32, bf16 or fp16");
  std::vector<std::byte> narrow(tensor.bytes());
  read_bytes(tensor, narrow);
  host_cast(Tensor(narrow.data(), tensor.dtype, tensor.shape), host_tensor(std::span(values), tensor.shape));
  return values;
}

}  // namespace mpibert
