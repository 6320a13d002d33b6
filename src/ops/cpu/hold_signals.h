#pragma once

#include <pthread.h>

#include <csignal>

namespace mpibert::cpu {

// While it lives, no signal handler runs in this thread; what arrives waits until the end. Faults of the thread itself still arrive.
// The jitted sgemm kernels of oneDNN 2.6 use the stack pointer for something else, so that a signal's frame lands in the heap.
class HoldSignals {
 public:
  HoldSignals() {
    sigset_t held;
    sigfillset(&held);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP}) sigdelset(&held, fault);
    pthread_sigmask(SIG_SETMASK, &held, &before_);
  }
  ~HoldSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  HoldSignals(const HoldSignals&) = delete;
  HoldSignals& operator=(const HoldSignals&) = delete;

 private:
  sigset_t before_;
};

}  // namespace mpibert::cpu
