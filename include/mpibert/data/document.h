#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace mpibert {

// A document: its sentences, in one piece of memory.
class Document {
 public:
  Document() = default;
  Document(std::initializer_list<std::string_view> sentences);
  void add(std::string_view sentence);
  void clear();
  bool empty() const { return ends_.empty(); }
  int64_t sentences() const { return static_cast<int64_t>(ends_.size()); }
  std::string_view sentence(int64_t i) const;
  std::string_view text() const { return text_; }                                      // the sentences, a line feed behind each
  int64_t bytes() const { return static_cast<int64_t>(text_.size() - ends_.size()); }  // of the sentences
  bool operator==(const Document&) const = default;

 private:
  std::string text_;
  std::vector<size_t> ends_;  // of the sentences in text_, without their line feeds
};

}  // namespace mpibert
