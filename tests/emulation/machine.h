#pragma once

// What the parts of the emulation share: the running kernel, its threads, and who is ordered after whom.

#include <array>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <string>
#include <vector>

#include "cuda_runtime.h"

namespace emulation {

inline constexpr int kWarpLanes = 32, kMostThreads = 1024;
inline constexpr size_t kMostSharedBytes = 227 * 1024;

// A rendezvous of lanes of one warp that not all have reached.
struct Meeting {
  WarpOperation operation;
  unsigned mask, arrived;
  int width;
};

// Which of a warp's accesses are ordered since the last barrier of the block, by vector clocks: lane a has seen what lane b did before its
// clock passed seen[a][b]. Only __syncwarp orders memory; shuffles and votes do not, by the programming guide.
struct WarpOrder {
  std::array<uint32_t, kWarpLanes> clock;
  std::array<std::array<uint32_t, kWarpLanes>, kWarpLanes> seen;
  bool used = false;
};

enum class ThreadState : uint8_t { kReady, kAtBarrier, kInWarp, kFinished };

struct Thread {
  void* context = nullptr;  // where it waits
  uint3 index{};
  ThreadState state = ThreadState::kReady;
  int stack = 0;
  // The meeting it waits in.
  WarpOperation operation{};
  unsigned mask = 0;
  uint64_t value = 0, result = 0;
  int operand = 0;
  std::source_location where{};
#if defined(__SANITIZE_ADDRESS__)
  void* fake_stack = nullptr;
#endif
};

struct Machine {
  bool running = false;  // a kernel's code runs now
  int current = 0;       // the running thread's number in the block
  int block_threads = 0, started = 0, finished = 0, at_barrier = 0;
  uint32_t interval = 0, first_interval_of_block = 0;  // a number for each stretch between two barriers of each block of this process
  size_t shared_bytes = 0;
  const std::byte *kernel = nullptr, *kernel_end = nullptr;  // the callable, with the kernel's arguments
  std::vector<Thread> threads;
  std::vector<WarpOrder> orders;
};
extern Machine machine;

// The work of a mma or ldmatrix whose lanes have all arrived, each with the address of its arguments as its value (matrix.cpp). `first` is
// the warp's first thread.
void matrix_work(WarpOperation operation, int first);

// Makes `number` the running thread, for accesses that one thread makes for another and for reports.
void become(int number);

void forget_copies();       // before a block: asynchronous copies of one that was abandoned (copies.cpp)
std::string lost_copies();  // after it: what is wrong if a thread ended without waiting for a copy, or nothing

// What launch will throw: this text, where the running thread stands, and the source line of `pc` if there is one.
void report(const std::string& what, const void* pc = nullptr, const void* other_pc = nullptr);
// Leaves the kernel for launch, after report(). Nothing of this fiber is destroyed: its frames may hold no memory of the heap.
[[noreturn]] void abandon();

std::string name_of_thread(int number);  // "thread (3, 0, 0)"

// Addresses of the stacks of all threads.
extern uintptr_t stacks_begin, stacks_bytes;

// Whether what lane `other` of a warp did when its clock was `clock` is ordered before what thread `number` of that warp does now.
inline bool ordered_in_warp(int number, int other, uint32_t clock) {
  const WarpOrder& order = machine.orders[static_cast<size_t>(number / kWarpLanes)];
  return order.used && clock < order.seen[static_cast<size_t>(number % kWarpLanes)][static_cast<size_t>(other % kWarpLanes)];
}

}  // namespace emulation
