// Streams and events: what is given to a stream is done when something waits for it, and not before.

#include <chrono>
#include <set>

#include "fake.h"

namespace fake {

namespace {

CUstream_st default_stream;
std::set<CUstream> streams;

CUstream resolved(CUstream stream) { return stream && stream != CU_STREAM_LEGACY ? stream : &default_stream; }

bool valid(CUstream stream) { return stream == &default_stream || streams.count(stream); }

void step(CUstream stream) {
  auto work = std::move(stream->work.front());
  stream->work.pop_front();
  if (!device.broken) work();
}

bool reached(const CUevent_st::State &event, std::uint64_t record) { return event.done >= record; }

void reach(const CUevent_st::State &event, std::uint64_t record) {
  while (!reached(event, record) && valid(event.stream) && !event.stream->work.empty()) step(event.stream);
}

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

// The default stream and those that do not avoid it wait for each other.
CUresult enqueue(CUstream given, std::function<void()> work) {
  CUstream stream = resolved(given);
  if (!valid(stream)) return CUDA_ERROR_INVALID_HANDLE;
  if (stream == &default_stream) {
    for (CUstream other : streams)
      if (other->blocking) finish(other);
  } else if (stream->blocking) {
    finish(nullptr);
  }
  stream->work.push_back(std::move(work));
  return CUDA_SUCCESS;
}

void finish(CUstream given) {
  CUstream stream = resolved(given);
  while (!stream->work.empty()) step(stream);
}

void finish_all() {
  finish(nullptr);
  for (CUstream stream : streams) finish(stream);
}

void forget_streams() { streams.clear(); }

}  // namespace fake

using fake::device;

API cuStreamCreate(CUstream *stream, unsigned flags) {
  ENTER(CONTEXT);
  *stream = fake::keep(new CUstream_st, "streams");
  (*stream)->blocking = !(flags & CU_STREAM_NON_BLOCKING);
  fake::streams.insert(*stream);
  return CUDA_SUCCESS;
}

API cuStreamDestroy_v2(CUstream stream) {
  ENTER(CONTEXT);
  if (!fake::streams.count(stream)) return CUDA_ERROR_INVALID_HANDLE;
  fake::finish(stream);
  fake::streams.erase(stream);
  fake::drop(stream, "streams");
  return CUDA_SUCCESS;
}

API cuStreamSynchronize(CUstream stream) {
  ENTER(CONTEXT);
  if (!fake::valid(fake::resolved(stream))) return CUDA_ERROR_INVALID_HANDLE;
  fake::finish(stream);
  return device.broken;
}

API cuStreamQuery(CUstream stream) {
  ENTER(CONTEXT);
  if (!fake::valid(fake::resolved(stream))) return CUDA_ERROR_INVALID_HANDLE;
  return fake::resolved(stream)->work.empty() ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

API cuStreamWaitEvent(CUstream stream, CUevent event, unsigned) {
  ENTER(CONTEXT);
  if (!fake::known(event)) return CUDA_ERROR_INVALID_HANDLE;
  const auto state = event->state;
  return fake::enqueue(stream, [state, record = state->recorded] { fake::reach(*state, record); });
}

API cuEventCreate(CUevent *event, unsigned flags) {
  ENTER(CONTEXT);
  *event = fake::keep(new CUevent_st, "events");
  (*event)->timed = !(flags & CU_EVENT_DISABLE_TIMING);
  return CUDA_SUCCESS;
}

API cuEventDestroy_v2(CUevent event) {
  ENTER(CONTEXT);
  return fake::drop(event, "events") ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

API cuEventRecord(CUevent event, CUstream stream) {
  ENTER(CONTEXT);
  if (!fake::known(event)) return CUDA_ERROR_INVALID_HANDLE;
  auto state = event->state;
  const std::uint64_t record = state->recorded + 1;
  CUresult result = fake::enqueue(stream, [=] { state->done = record, state->seconds = fake::now(); });
  if (!result) state->stream = fake::resolved(stream), state->recorded = record;
  return result;
}

API cuEventSynchronize(CUevent event) {
  ENTER(CONTEXT);
  if (!fake::known(event)) return CUDA_ERROR_INVALID_HANDLE;
  fake::reach(*event->state, event->state->recorded);
  return device.broken;
}

API cuEventQuery(CUevent event) {
  ENTER(CONTEXT);
  if (!fake::known(event)) return CUDA_ERROR_INVALID_HANDLE;
  return fake::reached(*event->state, event->state->recorded) ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

API cuEventElapsedTime_v2(float *milliseconds, CUevent start, CUevent end) {
  ENTER(CONTEXT);
  if (!fake::known(start) || !fake::known(end) || !start->timed || !end->timed) return CUDA_ERROR_INVALID_HANDLE;
  for (CUevent event : {start, end}) {
    if (!event->state->recorded) return CUDA_ERROR_INVALID_HANDLE;
    if (!fake::reached(*event->state, event->state->recorded)) return CUDA_ERROR_NOT_READY;
  }
  *milliseconds = static_cast<float>((end->state->seconds - start->state->seconds) * 1e3);
  return CUDA_SUCCESS;
}
#undef cuEventElapsedTime
API cuEventElapsedTime(float *milliseconds, CUevent start, CUevent end) {
  ENTER(CONTEXT);
  return cuEventElapsedTime_v2(milliseconds, start, end);
}
