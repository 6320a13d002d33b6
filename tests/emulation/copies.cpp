// Asynchronous copies (cp.async): each happens when its thread waits for it. That is as late as the device may do it; but the target is
// written from the beginning on, and holds NaN until then, so that both a reader that waits too little and one that still reads what was
// there are seen.

#include <cstring>
#include <source_location>

#include "tests/emulation/machine.h"
#include "tests/emulation/watch.h"
#include "tests/emulation/words.h"

namespace emulation {
namespace {

struct Copy {
  void* to;
  const void *from, *pc;  // from: null for zeros
  size_t bytes;
  int group;
  std::source_location where;
};
// Of one thread. `group` counts what it has committed.
struct Copies {
  std::vector<Copy> pending;
  int group = 0;
};
std::array<Copies, kMostThreads> copies;

Copies& mine() { return copies[static_cast<size_t>(machine.current)]; }

}  // namespace

void forget_copies() {
  for (Copies& of_thread : copies) of_thread.pending.clear(), of_thread.group = 0;
}

std::string lost_copies() {
  for (size_t thread = 0; thread < copies.size(); ++thread)
    if (const auto& pending = copies[thread].pending; !pending.empty())
      return str("asynchronous copy in ", text_of(pending.front().where), ", which ", name_of_thread(static_cast<int>(thread)),
                 " never waited for");
  return "";
}

void copy_async(void* to, const void* from, int bytes, bool valid, std::source_location where) {
  const void* const pc = __builtin_return_address(0);
  const auto size = static_cast<size_t>(bytes);
  if (valid) access_global(from, size, pc);
  access_shared(to, size, true, pc);
  std::memset(to, 0xff, size);
  mine().pending.push_back({.to = to, .from = valid ? from : nullptr, .pc = pc, .bytes = size, .group = mine().group, .where = where});
}

void commit_copies() { ++mine().group; }

void wait_for_copies(int pending) {
  Copies& copies_here = mine();
  std::erase_if(copies_here.pending, [&](const Copy& copy) {
    if (copy.group >= copies_here.group - pending) return false;
    access_shared(copy.to, copy.bytes, true, copy.pc);
    if (copy.from) {
      std::memcpy(copy.to, copy.from, copy.bytes);
    } else {
      std::memset(copy.to, 0, copy.bytes);
    }
    return true;
  });
}

}  // namespace emulation
