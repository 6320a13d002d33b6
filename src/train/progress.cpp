#include "train/progress.h"

#include <unistd.h>

#include <cstdio>
#include <string>

namespace mpibert {

Progress::Progress() : terminal_(::isatty(STDERR_FILENO) == 1) {}

void Progress::draw(int64_t step, int64_t total) {
  const auto now = std::chrono::steady_clock::now();
  if (!terminal_ || total <= 0 || now - last_ < std::chrono::milliseconds(500)) return;
  last_ = now;
  drawn_ = true;
  constexpr int64_t kWidth = 40;
  const auto filled = static_cast<size_t>(kWidth * step / total);
  const std::string bar = std::string(filled, '=') + std::string(kWidth - filled, ' ');
  std::fprintf(stderr, "\r[%s] step %lld/%lld", bar.c_str(), static_cast<long long>(step), static_cast<long long>(total));
}

void Progress::clear() {
  if (!drawn_) return;
  std::fputs("\r\033[K", stderr);
  drawn_ = false;
}

}  // namespace mpibert
