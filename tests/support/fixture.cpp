#include "tests/support/fixture.h"

#include <cstring>
#include <sstream>
#include <stdexcept>

#include "tests/support/files.h"

namespace mpibert::test {

namespace {

template <class T>
std::vector<T> take(const std::string& bytes, size_t& at, int64_t count) {
  std::vector<T> numbers(static_cast<size_t>(count));
  if (at + numbers.size() * sizeof(T) > bytes.size()) throw std::runtime_error("the fixture is truncated");
  std::memcpy(numbers.data(), bytes.data() + at, numbers.size() * sizeof(T));
  at += numbers.size() * sizeof(T);
  return numbers;
}

}  // namespace

Fixture::Fixture(const std::string& name) {
  const std::string bytes = read_text(source_folder() / "tests/golden/fixtures" / (name + ".golden"));
  const size_t end = bytes.find("\n\n");
  if (!bytes.starts_with("mpibert-fixture 1\n") || end == std::string::npos) throw std::runtime_error(name + " is no fixture of version 1");
  std::istringstream lines(bytes.substr(0, end));
  size_t at = end + 2;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string kind, key, value;
    words >> kind >> key >> value;
    if (kind == "attribute") attributes_[key] = value;
    if (kind != "tensor") continue;
    int64_t count = 1;
    for (int64_t dim = 0; words >> dim;) count *= dim;
    if (value == "int32") ints_[key] = take<int32_t>(bytes, at, count);
    else floats_[key] = take<float>(bytes, at, count);
  }
  if (at != bytes.size()) throw std::runtime_error(name + " has bytes that no tensor names");
}

std::string Fixture::attribute(const std::string& key) const { return attributes_.at(key); }
const std::vector<float>& Fixture::floats(const std::string& name) const { return floats_.at(name); }
const std::vector<int32_t>& Fixture::ints(const std::string& name) const { return ints_.at(name); }

std::vector<std::string> Fixture::names(std::string_view prefix) const {
  std::vector<std::string> found;
  for (const auto& [name, numbers] : floats_)
    if (name.starts_with(prefix)) found.push_back(name.substr(prefix.size()));
  return found;
}

std::vector<int> hashed_numbers(std::string_view name, int64_t count) {
  uint64_t key = 0xCBF29CE484222325u;
  for (const char c : name) key = (key ^ static_cast<uint8_t>(c)) * 0x100000001B3u;
  std::vector<int> numbers;
  for (int64_t i = 1; i <= count; ++i) {
    uint64_t z = key + static_cast<uint64_t>(i) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z = z ^ (z >> 31);
    numbers.push_back(static_cast<int>((z >> 32) % 255) - 127);
  }
  return numbers;
}

std::vector<float> closed_form_weights(const std::string& name, int64_t count) {
  const bool is_norm = name.ends_with("LayerNorm.weight");
  std::vector<float> weights;
  for (const int k : hashed_numbers(name, count))
    weights.push_back(is_norm ? 1 + static_cast<float>(k / 4) / 64 : static_cast<float>(k) / 256);
  return weights;
}

}  // namespace mpibert::test
