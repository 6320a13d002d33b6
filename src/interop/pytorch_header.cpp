#include "interop/pytorch_header.h"

#include <algorithm>
#include <map>
#include <set>

#include "interop/pickle.h"
#include "interop/tensor_shape.h"
#include "interop/zip.h"
#include "mpibert/base/error.h"

namespace mpibert {

using Kind = PickleValue::Kind;

namespace {

constexpr std::string_view kZipMagic("PK\3\4", 4);
// The first pickle of the old format: the number 0x1950a86a20f9469cfc6c.
constexpr std::string_view kOldMagic("\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15);
constexpr int64_t kOldVersion = 1001;
// Tied weights are one storage for two tensors. With no limit a small file could ask for any memory.
constexpr uint64_t kMaxSharing = 16;

constexpr std::string_view kTensor = "torch._utils._rebuild_tensor", kTensor2 = "torch._utils._rebuild_tensor_v2",
                           kParameter = "torch._utils._rebuild_parameter";
// The storages of kPytorchStorages, and those of dtypes that PyTorch has and this program does not read.
constexpr std::array<std::string_view, 15> kAllowed = {kTensor,
                                                       kTensor2,
                                                       kParameter,
                                                       "torch.FloatStorage",
                                                       "torch.BFloat16Storage",
                                                       "torch.HalfStorage",
                                                       "torch.LongStorage",
                                                       "torch.IntStorage",
                                                       "torch.ByteStorage",
                                                       "torch.DoubleStorage",
                                                       "torch.ShortStorage",
                                                       "torch.CharStorage",
                                                       "torch.BoolStorage",
                                                       "torch.ComplexFloatStorage",
                                                       "torch.ComplexDoubleStorage"};

struct Storage {
  DType dtype = DType::kFloat32;
  int64_t elements = 0;
  uint64_t begin = 0;  // in the file
};
using Storages = std::map<std::string, Storage>;

// A tensor of the pickle.
struct Entry {
  std::string name, storage;  // storage: its key
  int64_t offset = 0;         // of its first number in the storage, in elements
  std::vector<int64_t> dims, strides;
};

// What a pickle's dict of tensors says.
class StateDict {
 public:
  StateDict(const Pickle& pickle, const std::string& where) : pickle_(pickle), where_(where) {
    const PickleValue& root = pickle_.root();
    MPIBERT_CHECK(root.kind == Kind::kDict, kInvalidArgument, where_, " holds ", kind_text(root.kind), ", expected a dict of tensors; ",
                  kRemedy);
    std::set<std::string_view> names;
    for (size_t i = 0; i < root.items.size(); i += 2) {
      const PickleValue& name = pickle_.item(root, i);
      MPIBERT_CHECK(name.kind == Kind::kText, kInvalidArgument, where_, ": ", kind_text(name.kind),
                    " is the key of an entry, expected the name of a tensor; ", kRemedy);
      MPIBERT_CHECK(names.insert(name.text).second, kCorrupt, where_, ": the tensor \"", name.text, "\" stands twice");
      add(name.text, pickle_.item(root, i + 1));
    }
  }

  std::vector<Entry> entries;
  Storages storages;  // their places are not known yet

 private:
  static constexpr const char* kRemedy = "in Python, torch.save(model.state_dict(), FILE) writes what is read here";

  void check(bool condition, const std::string& name, const PickleValue& value, const char* what) const {
    MPIBERT_CHECK(condition, kCorrupt, where_, ": byte ", value.place, " of the pickle: tensor \"", name, "\": ", what);
  }

  void add(const std::string& name, const PickleValue& value) {
    MPIBERT_CHECK(value.kind == Kind::kCall, kInvalidArgument, where_, ": \"", name, "\" is ", kind_text(value.kind),
                  ", expected a tensor; ", kRemedy);
    const std::string& function = pickle_.item(value, 0).text;
    if (function == kParameter) {  // a tensor, whether it is trained, hooks
      check(value.items.size() == 4, name, value, "_rebuild_parameter takes 3 arguments");
      const PickleValue& tensor = pickle_.item(value, 1);
      check(tensor.kind == Kind::kCall && pickle_.item(tensor, 0).text != kParameter, name, tensor, "a parameter of what is no tensor");
      add(name, tensor);
      return;
    }
    // storage, offset, size, stride; then whether it is trained, hooks, and since 2.1 more facts of no concern
    const size_t arguments = value.items.size() - 1;
    check((function == kTensor && arguments == 4) || (function == kTensor2 && (arguments == 6 || arguments == 7)), name, value,
          "not what _rebuild_tensor_v2 makes");
    Entry entry{.name = name,
                .storage = add_storage(name, pickle_.item(value, 1)),
                .offset = integer(name, pickle_.item(value, 2)),
                .dims = integers(name, pickle_.item(value, 3)),
                .strides = integers(name, pickle_.item(value, 4))};
    check(entry.dims.size() == entry.strides.size(), name, value, "as many strides as dimensions are expected");
    entries.push_back(std::move(entry));
  }

  // ('storage', class, key, location, elements), in the old format with a sixth, the view. Returns the key.
  std::string add_storage(const std::string& name, const PickleValue& value) {
    check(value.kind == Kind::kPersistent, name, value, "has no storage");
    const PickleValue& id = pickle_.item(value, 0);
    check(id.kind == Kind::kTuple && (id.items.size() == 5 || id.items.size() == 6), name, id, "a storage is told by 5 facts");
    const PickleValue &type = pickle_.item(id, 1), &key = pickle_.item(id, 2), &elements = pickle_.item(id, 4);
    check(pickle_.item(id, 0).text == "storage" && type.kind == Kind::kName && key.kind == Kind::kText && elements.kind == Kind::kInt &&
              elements.integer >= 0,
          name, id, "expected ('storage', class, key, location, number of elements)");
    check(id.items.size() == 5 || pickle_.item(id, 5).kind == Kind::kNone, name, id,
          "a view of a storage, as before PyTorch 0.4; save it again with a newer one");
    const auto known =
        std::find_if(kPytorchStorages.begin(), kPytorchStorages.end(), [&](const auto& storage) { return storage.first == type.text; });
    MPIBERT_CHECK(known != kPytorchStorages.end(), kInvalidArgument, where_, ": tensor \"", name, "\" is of a ", type.text,
                  "; this program reads float, bfloat16, half, int64, int32 and uint8: convert it before it is saved");
    const auto [at, is_new] = storages.emplace(key.text, Storage{.dtype = known->second, .elements = elements.integer});
    check(is_new || (at->second.dtype == known->second && at->second.elements == elements.integer), name, id,
          "its storage was of another class or size before");
    return key.text;
  }

  int64_t integer(const std::string& name, const PickleValue& value) const {
    check(value.kind == Kind::kInt, name, value, "expected an integer");
    check(value.integer >= 0, name, value, "a negative offset, dimension or stride");
    return value.integer;
  }
  std::vector<int64_t> integers(const std::string& name, const PickleValue& value) const {
    check(value.kind == Kind::kTuple, name, value, "expected a tuple of integers");
    MPIBERT_CHECK(value.items.size() <= 5, kInvalidArgument, where_, ": tensor \"", name,
                  "\": more than 5 dimensions; this program reads up to 5");
    std::vector<int64_t> numbers;
    for (size_t i = 0; i < value.items.size(); ++i) numbers.push_back(integer(name, pickle_.item(value, i)));
    return numbers;
  }

  const Pickle& pickle_;
  const std::string& where_;
};

bool is_row_major(const Shape& shape, const std::vector<int64_t>& strides) {
  int64_t expected = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    if (shape[i] != 1 && strides[static_cast<size_t>(i)] != expected) return false;
    expected *= shape[i];
  }
  return true;
}

TensorInfo place(const Entry& entry, const Storage& storage, const std::string& where) {
  const std::string in = str_cat(where, ": tensor \"", entry.name, "\": ");
  TensorInfo tensor{.name = entry.name, .dtype = storage.dtype, .shape = checked_shape(entry.dims, storage.dtype, in)};
  tensor.begin = storage.begin;
  if (tensor.shape.size() == 0) return tensor;

  // A tensor of more numbers than its storage repeats them (expand); a few bytes of file could ask for any memory then.
  MPIBERT_CHECK(tensor.shape.size() <= storage.elements, kCorrupt, in, "has ", tensor.shape.size(), " numbers, but its storage ",
                storage.elements, "; if it was expanded, save its contiguous() copy");
  int64_t last = entry.offset;
  bool overflow = false;
  for (size_t i = 0; i < entry.dims.size(); ++i) {
    int64_t steps = 0;
    overflow |= __builtin_mul_overflow(entry.dims[i] - 1, entry.strides[i], &steps) || __builtin_add_overflow(last, steps, &last);
    tensor.strides.push_back(entry.dims[i] == 1 ? 0 : entry.strides[i]);
  }
  MPIBERT_CHECK(!overflow && last < storage.elements, kCorrupt, in, tensor.shape.text(), " from element ", entry.offset,
                " on reaches beyond the ", storage.elements, " elements of its storage");
  tensor.begin += static_cast<uint64_t>(entry.offset) * bytes_of(storage.dtype);
  if (is_row_major(tensor.shape, tensor.strides)) tensor.strides.clear();
  return tensor;
}

std::vector<TensorInfo> place_all(const StateDict& state, const InputFile& file) {
  const std::string where = file.path().string();
  std::vector<TensorInfo> tensors;
  uint64_t bytes = 0;
  for (const Entry& entry : state.entries) {
    tensors.push_back(place(entry, state.storages.at(entry.storage), where));
    bytes += tensors.back().bytes();
    MPIBERT_CHECK(bytes / kMaxSharing <= file.size(), kCorrupt, where, ": its tensors share storages until they have more than ",
                  kMaxSharing, " times the bytes of the file");
  }
  std::sort(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; });
  return tensors;
}

// The bytes that a storage of so many elements takes, as the file has it.
void check_size(const Storage& storage, uint64_t bytes, const std::string& what) {
  MPIBERT_CHECK(static_cast<uint64_t>(storage.elements) == bytes / bytes_of(storage.dtype) && bytes % bytes_of(storage.dtype) == 0,
                kCorrupt, what, " has ", bytes, " bytes, expected ", storage.elements, " numbers of ", name_of(storage.dtype));
}

// The folder in the archive that everything lies in, with its '/'.
std::string archive_folder(const std::map<std::string, ZipEntry>& entries, const std::string& where) {
  std::string folder;
  for (const auto& [name, entry] : entries) {
    const size_t slash = name.find('/');
    if (slash == std::string::npos || name.substr(slash) != "/data.pkl") continue;
    MPIBERT_CHECK(folder.empty(), kCorrupt, where, " has ", folder, "data.pkl and ", name, "; expected one");
    folder = name.substr(0, slash + 1);
  }
  MPIBERT_CHECK(!folder.empty(), kCorrupt, where, " is a zip archive without data.pkl in a folder, so torch.save did not write it");
  MPIBERT_CHECK(!entries.contains(folder + "constants.pkl"), kInvalidArgument, where,
                " is a TorchScript module; save its state_dict() with torch.save");
  return folder;
}

std::vector<TensorInfo> read_zip(const InputFile& file) {
  const std::string where = file.path().string();
  const std::map<std::string, ZipEntry> entries = read_zip_directory(file);
  // torch.serialization.set_crc32_options(False) leaves all of them 0.
  const bool has_checksums = std::any_of(entries.begin(), entries.end(), [](const auto& entry) { return entry.second.crc32 != 0; });
  const std::string folder = archive_folder(entries, where);
  const auto checked = [&](const std::string& name) -> const ZipEntry& {
    const auto found = entries.find(folder + name);
    MPIBERT_CHECK(found != entries.end(), kCorrupt, where, ": ", folder, name, " is missing");
    if (has_checksums) check_zip_entry(file, found->first, found->second);
    return found->second;
  };
  const auto text_of = [&](const std::string& name, size_t max_bytes) {
    const ZipEntry& entry = checked(name);
    MPIBERT_CHECK(entry.size <= max_bytes, kCorrupt, where, ": ", folder, name, " has ", entry.size, " bytes, more than ", max_bytes);
    return file.read_text(entry.begin, entry.size);
  };

  if (entries.contains(folder + "byteorder")) {
    const std::string order = text_of("byteorder", 16);
    MPIBERT_CHECK(order == "little", kInvalidArgument, where, ": the numbers are in ", order,
                  "-endian order; save it on a machine of little-endian order");
  }
  const std::string in_pickle = where + ": " + folder + "data.pkl";
  const Pickle pickle(text_of("data.pkl", Pickle::kMaxBytes), 0, in_pickle, kAllowed);
  StateDict state(pickle, in_pickle);
  for (auto& [key, storage] : state.storages) {
    const ZipEntry& entry = checked("data/" + key);
    check_size(storage, entry.size, where + ": " + folder + "data/" + key);
    storage.begin = entry.begin;
  }
  return place_all(state, file);
}

// Magic number, version, facts of the system, state dict, keys of the storages; then the storages in this order.
std::vector<TensorInfo> read_old(const InputFile& file) {
  const std::string where = file.path().string();
  const std::string text = file.read_text(0, static_cast<size_t>(std::min<uint64_t>(file.size(), Pickle::kMaxBytes)));
  MPIBERT_CHECK(text.starts_with(kOldMagic), kCorrupt, where, " is a pickle, but not one that torch.save wrote");
  const Pickle version(text, kOldMagic.size(), where, {});
  MPIBERT_CHECK(version.root().kind == Kind::kInt && version.root().integer == kOldVersion, kCorrupt, where, ": byte ",
                version.root().place, ": expected the version ", kOldVersion);
  const Pickle system(text, version.end(), where, {});
  const PickleValue& facts = system.root();
  for (size_t i = 0; facts.kind == Kind::kDict && i < facts.items.size(); i += 2)
    MPIBERT_CHECK(system.item(facts, i).text != "little_endian" || system.item(facts, i + 1).integer == 1, kInvalidArgument, where,
                  ": the numbers are in big-endian order; save it on a machine of little-endian order");
  const Pickle pickle(text, system.end(), where, kAllowed);
  StateDict state(pickle, where);
  const Pickle keys(text, pickle.end(), where, {});
  MPIBERT_CHECK(keys.root().kind == Kind::kList, kCorrupt, where, ": byte ", keys.root().place, ": ", kind_text(keys.root().kind),
                ", expected the list of storages");

  uint64_t at = keys.end();
  std::set<std::string> placed;
  for (size_t i = 0; i < keys.root().items.size(); ++i) {
    const std::string& key = keys.item(keys.root(), i).text;
    const auto found = state.storages.find(key);
    MPIBERT_CHECK(found != state.storages.end() && placed.insert(key).second, kCorrupt, where, ": the storage \"", key,
                  "\" is listed, but belongs to no tensor or stands twice");
    Storage& storage = found->second;
    MPIBERT_CHECK(file.size() - at >= 8, kCorrupt, where, " ends before the storage \"", key, "\"; it is truncated");
    int64_t elements = 0;
    file.read(at, std::as_writable_bytes(std::span(&elements, 1)));
    MPIBERT_CHECK(elements == storage.elements, kCorrupt, where, ": byte ", at, ": the storage \"", key, "\" has ", elements,
                  " elements, expected ", storage.elements);
    storage.begin = at + 8;
    const uint64_t left = file.size() - storage.begin;
    MPIBERT_CHECK(static_cast<uint64_t>(elements) <= left / bytes_of(storage.dtype), kCorrupt, where, ": the storage \"", key, "\" of ",
                  elements, " elements from byte ", storage.begin, " on reaches beyond the file; it is truncated");
    at = storage.begin + static_cast<uint64_t>(elements) * bytes_of(storage.dtype);
  }
  MPIBERT_CHECK(placed.size() == state.storages.size(), kCorrupt, where, ": ", state.storages.size(), " storages are used, but ",
                placed.size(), " listed");
  MPIBERT_CHECK(at == file.size(), kCorrupt, where, ": the storages end at byte ", at, ", but the file has ", file.size());
  return place_all(state, file);
}

// Files by their first four bytes. As the length of a safetensors header they would be 67 and 176 million: no file has that, or may.
bool begins_with(const InputFile& file, std::string_view magic) { return file.size() >= 4 && file.read_text(0, 4) == magic.substr(0, 4); }

}  // namespace

bool is_pytorch_file(const InputFile& file) { return begins_with(file, kZipMagic) || begins_with(file, kOldMagic); }

std::vector<TensorInfo> read_pytorch_header(const InputFile& file) {
  return begins_with(file, kZipMagic) ? read_zip(file) : read_old(file);
}

}  // namespace mpibert
