#include "tests/emulation/streams.h"

#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "tests/emulation/memory.h"

struct CUstream_st {
  std::deque<emulation::Work> queue;
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
  stream->queue.push_back(std::move(work));
  if (all().late == 0) advance(*stream);
  return cudaSuccess;
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
  const std::scoped_lock lock(all().mutex);
  if (!all().events.contains(event)) return returned(cudaErrorInvalidResourceHandle);
  return is_done(*event->record) ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  std::shared_ptr<Record> record;
  {
    const std::scoped_lock lock(all().mutex);
    if (!all().events.contains(event)) return returned(cudaErrorInvalidResourceHandle);
    record = event->record;
  }
  wait_until([&] { return is_done(*record); });
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  const std::scoped_lock lock(all().mutex);
  if (!all().events.contains(event)) return returned(cudaErrorInvalidResourceHandle);
  return enqueue(stream, [record = event->record] { return is_done(*record); });
}
