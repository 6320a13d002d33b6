#pragma once

// Streams: work in order, each piece begun when all before it has ended. As a rule what is queued runs at once; behind work that waits for
// another rank or another stream it stays, and goes on whenever the host asks about the stream.

#include <functional>

#include "cuda_runtime_api.h"

namespace emulation {

// Called until it returns true: it has ended.
using Work = std::function<bool()>;
// cudaErrorInvalidResourceHandle if there is no such stream. Rethrows what work throws that runs now. A stream that is captured keeps the
// work, of which each launch of the graph then runs a copy.
cudaError_t enqueue(cudaStream_t stream, Work work);

// For calls that a thread must not make while it captures: then cudaErrorStreamCaptureUnsupported, and the capture has failed.
cudaError_t unsafe_in_capture();

// While one lives, work runs as late as the device might: only when the host waits for its stream or for an event behind it, or work of
// another stream does. What reads too early, because nobody waits for what it reads, then reads too early in every run.
class LateStreams {
 public:
  LateStreams();
  ~LateStreams();
  LateStreams(const LateStreams&) = delete;
  LateStreams& operator=(const LateStreams&) = delete;
};

void pass_time(double milliseconds);  // on the clock that events read: work takes as long as it says
size_t queued(cudaStream_t stream);   // pieces of work that have not ended

void finish_all_work();  // of all streams; returns when it has ended

}  // namespace emulation
