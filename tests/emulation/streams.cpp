#include "tests/emulation/streams.h"

#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "tests/emulation/memory.h"

struct CUgraph_st {
  std::vector<emulation::Work> work;
};
struct CUgraphExec_st {
  std::vector<emulation::Work> work;
};

struct CUstream_st {
  std::deque<emulation::Work> queue;
  std::unique_ptr<CUgraph_st> capture;  // while it is captured
  std::thread::id capturer;
  bool has_failed = false;  // the capture
  bool is_running = false;  // its first work is being called
  bool is_destroyed = false;
};

namespace {

// One cudaEventRecord.
struct Record {
  CUstream_st* stream = nullptr;
  bool is_done = false;
  double milliseconds = 0;  // on the clock, when it was done
};

}  // namespace

struct CUevent_st {
  bool is_timed = true;
  std::shared_ptr<Record> record = std::make_shared<Record>(Record{.stream = nullptr, .is_done = true});
};

namespace emulation {
namespace {

struct Streams {
  std::recursive_mutex mutex;
  CUstream_st null_stream;
  std::set<cudaStream_t> streams;
  std::set<cudaEvent_t> events;
  std::set<cudaGraph_t> graphs;
  std::set<cudaGraphExec_t> executables;
  int late = 0;
  double milliseconds = 0;  // the clock
};
// Never destroyed: static objects of tests use streams after main.
Streams& all() {
  static Streams& it = *new Streams;
  return it;
}

CUstream_st* live(cudaStream_t stream) {
  if (stream == nullptr) return &all().null_stream;
  const auto found = all().streams.find(stream);
  return found == all().streams.end() || stream->is_destroyed ? nullptr : stream;
}

// Goes on with a stream until something is not ready yet, or until `record` is done. Returns whether nothing is left.
bool advance(CUstream_st& stream, const Record* record = nullptr) {
  while (!stream.queue.empty() && !(record && record->is_done)) {
    if (stream.is_running) return false;
    stream.is_running = true;
    bool ended = true;
    try {
      ended = stream.queue.front()();
    } catch (...) {
      stream.is_running = false;
      stream.queue.pop_front();
      throw;
    }
    stream.is_running = false;
    if (!ended) return false;
    stream.queue.pop_front();
  }
  return stream.queue.empty();
}

bool is_done(const Record& record) {
  if (!record.is_done) advance(*record.stream, &record);
  return record.is_done;
}

// What a captured stream cannot take: the capture has failed.
cudaError_t refuse(CUstream_st& stream, cudaError_t error) {
  stream.has_failed = true;
  return returned(error);
}

void wait_until(const std::function<bool()>& done) {
  for (;;) {
    {
      const std::scoped_lock lock(all().mutex);
      if (done()) return;
    }
    std::this_thread::yield();
  }
}

}  // namespace

cudaError_t enqueue(cudaStream_t handle, Work work) {
  const std::scoped_lock lock(all().mutex);
  CUstream_st* stream = live(handle);
  if (!stream) return returned(cudaErrorInvalidResourceHandle);
  if (stream->capture) {
    if (stream->has_failed) return returned(cudaErrorStreamCaptureInvalidated);
    stream->capture->work.push_back(std::move(work));
    return cudaSuccess;
  }
  stream->queue.push_back(std::move(work));
  if (all().late == 0) advance(*stream);
  return cudaSuccess;
}

cudaError_t unsafe_in_capture() {
  const std::scoped_lock lock(all().mutex);
  cudaError_t error = cudaSuccess;
  for (CUstream_st* stream : all().streams)
    if (stream->capture && stream->capturer == std::this_thread::get_id()) error = refuse(*stream, cudaErrorStreamCaptureUnsupported);
  return error;
}

LateStreams::LateStreams() { ++all().late; }
LateStreams::~LateStreams() {
  finish_all_work();
  --all().late;
}

void pass_time(double milliseconds) {
  const std::scoped_lock lock(all().mutex);
  all().milliseconds += milliseconds;
}

size_t queued(cudaStream_t handle) {
  const std::scoped_lock lock(all().mutex);
  const CUstream_st* stream = live(handle);
  return stream ? stream->queue.size() : 0;
}

void finish_all_work() {
  wait_until([] {
    bool idle = advance(all().null_stream);
    for (const cudaStream_t stream : std::set(all().streams)) idle &= advance(*stream);
    return idle;
  });
}

}  // namespace emulation

using namespace emulation;

cudaError_t cudaDeviceSynchronize() {
  if (const cudaError_t error = unsafe_in_capture(); error != cudaSuccess) return error;
  finish_all_work();
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  const std::scoped_lock lock(all().mutex);
  all().streams.insert(*stream = new CUstream_st);
  return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithFlags(stream, cudaStreamDefault); }

// Work that has not ended goes on; the stream stays for it.
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const std::scoped_lock lock(all().mutex);
  if (stream == nullptr || !live(stream)) return returned(cudaErrorInvalidResourceHandle);
  stream->is_destroyed = true;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  if (const cudaError_t error = unsafe_in_capture(); error != cudaSuccess) return error;
  CUstream_st* stream = nullptr;
  {
    const std::scoped_lock lock(all().mutex);
    stream = live(handle);
    if (!stream) return returned(cudaErrorInvalidResourceHandle);
  }
  wait_until([stream] { return advance(*stream); });
  return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  if (const cudaError_t error = unsafe_in_capture(); error != cudaSuccess) return error;
  const std::scoped_lock lock(all().mutex);
  CUstream_st* stream = live(handle);
  if (!stream) return returned(cudaErrorInvalidResourceHandle);
  return advance(*stream) ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  const std::scoped_lock lock(all().mutex);
  all().events.insert(*event = new CUevent_st{.is_timed = (flags & cudaEventDisableTiming) == 0});
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const std::scoped_lock lock(all().mutex);
  if (all().events.erase(event) == 0) return returned(cudaErrorInvalidResourceHandle);
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
  const std::scoped_lock lock(all().mutex);
  CUstream_st* stream = live(handle);
  if (!stream || !all().events.contains(event)) return returned(cudaErrorInvalidResourceHandle);
  if (stream->capture) return refuse(*stream, cudaErrorStreamCaptureUnsupported);
  const auto record = std::make_shared<Record>(Record{.stream = stream});
  event->record = record;
  return enqueue(handle, [record] {
    record->milliseconds = all().milliseconds;
    return record->is_done = true;
  });
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  const std::scoped_lock lock(all().mutex);
  for (const cudaEvent_t event : {start, end}) {
    if (!all().events.contains(event) || !event->is_timed || !event->record->stream) return returned(cudaErrorInvalidResourceHandle);
    if (!is_done(*event->record)) return returned(cudaErrorNotReady);
  }
  *milliseconds = static_cast<float>(end->record->milliseconds - start->record->milliseconds);
  return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  if (const cudaError_t error = unsafe_in_capture(); error != cudaSuccess) return error;
  const std::scoped_lock lock(all().mutex);
  if (!all().events.contains(event)) return returned(cudaErrorInvalidResourceHandle);
  return is_done(*event->record) ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (const cudaError_t error = unsafe_in_capture(); error != cudaSuccess) return error;
  std::shared_ptr<Record> record;
  {
    const std::scoped_lock lock(all().mutex);
    if (!all().events.contains(event)) return returned(cudaErrorInvalidResourceHandle);
    record = event->record;
  }
  wait_until([&] { return is_done(*record); });
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned) {
  const std::scoped_lock lock(all().mutex);
  CUstream_st* stream = live(handle);
  if (!stream || !all().events.contains(event)) return returned(cudaErrorInvalidResourceHandle);
  if (stream->capture) return refuse(*stream, cudaErrorStreamCaptureIsolation);  // no event is of the capture
  return enqueue(handle, [record = event->record] { return is_done(*record); });
}

// ---- Graphs

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  const std::scoped_lock lock(all().mutex);
  CUstream_st* stream = live(handle);
  if (!stream) return returned(cudaErrorInvalidResourceHandle);
  if (handle == nullptr || mode != cudaStreamCaptureModeThreadLocal) return returned(cudaErrorStreamCaptureUnsupported);
  if (stream->capture) return returned(cudaErrorIllegalState);
  stream->capture = std::make_unique<CUgraph_st>();
  stream->capturer = std::this_thread::get_id();
  stream->has_failed = false;
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  const std::scoped_lock lock(all().mutex);
  *graph = nullptr;
  CUstream_st* stream = live(handle);
  if (!stream) return returned(cudaErrorInvalidResourceHandle);
  if (!stream->capture) return returned(cudaErrorIllegalState);
  if (stream->capturer != std::this_thread::get_id()) return refuse(*stream, cudaErrorStreamCaptureWrongThread);
  const std::unique_ptr<CUgraph_st> captured = std::move(stream->capture);
  if (stream->has_failed) return returned(cudaErrorStreamCaptureInvalidated);
  all().graphs.insert(*graph = new CUgraph_st(*captured));
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  const std::scoped_lock lock(all().mutex);
  const CUstream_st* stream = live(handle);
  if (!stream) return returned(cudaErrorInvalidResourceHandle);
  *status = !stream->capture     ? cudaStreamCaptureStatusNone
            : stream->has_failed ? cudaStreamCaptureStatusInvalidated
                                 : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  const std::scoped_lock lock(all().mutex);
  if (!all().graphs.contains(graph)) return returned(cudaErrorInvalidValue);
  all().executables.insert(*executable = new CUgraphExec_st{graph->work});
  return cudaSuccess;
}

// What is queued outlives the graph.
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  const std::scoped_lock lock(all().mutex);
  if (!all().executables.contains(executable)) return returned(cudaErrorInvalidValue);
  for (const Work& work : executable->work)
    if (const cudaError_t error = enqueue(stream, work); error != cudaSuccess) return error;
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  const std::scoped_lock lock(all().mutex);
  if (all().graphs.erase(graph) == 0) return returned(cudaErrorInvalidValue);
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  const std::scoped_lock lock(all().mutex);
  if (all().executables.erase(executable) == 0) return returned(cudaErrorInvalidValue);
  delete executable;
  return cudaSuccess;
}
