#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace mpibert {

// A pickle of protocol 2, as data. Python's reader is a stack machine whose opcodes import names and call them; this one knows the opcodes
// that state dicts consist of, looks no name up and calls nothing: a call of an allowed name is kept as the name and its arguments, and any
// other name or opcode is refused. Source: Lib/pickletools.py of Python 3, which says what each opcode takes and leaves.
struct PickleValue {
  enum class Kind : uint8_t { kNone, kBool, kInt, kFloat, kText, kName, kTuple, kList, kDict, kCall, kPersistent };
  Kind kind = Kind::kNone;
  size_t place = 0;               // of the opcode that made it, in bytes
  int64_t integer = 0;            // of kBool and kInt
  std::string text{};             // kText; kName: "module.name"
  std::vector<uint32_t> items{};  // values of a tuple or list; of a dict key, value, key, ...; of a call its name and its arguments; of a
                                  // persistent id the id
};

class Pickle {
 public:
  static constexpr size_t kMaxBytes = 16 << 20, kMaxValues = 1'000'000, kMaxDepth = 64;

  // Reads one pickle from byte `begin` of `bytes` to its STOP. `where` stands in messages. A collections.OrderedDict is a dict, and its
  // attributes are left out. Throws kCorrupt with the byte: an opcode that is not known here, a name that is not in `allowed`, an operand
  // that is missing, or more than the limits above.
  Pickle(std::string_view bytes, size_t begin, const std::string& where, std::span<const std::string_view> allowed);

  const PickleValue& root() const { return values_[root_]; }
  const PickleValue& operator[](uint32_t value) const { return values_[value]; }
  const PickleValue& item(const PickleValue& of, size_t i) const { return values_[of.items[i]]; }
  size_t end() const { return end_; }  // behind STOP

 private:
  friend class PickleMachine;
  std::vector<PickleValue> values_;
  uint32_t root_ = 0;
  size_t end_ = 0;
};

// "a tuple", for messages.
const char* kind_text(PickleValue::Kind kind);

}  // namespace mpibert
