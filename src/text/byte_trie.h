#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace mpibert {

// Byte strings with values, in one or more sets, to find the longest that a text begins with. A double array (Aoe 1989) in the form of
// Yata's darts-clone: the child of a node for byte c is the unit `base ^ c`, and it is one if its label is c, because no two nodes have the
// same base. A step is thus one load of four bytes, and nodes are placed in depth-first order, which keeps most of a long string within a
// cache line or two. No string or text may have the byte FF, which UTF-8 has not.
class ByteTrie {
 public:
  struct Entry {
    std::string_view bytes;  // not empty, and no two of a set the same
    int32_t value = 0;
  };
  using Root = uint32_t;

  ByteTrie();
  // Throws kInvalidArgument if there are too many prefixes.
  Root add(std::vector<Entry> entries);
  // The length of the longest entry at the start of `text`, 0 if there is none, and its value.
  size_t longest(Root root, std::string_view text, int32_t& value) const {
    size_t length = 0, found = 0;
    uint32_t base = root;
    for (size_t i = 0; i < text.size(); ++i) {
      const auto byte = static_cast<uint8_t>(text[i]);
      const uint32_t unit = units_[base ^ byte];
      if (label(unit) != byte) break;
      if ((unit & kIsEnd) != 0) {
        length = i + 1;
        found = base ^ byte;
      }
      base = unit >> kBaseShift;
    }
    if (length > 0) value = values_[found];
    return length;
  }

 private:
  static constexpr uint32_t kEmpty = 0xFF, kIsEnd = 0x100, kBaseShift = 9, kBlock = 256;
  static constexpr uint32_t label(uint32_t unit) { return unit & 0xFF; }
  uint32_t place(std::span<const uint8_t> labels);
  bool fits(uint32_t base, std::span<const uint8_t> labels) const;

  std::vector<uint32_t> units_;  // label, kIsEnd if an entry ends here, base of the children
  std::vector<int32_t> values_;  // of units with kIsEnd
  std::vector<bool> is_base_;
  std::vector<uint32_t> free_;  // units of a block
  uint32_t first_open_ = 1;     // block
};

}  // namespace mpibert
