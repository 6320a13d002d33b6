#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "mpibert/data/corpus.h"

namespace mpibert {

// Sentences by ICU's break rules for a language. Its words after which a full stop ends no sentence (CLDR's "standard" suppressions) are
// used, which ICU has for some languages.
class IcuSentences {
 public:
  explicit IcuSentences(const std::string& language);  // throws kInvalidArgument if ICU has no rules for it
  ~IcuSentences();
  IcuSentences(IcuSentences&&) noexcept;
  IcuSentences& operator=(IcuSentences&&) noexcept;
  void split(std::string_view paragraph, Document& document);  // adds to it

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

}  // namespace mpibert
