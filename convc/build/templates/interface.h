/* What every driver of a compiled model has, whatever runs its kernels: the model's interface and its messages.
 *
 * messages.c  what went wrong, for last_error
 * ports.c     refuses arrays of a run that are NULL or overlap
 * data.s      generated: the weights, the metadata, and the kernels of a GPU, taken in with .incbin
 *
 * Nothing in a driver prints, exits or raises a signal.
 */
#ifndef CONVC_INTERFACE_H
#define CONVC_INTERFACE_H

#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct context;   /* what one caller needs to run the model; each driver has its own */

/* ---- the model, as tables; generated ---- */

enum storage { STORAGE_INPUT, STORAGE_OUTPUT, STORAGE_ARENA, STORAGE_WEIGHTS, STORAGE_EXPANDED };

struct port {
  const char *name;
  uint64_t bytes;
};

struct model {
  uint32_t inputs, outputs, launches;
  uint32_t tensors;     /* distinct arguments of the launches */
  uint32_t arguments;   /* of all launches together */
  uint64_t arena_bytes;
};

extern const struct model driver_model;
extern const struct port driver_ports[];       /* inputs, then outputs */
extern const uint32_t driver_arguments[];      /* indices into the driver's table of tensors */
extern const char driver_weights[];            /* data.s */
extern const char driver_metadata[];           /* data.s: JSON, ends with NUL */

/* ---- for loaders that do not know the model's name: the symbol `convc_module_v1` ---- */

/* On a GPU only. Pointers into the device's memory are CUdeviceptr as void *, streams CUstream as void *. Functions
 * that return an int return 0, or -1 with a message in last_error. */
struct convc_device {
  uint32_t size;   /* of this structure */
  uint32_t reserved;
  /* On arrays in the device's memory: given to the context's stream; returns at once. */
  int (*run)(struct context *, const void *const *inputs, void *const *outputs);
  void *(*stream)(struct context *);
  /* What `stream` is given from now on waits for what the context was given so far. */
  int (*join)(struct context *, void *stream);
  int (*synchronize)(struct context *);
  void *(*allocate)(struct context *, uint64_t bytes);   /* NULL: message in last_error */
  void (*release)(struct context *, void *memory);       /* waits for the device */
  /* To the host, after what the context was given so far; waits. */
  int (*read)(struct context *, void *host, const void *device, uint64_t bytes);
};

/* `create` and the others are the functions of the model's header, except that `run` takes one pointer per input and
 * per output, in the order of the metadata, and `profile` also writes the seconds of each launch. */
struct convc_module {
  uint32_t format_version;
  uint32_t size;   /* of this structure */
  uint32_t inputs, outputs, launches;
  uint32_t device;   /* DLPack's number: 1 CPU, 2 CUDA */
  const char *metadata;
  uint64_t metadata_bytes;   /* without the NUL */
  struct context *(*create)(int choice);   /* of threads on a CPU, of the device on a GPU */
  int (*run)(struct context *, const void *const *inputs, void *const *outputs);
  int (*profile)(struct context *, const void *const *inputs, void *const *outputs, double *seconds);
  void (*destroy)(struct context *);
  const char *(*last_error)(struct context *);
  const struct convc_device *on_device;   /* NULL on a CPU */
};

/* ---- each driver: context.c, cuda_context.c ---- */

struct context *driver_open(int choice);
int driver_execute(struct context *context, const void *const *inputs, void *const *outputs, double *seconds);
void driver_close(struct context *context);

/* ---- messages.c ---- */

/* What a context has to say. */
struct messages {
  const char *layers;     /* of the launch that is being worked on, NULL between launches: messages begin with them */
  atomic_flag reported;   /* `text` is taken */
  char text[512];
};

struct messages *driver_messages(struct context *context);   /* each driver: those of the context */

/* A message for this thread alone, about a context or, without one, NULL. Returns -1. */
int driver_refuse(const struct context *about, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Keeps the first message of a run; later ones, also from other threads, are dropped. */
void driver_report(struct context *context, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Forgets what was said about the context to this thread, and by the context: before each run. */
void driver_forget(struct context *context);
const char *driver_message(struct context *context);

/* ---- ports.c ---- */

/* False, and a message: an array is NULL, or an output overlaps another port. Neither list may be NULL. */
bool driver_check_ports(struct context *context, const void *const *inputs, void *const *outputs);

#endif
