#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "mpibert/data/document.h"

namespace mpibert {

struct DocumentFilterOptions {
  int64_t min_characters = 0;     // documents of fewer Unicode characters go; 0: none
  std::string script{};           // a language (en, ja) or a script (Latn, Cyrillic) of which the letters should be; empty: any
  double min_script_share = 0.5;  // of the letters of a document, 0 to 1; documents with less go, and those without a letter
};

// Which documents are worth learning from, by the document alone.
class DocumentFilter {
 public:
  explicit DocumentFilter(
      const DocumentFilterOptions& options);  // throws kInvalidArgument for a script that is not known, a share outside 0 .. 1
  enum class Verdict : uint8_t { kKeep, kShort, kOtherScript };  // the first that applies
  Verdict judge(const Document& document) const;

 private:
  DocumentFilterOptions options_;
  std::vector<int32_t> scripts_;  // of ICU
};

// The first 128 bits of the SHA-256 of a document's sentences, a line feed behind each. Of 10^10 different documents two are equal with
// probability 10^-19.
struct DocumentHash {
  uint64_t high = 0, low = 0;
  auto operator<=>(const DocumentHash&) const = default;
};
DocumentHash hash_of(const Document& document);

}  // namespace mpibert
