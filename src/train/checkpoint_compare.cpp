#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "mpibert/base/error.h"
#include "mpibert/interop/model_folder.h"
#include "mpibert/interop/weights_reader.h"
#include "mpibert/train/checkpoint.h"
#include "train/checkpoint_files.h"

namespace mpibert {

namespace fs = std::filesystem;

namespace {

// Weights and optimizer state of a folder under canonical names.
class TensorSet {
 public:
  struct Entry {
    std::string name;  // canonical
    const WeightsReader* reader = nullptr;
    const TensorInfo* tensor = nullptr;
  };

  explicit TensorSet(const fs::path& path) {
    const fs::path folder = fs::is_regular_file(path) ? path : resolve_model_path(path);
    readers_.push_back(std::make_unique<WeightsReader>(folder));
    const fs::path optimizer = folder / kOptimizerState;
    if (fs::is_directory(folder) && fs::exists(optimizer)) readers_.push_back(std::make_unique<WeightsReader>(optimizer));
    for (const auto& reader : readers_) {
      for (const TensorInfo& tensor : reader->tensors()) {
        const std::string name = canonical_weight_name(tensor.name);
        if (!is_known_buffer(name)) entries_.push_back({name, reader.get(), &tensor});
      }
    }
    sort();
    leave_out_copy("cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight");
    leave_out_copy("cls.predictions.decoder.bias", "cls.predictions.bias");
  }

  const std::vector<Entry>& entries() const { return entries_; }

  static std::vector<std::byte> bytes(const Entry& entry) {
    std::vector<std::byte> bytes(entry.tensor->bytes());
    entry.reader->read_bytes(*entry.tensor, bytes);
    return bytes;
  }

 private:
  void sort() {
    std::stable_sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) { return a.name < b.name; });
  }

  std::vector<Entry>::iterator find(const std::string& name) {
    return std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.name == name; });
  }

  void leave_out_copy(const std::string& copy_name, const std::string& original_name) {
    const auto copy = find(copy_name), original = find(original_name);
    if (copy == entries_.end()) return;
    if (original == entries_.end()) {  // one tensor under the other of its two names
      copy->name = original_name;
      sort();
    } else if (copy->tensor->dtype == original->tensor->dtype && copy->tensor->shape == original->tensor->shape &&
               bytes(*copy) == bytes(*original)) {
      entries_.erase(copy);
    }
  }

  std::vector<std::unique_ptr<WeightsReader>> readers_;
  std::vector<Entry> entries_;
};

void compare_values(const TensorSet::Entry& a, const TensorSet::Entry& b, TensorDifference& difference) {
  const std::vector<float> first = a.reader->read_floats(*a.tensor), second = b.reader->read_floats(*b.tensor);
  for (size_t i = 0; i < first.size(); ++i) {
    if (std::memcmp(&first[i], &second[i], sizeof(float)) == 0) continue;
    ++difference.different;
    const double gap = std::abs(double{first[i]} - double{second[i]});
    // Once NaN it stays: a NaN against a number is farther apart than any two numbers.
    if (std::isnan(first[i]) && std::isnan(second[i])) continue;
    if (std::isnan(gap) || std::isnan(difference.max_abs)) difference.max_abs = std::numeric_limits<double>::quiet_NaN();
    else difference.max_abs = std::max(difference.max_abs, gap);
  }
}

std::optional<TensorDifference> compare(const TensorSet::Entry& a, const TensorSet::Entry& b) {
  TensorDifference difference{.name = a.name, .elements = a.tensor->shape.size()};
  if (a.tensor->shape != b.tensor->shape) {
    difference.what = a.tensor->shape.text() + " and " + b.tensor->shape.text();
    return difference;
  }
  if (a.tensor->dtype == b.tensor->dtype && TensorSet::bytes(a) == TensorSet::bytes(b)) return std::nullopt;
  if (!is_float(a.tensor->dtype) || !is_float(b.tensor->dtype)) {
    difference.what = "values";
    difference.different = difference.elements;
    return difference;
  }
  compare_values(a, b, difference);
  if (difference.different == 0 && a.tensor->dtype != b.tensor->dtype) {
    difference.what = str_cat(name_of(a.tensor->dtype), " and ", name_of(b.tensor->dtype), ", equal values");
  } else {
    difference.what = "values";
  }
  return difference;
}

}  // namespace

std::string checkpoint_digest(const fs::path& path) {
  const TensorSet set(path);
  TensorDigest digest;
  for (const TensorSet::Entry& entry : set.entries())
    digest.add(entry.name, entry.tensor->dtype, entry.tensor->shape, TensorSet::bytes(entry));
  return digest.hex();
}

std::vector<TensorDifference> diff_checkpoints(const fs::path& first, const fs::path& second) {
  const TensorSet a(first), b(second);
  std::vector<TensorDifference> differences;
  auto left = a.entries().begin(), right = b.entries().begin();
  while (left != a.entries().end() || right != b.entries().end()) {
    if (right == b.entries().end() || (left != a.entries().end() && left->name < right->name)) {
      differences.push_back({.name = left->name, .what = "only in the first", .elements = left->tensor->shape.size()});
      ++left;
    } else if (left == a.entries().end() || right->name < left->name) {
      differences.push_back({.name = right->name, .what = "only in the second", .elements = right->tensor->shape.size()});
      ++right;
    } else {
      if (std::optional<TensorDifference> difference = compare(*left++, *right++)) differences.push_back(*std::move(difference));
    }
  }
  return differences;
}

}  // namespace mpibert
