#include "tests/emulation/words.h"

#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "tests/emulation/watch.h"

namespace emulation {

std::string hexadecimal(uint64_t x) {
  std::ostringstream text;
  text << "0x" << std::hex << x;
  return text.str();
}

std::string text_of(const std::source_location& where) {
  const char* slash = std::strrchr(where.file_name(), '/');
  return str(slash ? slash + 1 : where.file_name(), ":", where.line());
}

const char* name_of(WarpOperation operation) {
  switch (operation) {
    case WarpOperation::kSync:
      return "__syncwarp";
    case WarpOperation::kShuffle:
      return "__shfl_sync";
    case WarpOperation::kShuffleUp:
      return "__shfl_up_sync";
    case WarpOperation::kShuffleDown:
      return "__shfl_down_sync";
    case WarpOperation::kShuffleXor:
      return "__shfl_xor_sync";
    case WarpOperation::kBallot:
      return "__ballot_sync";
    case WarpOperation::kMma:
      return "mma";
    case WarpOperation::kLoadMatrix:
      return "ldmatrix";
  }
  return "?";
}

std::string doing(const Thread& thread) {
  switch (thread.state) {
    case ThreadState::kFinished:
      return "has returned";
    case ThreadState::kAtBarrier:
      return str("waits at __syncthreads() in ", text_of(thread.where));
    case ThreadState::kInWarp:
      return str("waits at ", name_of(thread.operation), "() in ", text_of(thread.where));
    case ThreadState::kReady:
      return "runs";
  }
  return "";
}

std::string place_of(const void* pc) {
  if (!pc) return "";
  const uintptr_t offset = reinterpret_cast<uintptr_t>(pc) - program_begin() - 1;
  std::string found;
  if (FILE* pipe = popen(str("addr2line -Cfpi -e /proc/", getpid(), "/exe ", hexadecimal(offset), " 2>/dev/null").c_str(), "r")) {
    char line[4096];
    while (std::fgets(line, sizeof line, pipe)) found += "\n    " + std::string(line, std::strcspn(line, "\n"));
    pclose(pipe);
  }
  return found.empty() ? str("\n    program offset ", hexadecimal(offset)) : found;
}

}  // namespace emulation
