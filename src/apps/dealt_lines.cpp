#include "apps/dealt_lines.h"

#include <cstring>

#include "comm/rank_0.h"
#include "mpibert/base/error.h"

namespace mpibert::apps {

namespace {

constexpr size_t kMostLines = 4096;  // of a window, a rank: lines may be empty

std::vector<std::string> read_window(const DealtLines::Next& next, int64_t window_bytes, size_t ranks) {
  std::vector<std::string> lines;
  size_t bytes = 0;
  while (lines.size() < ranks * kMostLines && bytes < ranks * static_cast<size_t>(window_bytes)) {
    std::optional<std::string> line = next();
    if (!line) break;
    bytes += line->size();
    lines.push_back(std::move(*line));
  }
  return lines;
}

// The lines of a rank: parts of about as many bytes, one behind the other.
std::pair<size_t, size_t> part_of(const std::vector<std::string>& lines, size_t rank, size_t ranks) {
  size_t total = 0;
  for (const std::string& line : lines) total += line.size() + 1;
  std::pair<size_t, size_t> part{0, 0};
  size_t before = 0;
  for (const std::string& line : lines) {
    const size_t owner = before * ranks / total;
    part.first += owner < rank;
    part.second += owner <= rank;
    before += line.size() + 1;
  }
  return part;
}

}  // namespace

std::string framed(const std::vector<std::string>& texts) {
  std::string bytes;
  for (const std::string& text : texts) {
    const uint64_t size = text.size();
    bytes.append(reinterpret_cast<const char*>(&size), sizeof(size)).append(text);
  }
  return bytes;
}

std::vector<std::string> unframed(std::string_view bytes) {
  std::vector<std::string> texts;
  while (!bytes.empty()) {
    uint64_t size = 0;
    MPIBERT_ASSERT(bytes.size() >= sizeof(size));
    std::memcpy(&size, bytes.data(), sizeof(size));
    MPIBERT_ASSERT(bytes.size() - sizeof(size) >= size);
    texts.emplace_back(bytes.substr(sizeof(size), size));
    bytes.remove_prefix(sizeof(size) + size);
  }
  return texts;
}

void deal_lines(Communicator& comm, const DealtLines& work) {
  const auto rank = static_cast<size_t>(comm.rank()), ranks = static_cast<size_t>(comm.size());
  int64_t first = 1;
  DealtLines::Next next;
  const auto window = [&] {
    if (!next) next = work.open();
    return framed(read_window(next, work.window_bytes, ranks));
  };
  for (;;) {
    const std::vector<std::string> lines = unframed(from_rank_0(comm, "lines", window));
    if (lines.empty()) return;
    const auto [begin, end] = part_of(lines, rank, ranks);
    std::vector<std::string> results = work.compute(
        {lines.begin() + static_cast<ptrdiff_t>(begin), lines.begin() + static_cast<ptrdiff_t>(end)}, first + static_cast<int64_t>(begin));
    // One rank after the other, so that rank 0 holds the results of one at a time.
    for (size_t owner = 0; owner < ranks; ++owner) {
      if (owner > 0) {
        const std::string mine = owner == rank ? framed(results) : std::string();
        const auto all = comm.gather_bytes(std::as_bytes(std::span(mine)), 0, "results");
        if (rank == 0) results = unframed({reinterpret_cast<const char*>(all[owner].data()), all[owner].size()});
      }
      if (rank != 0) continue;
      for (const std::string& result : results) work.use(result);
      results.clear();
    }
    first += static_cast<int64_t>(lines.size());
  }
}

}  // namespace mpibert::apps
