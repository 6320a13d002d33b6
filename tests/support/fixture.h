#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "mpibert/tensor/shape.h"

namespace mpibert::test {

// A file of tests/golden/fixtures, as tests/golden/generate/golden.py writes it: lines of text, an empty line, then numbers.
class Fixture {
 public:
  explicit Fixture(const std::string& name);  // "pretraining_gelu"; fails loudly on a file that is not there or not whole

  std::string attribute(const std::string& key) const;
  int64_t number(const std::string& key) const { return std::stoll(attribute(key)); }
  bool has(const std::string& key) const { return attributes_.count(key) > 0; }

  const std::vector<float>& floats(const std::string& name) const;
  const std::vector<int32_t>& ints(const std::string& name) const;
  std::vector<std::string> names(std::string_view prefix) const;  // of fp32 tensors that begin so, without it

 private:
  std::map<std::string, std::string> attributes_;
  std::map<std::string, std::vector<float>> floats_;
  std::map<std::string, std::vector<int32_t>> ints_;
};

// The twins of golden.py: `count` whole numbers from -127 to 127, and the closed-form weights of a parameter, all exact in bf16.
std::vector<int> hashed_numbers(std::string_view name, int64_t count);
std::vector<float> closed_form_weights(const std::string& name, int64_t count);

}  // namespace mpibert::test
