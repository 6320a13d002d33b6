// Threads of a block as fibers of one thread of the processor. A fiber runs until it waits or ends; one that ends takes the next thread
// that has not begun, so that a kernel without barriers needs a single switch a block.

#include "tests/emulation/simt.h"

#include <sys/mman.h>

#include <boost/context/detail/fcontext.hpp>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>

#include "tests/emulation/machine.h"
#include "tests/emulation/streams.h"
#include "tests/emulation/watch.h"
#include "tests/emulation/words.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace mpibert::cuda {
thread_local __attribute__((aligned(16))) unsigned char dynamic_shared[emulation::kMostSharedBytes];
}

namespace emulation {

Machine machine;
uintptr_t stacks_begin = 0, stacks_bytes = 0;

void become(int number) {
  machine.current = number;
  threadIdx = machine.threads[static_cast<size_t>(number)].index;
}

namespace {

using boost::context::detail::fcontext_t;
using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

constexpr size_t kPage = 4096, kStackBytes = 256 * 1024;  // address space; only touched pages are memory

// The threads that may run, and the calls and stacks they run on.
struct Scheduler {
  std::array<int, 2 * kMostThreads> ready{};  // a ring
  size_t head = 0, tail = 0;
  int fibers = 0;
  fcontext_t host = nullptr;  // launch, while a fiber runs
  void (*call)(const void*) = nullptr;
  const void* kernel = nullptr;
  std::array<std::vector<Meeting>, kMostThreads / kWarpLanes> meetings;
  std::source_location barrier{};
  int first_at_barrier = 0;
  std::string error;
  const void *error_pc = nullptr, *other_pc = nullptr;
  fcontext_t nobody = nullptr;  // where the context of a fiber goes that never runs again
#if defined(__SANITIZE_ADDRESS__)
  const void* host_bottom = nullptr;
  size_t host_bytes = 0;
  void* host_fake_stack = nullptr;
#endif
};
Scheduler scheduler;

std::byte* stack_of(int fiber) { return reinterpret_cast<std::byte*>(stacks_begin) + static_cast<size_t>(fiber) * kStackBytes; }

void reserve_stacks() {
  if (stacks_begin != 0) return;
  stacks_bytes = kMostThreads * kStackBytes;
  void* memory = mmap(nullptr, stacks_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  stacks_begin = reinterpret_cast<uintptr_t>(memory);
  for (int fiber = 0; fiber < kMostThreads; ++fiber) mprotect(stack_of(fiber), kPage, PROT_NONE);
}

// Leaves for `to`, which the next one to come back here overwrites. `fiber` is the stack that `to` runs on, -1 the host's.
void switch_to(fcontext_t to, int fiber, fcontext_t* self, [[maybe_unused]] void** fake_stack) {
#if defined(__SANITIZE_ADDRESS__)
  if (fiber < 0) {
    __sanitizer_start_switch_fiber(fake_stack, scheduler.host_bottom, scheduler.host_bytes);
  } else {
    __sanitizer_start_switch_fiber(fake_stack, stack_of(fiber), kStackBytes);
  }
#endif
  const transfer_t back = jump_fcontext(to, self);
  *static_cast<fcontext_t*>(back.data) = back.fctx;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake_stack ? *fake_stack : nullptr, nullptr, nullptr);
#else
  (void)fiber;
#endif
}

void make_ready(int number) {
  machine.threads[static_cast<size_t>(number)].state = ThreadState::kReady;
  scheduler.ready[scheduler.tail++ % scheduler.ready.size()] = number;
}

// Runs threads that have not begun until one of them waits; another fiber goes on from there.
void run_threads(transfer_t from);

// Leaves the running thread for the next one that may run; for the host if there is none.
void switch_away(fcontext_t* self, void** fake_stack) {
  if (scheduler.head != scheduler.tail) {
    const Thread& next = machine.threads[static_cast<size_t>(scheduler.ready[scheduler.head++ % scheduler.ready.size()])];
    switch_to(next.context, next.stack, self, fake_stack);
  } else if (machine.started < machine.block_threads) {
    const int fiber = scheduler.fibers++;
    // Tops that differ in their low bits: equal ones would share the lines of the cache.
    const size_t bytes = kStackBytes - 64 * static_cast<size_t>(fiber % 61);
    switch_to(make_fcontext(stack_of(fiber) + bytes, bytes - kPage, run_threads), fiber, self, fake_stack);
  } else {
    switch_to(scheduler.host, -1, self, fake_stack);
  }
}

void wait_as(ThreadState state) {
  const int number = machine.current;
  Thread& self = machine.threads[static_cast<size_t>(number)];
  self.state = state;
#if defined(__SANITIZE_ADDRESS__)
  switch_away(&self.context, &self.fake_stack);
#else
  switch_away(&self.context, nullptr);
#endif
  become(number);
}

void run_threads(transfer_t from) {
#if defined(__SANITIZE_ADDRESS__)
  const void* bottom = nullptr;
  size_t bytes = 0;
  __sanitizer_finish_switch_fiber(nullptr, &bottom, &bytes);
  if (!scheduler.host_bottom) {  // the first fiber is entered from the host
    scheduler.host_bottom = bottom;
    scheduler.host_bytes = bytes;
  }
#endif
  *static_cast<fcontext_t*>(from.data) = from.fctx;
  const int stack = scheduler.fibers - 1;
  do {
    const int number = machine.started++;
    machine.threads[static_cast<size_t>(number)].stack = stack;
    become(number);
    scheduler.call(scheduler.kernel);
    machine.threads[static_cast<size_t>(machine.current)].state = ThreadState::kFinished;
    ++machine.finished;
  } while (scheduler.head == scheduler.tail && machine.started < machine.block_threads);
  switch_away(&scheduler.nobody, nullptr);
  std::abort();
}

// ---- Barriers and meetings

bool same_place(const std::source_location& a, const std::source_location& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         (a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0);
}

// Nobody can run, and not all have returned: why.
std::string deadlock() {
  const auto& threads = machine.threads;
  for (int number = 0; number < machine.block_threads; ++number) {
    const Thread& waiting = threads[static_cast<size_t>(number)];
    if (waiting.state != ThreadState::kInWarp) continue;
    const int first = number / kWarpLanes * kWarpLanes;
    for (int lane = 0; lane < kWarpLanes; ++lane) {
      if (!((waiting.mask >> lane) & 1)) continue;
      const Thread& missing = threads[static_cast<size_t>(first + lane)];
      if (missing.state == ThreadState::kInWarp && missing.mask == waiting.mask && missing.operation == waiting.operation) continue;
      return str(name_of_thread(number), " ", doing(waiting), " for lane ", lane,
                 " of its mask, which never arrives: ", name_of_thread(first + lane), " ", doing(missing));
    }
  }
  int waiting = -1, other = -1;
  for (int number = 0; number < machine.block_threads; ++number)
    (threads[static_cast<size_t>(number)].state == ThreadState::kAtBarrier ? waiting : other) = number;
  return str(name_of_thread(waiting), " ", doing(threads[static_cast<size_t>(waiting)]),
             ", which not all threads of the block reach: ", name_of_thread(other), " ", doing(threads[static_cast<size_t>(other)]));
}

// The value that a lane of a completed meeting gets.
uint64_t result_of(const Meeting& meeting, int first, int lane) {
  const Thread& self = machine.threads[static_cast<size_t>(first + lane)];
  const int segment = lane / meeting.width * meeting.width, place = lane - segment;
  int source = lane;
  bool inside = true;
  switch (meeting.operation) {
    case WarpOperation::kSync:
    case WarpOperation::kMma:
    case WarpOperation::kLoadMatrix:
      return 0;
    case WarpOperation::kBallot: {
      uint64_t bits = 0;
      for (int l = 0; l < kWarpLanes; ++l)
        if ((meeting.mask >> l) & 1 && machine.threads[static_cast<size_t>(first + l)].value != 0) bits |= uint64_t{1} << l;
      return bits;
    }
    case WarpOperation::kShuffle:
      source = segment + self.operand;
      inside = 0 <= self.operand && self.operand < meeting.width;
      break;
    case WarpOperation::kShuffleUp:
      if (self.operand <= place) source = lane - self.operand;  // else it keeps its own value
      inside = self.operand >= 0;
      break;
    case WarpOperation::kShuffleDown:
      if (self.operand < meeting.width - place) source = lane + self.operand;
      inside = self.operand >= 0;
      break;
    case WarpOperation::kShuffleXor:
      source = lane ^ self.operand;
      inside = 0 <= self.operand && self.operand < meeting.width;
      break;
  }
  if (!inside || !((meeting.mask >> source) & 1)) {
    become(first + lane);
    report(str(name_of(meeting.operation), "() in ", text_of(self.where), " reads lane ", source, " (operand ", self.operand, ", width ",
               meeting.width, "), which is outside its ", inside ? "mask" : "group of lanes", "; the mask is ", hexadecimal(meeting.mask)));
    abandon();
  }
  return machine.threads[static_cast<size_t>(first + source)].value;
}

void order_memory(int first, unsigned mask) {
  WarpOrder& order = machine.orders[static_cast<size_t>(first / kWarpLanes)];
  if (!order.used) order = WarpOrder{.clock = {}, .seen = {}, .used = true};
  std::array<uint32_t, kWarpLanes> joined{};
  for (size_t lane = 0; lane < kWarpLanes; ++lane) {
    if (!((mask >> lane) & 1)) continue;
    ++order.clock[lane];
    for (size_t other = 0; other < kWarpLanes; ++other) joined[other] = std::max(joined[other], order.seen[lane][other]);
    joined[lane] = std::max(joined[lane], order.clock[lane]);
  }
  for (size_t lane = 0; lane < kWarpLanes; ++lane)
    if ((mask >> lane) & 1) order.seen[lane] = joined;
}

void begin_interval() {
  if (++machine.interval == 0) std::abort();  // 2^32 barriers in one process
  for (WarpOrder& order : machine.orders) order.used = false;
}

// ---- Blocks

void run_block() {
  const size_t n = static_cast<size_t>(machine.block_threads);
  machine.started = machine.finished = machine.at_barrier = 0;
  scheduler.head = scheduler.tail = 0;
  scheduler.fibers = 0;
  for (size_t warp = 0; warp < machine.orders.size(); ++warp) scheduler.meetings[warp].clear();
  forget_copies();
  begin_interval();
  machine.first_interval_of_block = machine.interval;
  std::memset(mpibert::cuda::dynamic_shared, 0xff, machine.shared_bytes);
  for (size_t i = 0; i < n; ++i) machine.threads[i].state = ThreadState::kReady;
  machine.running = true;
#if defined(__SANITIZE_ADDRESS__)
  switch_away(&scheduler.host, &scheduler.host_fake_stack);
#else
  switch_away(&scheduler.host, nullptr);
#endif
  machine.running = false;
  if (scheduler.error.empty() && machine.finished < machine.block_threads) scheduler.error = str(deadlock(), "; block ", text_of(blockIdx));
  if (const std::string lost = scheduler.error.empty() ? lost_copies() : ""; !lost.empty())
    scheduler.error = str(lost, "; block ", text_of(blockIdx));
}

[[noreturn]] void raise_error() {
  std::string text = std::exchange(scheduler.error, "");
  if (scheduler.error_pc) text += place_of(std::exchange(scheduler.error_pc, nullptr));
  if (scheduler.other_pc) text += "\n  the other access:" + place_of(std::exchange(scheduler.other_pc, nullptr));
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(reinterpret_cast<void*>(stacks_begin), stacks_bytes);  // abandoned frames
#endif
  throw Error(text);
}

std::mutex one_kernel;

}  // namespace

std::string name_of_thread(int number) { return "thread " + text_of(machine.threads[static_cast<size_t>(number)].index); }

void report(const std::string& what, const void* pc, const void* other_pc) {
  scheduler.error = str(what, "; block ", text_of(blockIdx), ", ", name_of_thread(machine.current));
  scheduler.error_pc = pc;
  scheduler.other_pc = other_pc;
}

void abandon() {
  switch_to(scheduler.host, -1, &scheduler.nobody, nullptr);
  std::abort();
}

void fail(const char* what, std::source_location where) {
  report(str(what, " in ", text_of(where)));
  abandon();
}

uint64_t warp_meeting(WarpOperation operation, unsigned mask, uint64_t value, int operand, int width, const std::source_location& where) {
  const int number = machine.current, lane = number % kWarpLanes, first = number - lane,
            lanes = std::min(kWarpLanes, machine.block_threads - first);
  const auto refuse = [&](const char* why, int n) {
    report(str(name_of(operation), "() in ", text_of(where), ": ", why, n));
    abandon();
  };
  if (!((mask >> lane) & 1)) refuse("it is called by a lane that is not in its mask, lane ", lane);
  if (lanes < kWarpLanes && (mask >> lanes) != 0)
    refuse("the mask names lanes that the block does not have; lanes of its last warp: ", lanes);
  if (width < 1 || width > kWarpLanes || (width & (width - 1)) != 0) refuse("the width is no power of two up to 32, but ", width);
  Thread& self = machine.threads[static_cast<size_t>(number)];
  self.operation = operation;
  self.mask = mask;
  self.value = value;
  self.operand = operand;
  self.where = where;
  auto& meetings = scheduler.meetings[static_cast<size_t>(first / kWarpLanes)];
  size_t m = 0;
  while (m < meetings.size() && !(meetings[m].mask == mask && meetings[m].operation == operation && meetings[m].width == width)) ++m;
  if (m == meetings.size()) meetings.push_back({.operation = operation, .mask = mask, .arrived = 0, .width = width});
  meetings[m].arrived |= 1u << lane;
  if (meetings[m].arrived != mask) {
    wait_as(ThreadState::kInWarp);
    return self.result;
  }
  const Meeting meeting = meetings[m];
  meetings.erase(meetings.begin() + static_cast<std::ptrdiff_t>(m));
  if (operation == WarpOperation::kMma || operation == WarpOperation::kLoadMatrix) {
    matrix_work(operation, first);
    become(number);
  } else if (operation == WarpOperation::kBallot) {
    const uint64_t bits = result_of(meeting, first, lane);
    for (int l = 0; l < lanes; ++l)
      if ((mask >> l) & 1) machine.threads[static_cast<size_t>(first + l)].result = bits;
  } else {
    for (int l = 0; l < lanes; ++l)
      if ((mask >> l) & 1) machine.threads[static_cast<size_t>(first + l)].result = result_of(meeting, first, l);
  }
  if (operation == WarpOperation::kSync) order_memory(first, mask);
  for (int l = 0; l < lanes; ++l)
    if (((mask >> l) & 1) && l != lane) make_ready(first + l);
  return self.result;
}

namespace {

void run(dim3 grid, dim3 block, size_t shared_bytes, void (*call)(const void*), const void* kernel, size_t kernel_bytes) {
  const std::scoped_lock lock(one_kernel);
  const uint64_t threads = uint64_t{block.x} * block.y * block.z;
  if (threads == 0 || threads > kMostThreads || block.z > 64)
    throw Error(str("launch: a block of ", text_of(block), " threads; the device takes 1 to 1024, 64 along z"));
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535)
    throw Error(str("launch: a grid of ", text_of(grid), " blocks; the device takes 1 to 2147483647 along x, 65535 along y and z"));
  if (shared_bytes > kMostSharedBytes)
    throw Error(str("launch: ", shared_bytes, " bytes of dynamic shared memory; the device has ", kMostSharedBytes, " a block"));
  reserve_stacks();
  begin_watching();
#if defined(__SANITIZE_ADDRESS__)
  scheduler.host_bottom = nullptr;
#endif
  gridDim = grid;
  blockDim = block;
  machine.block_threads = static_cast<int>(threads);
  machine.shared_bytes = shared_bytes;
  machine.kernel = static_cast<const std::byte*>(kernel);
  machine.kernel_end = machine.kernel + kernel_bytes;
  machine.threads.assign(kMostThreads, Thread{});
  machine.orders.resize((static_cast<size_t>(threads) + kWarpLanes - 1) / kWarpLanes);
  for (unsigned i = 0; i < threads; ++i) machine.threads[i].index = {i % block.x, i / block.x % block.y, i / block.x / block.y};
  scheduler.call = call;
  scheduler.kernel = kernel;
  for (blockIdx.z = 0; blockIdx.z < grid.z; ++blockIdx.z) {
    for (blockIdx.y = 0; blockIdx.y < grid.y; ++blockIdx.y) {
      for (blockIdx.x = 0; blockIdx.x < grid.x; ++blockIdx.x) {
        run_block();
        if (!scheduler.error.empty()) raise_error();
      }
    }
  }
}

}  // namespace

void launch(dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream, void (*call)(const void*), const void* kernel,
            size_t kernel_bytes) {
  const auto* begin = static_cast<const std::byte*>(kernel);
  enqueue(stream, [=, copy = std::vector<std::byte>(begin, begin + kernel_bytes)] {
    return run(grid, block, shared_bytes, call, copy.data(), copy.size()), true;
  });
}

}  // namespace emulation

void __syncthreads(std::source_location where) {
  using namespace emulation;
  const int number = machine.current;
  Thread& self = machine.threads[static_cast<size_t>(number)];
  if (machine.at_barrier == 0) {
    scheduler.barrier = where;
    scheduler.first_at_barrier = number;
  } else if (!same_place(scheduler.barrier, where)) {
    report(str("__syncthreads() in ", text_of(where), ", while ", name_of_thread(scheduler.first_at_barrier), " waits at the one in ",
               text_of(scheduler.barrier)));
    abandon();
  }
  self.where = where;
  if (++machine.at_barrier < machine.block_threads) return wait_as(ThreadState::kAtBarrier);
  machine.at_barrier = 0;
  begin_interval();
  for (int other = 0; other < machine.block_threads; ++other)
    if (other != number) make_ready(other);
}
