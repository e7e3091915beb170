/* Refuses arrays of a run that no driver can work on. */
#include "interface.h"

static bool is_there(struct context *context, uint32_t index, const void *pointer)
{
  if (!pointer)
    driver_report(context, "%s '%s' is NULL", index < driver_model.inputs ? "input" : "output",
                  driver_ports[index].name);
  return pointer != NULL;
}

static bool overlap(const char *a, uint64_t a_bytes, const char *b, uint64_t b_bytes)
{
  return (uintptr_t)a < (uintptr_t)b + b_bytes && (uintptr_t)b < (uintptr_t)a + a_bytes;
}

/* No output may share memory with another port: it is written while inputs are still to be read. */
static bool are_apart(struct context *context, const void *const *inputs, void *const *outputs)
{
  const struct port *in = driver_ports, *out = driver_ports + driver_model.inputs;
  for (uint32_t i = 0; i < driver_model.outputs; i++) {
    for (uint32_t j = 0; j < driver_model.inputs; j++)
      if (overlap(outputs[i], out[i].bytes, inputs[j], in[j].bytes)) {
        driver_report(context, "output '%s' overlaps input '%s'", out[i].name, in[j].name);
        return false;
      }
    for (uint32_t j = 0; j < i; j++)
      if (overlap(outputs[i], out[i].bytes, outputs[j], out[j].bytes)) {
        driver_report(context, "output '%s' overlaps output '%s'", out[i].name, out[j].name);
        return false;
      }
  }
  return true;
}

bool driver_check_ports(struct context *context, const void *const *inputs, void *const *outputs)
{
  for (uint32_t i = 0; i < driver_model.inputs; i++)
    if (!is_there(context, i, inputs[i]))
      return false;
  for (uint32_t i = 0; i < driver_model.outputs; i++)
    if (!is_there(context, driver_model.inputs + i, outputs[i]))
      return false;
  return are_apart(context, inputs, outputs);
}
