#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "mpibert/comm/communicator.h"

namespace mpibert::apps {

// Lines that rank 0 reads, a window at a time, so that files of any length pass through little memory; each rank computes a contiguous part
// of the window.
struct DealtLines {
  using Next = std::function<std::optional<std::string>()>;  // the next line, or none
  std::function<Next()> open{};                              // rank 0, once
  // Every rank: the results of its lines, as many. `first` is the number of the first of them, from 1.
  std::function<std::vector<std::string>(const std::vector<std::string>& lines, int64_t first)> compute{};
  std::function<void(const std::string& result)> use{};  // rank 0: each result, in the order of the lines
  int64_t window_bytes = 65536;                          // of lines, a rank
};

// Collective. An error of reading is thrown on all ranks.
void deal_lines(Communicator& comm, const DealtLines& work);

// Texts as one, and back: each behind its length.
std::string framed(const std::vector<std::string>& texts);
std::vector<std::string> unframed(std::string_view bytes);

}  // namespace mpibert::apps
