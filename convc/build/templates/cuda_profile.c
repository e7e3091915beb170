/* The time of each launch, between two events on the device. */
#include "cuda.h"

#include <stdlib.h>

/* One launch at a time: a kernel that fails is known, and what the device does at a first launch is done. */
static bool run_slowly(struct context *context)
{
  for (uint32_t i = 0; i < driver_model.launches; i++)
    if (!driver_launch_one(context, i) || !driver_wait(context))
      return false;
  context->messages.layers = NULL;
  return true;
}

/* All launches in a row: the device does not wait for the host between an event and a kernel. */
static bool run_with_events(struct context *context, const CUevent *events)
{
  if (!CALL(context, cuEventRecord, events[0], context->stream))
    return false;
  for (uint32_t i = 0; i < driver_model.launches; i++)
    if (!driver_launch_one(context, i) || !CALL(context, cuEventRecord, events[i + 1], context->stream))
      return false;
  context->messages.layers = NULL;
  return driver_wait(context);
}

static bool read_times(struct context *context, const CUevent *events, double *seconds)
{
  for (uint32_t i = 0; i < driver_model.launches; i++) {
    float milliseconds;
    if (!CALL(context, cuEventElapsedTime, &milliseconds, events[i], events[i + 1]))
      return false;
    seconds[i] = milliseconds * 1e-3;
  }
  return true;
}

bool driver_profile(struct context *context, double *seconds)
{
  const uint32_t count = driver_model.launches + 1;
  CUevent *events = calloc(count, sizeof(CUevent));
  if (!events) {
    driver_report(context, "out of memory");
    return false;
  }
  bool done = run_slowly(context);
  uint32_t made = 0;
  while (done && made < count) {
    done = CALL(context, cuEventCreate, &events[made], CU_EVENT_DEFAULT);
    made += done;
  }
  done = done && run_with_events(context, events) && read_times(context, events, seconds);
  while (made > 0)
    driver_cuda.cuEventDestroy(events[--made]);
  free(events);
  return done;
}
