/* What went wrong, in words. A context keeps the first message of its last run; what cannot be said by a context,
 * because there is none or another thread is using it, is kept for the thread that asked. */
#include "interface.h"

#include <stdarg.h>
#include <stdio.h>

static _Thread_local struct {
  const struct context *about;
  char text[512];
} refusal;

int driver_refuse(const struct context *about, const char *format, ...)
{
  va_list values;
  va_start(values, format);
  vsnprintf(refusal.text, sizeof refusal.text, format, values);
  va_end(values);
  refusal.about = about;
  return -1;
}

void driver_report(struct context *context, const char *format, ...)
{
  struct messages *messages = driver_messages(context);
  if (atomic_flag_test_and_set(&messages->reported))
    return;
  int length = 0;
  if (messages->layers)
    length = snprintf(messages->text, sizeof messages->text, "in '%.200s': ", messages->layers);
  va_list values;
  va_start(values, format);
  vsnprintf(messages->text + length, sizeof messages->text - (size_t)length, format, values);
  va_end(values);
}

void driver_forget(struct context *context)
{
  struct messages *messages = driver_messages(context);
  if (refusal.about == context)
    refusal.about = NULL;
  messages->layers = NULL;
  messages->text[0] = '\0';
  atomic_flag_clear(&messages->reported);
}

const char *driver_message(struct context *context)
{
  return refusal.about == context || !context ? refusal.text : driver_messages(context)->text;
}
