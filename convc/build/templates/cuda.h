/* The driver of a model for CUDA: what its parts share, besides interface.h.
 *
 * model.c         generated: the model's tables, its named C functions and `convc_module_v1`
 * cuda_context.c  create, run, destroy
 * cuda_memory.c   runs on arrays in the device's memory, and memory to have them in
 * cuda_device.c   what the contexts of a device share: CUDA's primary context, the kernels, the weights
 * cuda_graph.c    the launches of a run: one CUDA graph, or one after the other where there are no graphs
 * cuda_profile.c  the time of each launch
 * cuda_host.c     arrays in the host's memory: copied by way of page-locked memory
 * cuda_api.c      libcuda.so.1, NVIDIA's driver: found at run time, its functions and its errors
 *
 * A run is given to the context's own stream, so that contexts do not wait for each other. Each function of the
 * interface makes CUDA's primary context of the device current, and afterwards what was current before: the caller may
 * use CUDA too. What libcuda.so.1 returns is checked everywhere but where things are given back.
 */
#ifndef CONVC_CUDA_H
#define CONVC_CUDA_H

#include "interface.h"

enum { PORT_ALIGNMENT = 16 };   /* what kernels assume of the caller's arrays on the device, in bytes */

/* ---- CUDA's driver API: cuda.h of the toolkit, as far as it is used ---- */

typedef int CUresult;
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUstream_st *CUstream;
typedef struct CUevent_st *CUevent;
typedef struct CUgraph_st *CUgraph;
typedef struct CUgraphNode_st *CUgraphNode;
typedef struct CUgraphExec_st *CUgraphExec;

typedef struct {
  CUfunction func;
  unsigned grid[3];
  unsigned block[3];
  unsigned shared_bytes;
  void **parameters;   /* pointers to the arguments */
  void **extra;
} CUDA_KERNEL_NODE_PARAMS;

enum {
  CUDA_SUCCESS = 0,
  CUDA_ERROR_INVALID_VALUE = 1,
  CUDA_ERROR_OUT_OF_MEMORY = 2,
  CUDA_ERROR_NO_DEVICE = 100,
  CUDA_ERROR_NOT_SUPPORTED = 801,
};
enum { CU_STREAM_NON_BLOCKING = 1 };
enum { CU_EVENT_DEFAULT = 0, CU_EVENT_DISABLE_TIMING = 2 };
enum {
  CU_POINTER_ATTRIBUTE_MEMORY_TYPE = 2,
  CU_POINTER_ATTRIBUTE_IS_MANAGED = 8,
  CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL = 9,
};
enum { CU_MEMORYTYPE_DEVICE = 2 };
enum { CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8 };
enum {
  CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
  CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76,
  CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS = 88,
};

/* Each function, its oldest version with 64-bit sizes, and its parameters. */
#define CUDA_FUNCTIONS(F)                                                                                            \
  F(cuInit, "cuInit", (unsigned flags))                                                                              \
  F(cuGetErrorName, "cuGetErrorName", (CUresult, const char **))                                                     \
  F(cuGetErrorString, "cuGetErrorString", (CUresult, const char **))                                                 \
  F(cuDriverGetVersion, "cuDriverGetVersion", (int *))                                                               \
  F(cuDeviceGetCount, "cuDeviceGetCount", (int *))                                                                   \
  F(cuDeviceGet, "cuDeviceGet", (CUdevice *, int ordinal))                                                           \
  F(cuDeviceGetName, "cuDeviceGetName", (char *, int bytes, CUdevice))                                               \
  F(cuDeviceGetAttribute, "cuDeviceGetAttribute", (int *, int attribute, CUdevice))                                  \
  F(cuDevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain", (CUcontext *, CUdevice))                                   \
  F(cuDevicePrimaryCtxRelease, "cuDevicePrimaryCtxRelease_v2", (CUdevice))                                           \
  F(cuCtxPushCurrent, "cuCtxPushCurrent_v2", (CUcontext))                                                            \
  F(cuCtxPopCurrent, "cuCtxPopCurrent_v2", (CUcontext *))                                                            \
  F(cuModuleLoadData, "cuModuleLoadData", (CUmodule *, const void *image))                                           \
  F(cuModuleUnload, "cuModuleUnload", (CUmodule))                                                                    \
  F(cuModuleGetFunction, "cuModuleGetFunction", (CUfunction *, CUmodule, const char *name))                          \
  F(cuFuncSetAttribute, "cuFuncSetAttribute", (CUfunction, int attribute, int value))                                \
  F(cuPointerGetAttribute, "cuPointerGetAttribute", (void *, int attribute, CUdeviceptr))                            \
  F(cuMemAlloc, "cuMemAlloc_v2", (CUdeviceptr *, size_t))                                                            \
  F(cuMemFree, "cuMemFree_v2", (CUdeviceptr))                                                                        \
  F(cuMemHostAlloc, "cuMemHostAlloc", (void **, size_t, unsigned flags))                                             \
  F(cuMemFreeHost, "cuMemFreeHost", (void *))                                                                        \
  F(cuMemcpyHtoDAsync, "cuMemcpyHtoDAsync_v2", (CUdeviceptr, const void *, size_t, CUstream))                        \
  F(cuMemcpyDtoHAsync, "cuMemcpyDtoHAsync_v2", (void *, CUdeviceptr, size_t, CUstream))                              \
  F(cuStreamCreate, "cuStreamCreate", (CUstream *, unsigned flags))                                                  \
  F(cuStreamDestroy, "cuStreamDestroy_v2", (CUstream))                                                               \
  F(cuStreamSynchronize, "cuStreamSynchronize", (CUstream))                                                          \
  F(cuStreamWaitEvent, "cuStreamWaitEvent", (CUstream, CUevent, unsigned flags))                                     \
  F(cuEventCreate, "cuEventCreate", (CUevent *, unsigned flags))                                                     \
  F(cuEventDestroy, "cuEventDestroy_v2", (CUevent))                                                                  \
  F(cuEventRecord, "cuEventRecord", (CUevent, CUstream))                                                             \
  F(cuEventElapsedTime, "cuEventElapsedTime", (float *milliseconds, CUevent start, CUevent end))                     \
  F(cuLaunchKernel, "cuLaunchKernel",                                                                                \
    (CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream, void **, void **))

/* Those of graphs, which may be missing. */
#define CUDA_GRAPH_FUNCTIONS(F)                                                                                      \
  F(cuGraphCreate, "cuGraphCreate", (CUgraph *, unsigned flags))                                                     \
  F(cuGraphDestroy, "cuGraphDestroy", (CUgraph))                                                                     \
  F(cuGraphAddKernelNode, "cuGraphAddKernelNode",                                                                    \
    (CUgraphNode *, CUgraph, const CUgraphNode *before, size_t count, const CUDA_KERNEL_NODE_PARAMS *))              \
  F(cuGraphInstantiate, "cuGraphInstantiateWithFlags", (CUgraphExec *, CUgraph, unsigned long long flags))           \
  F(cuGraphExecDestroy, "cuGraphExecDestroy", (CUgraphExec))                                                         \
  F(cuGraphExecKernelNodeSetParams, "cuGraphExecKernelNodeSetParams",                                                \
    (CUgraphExec, CUgraphNode, const CUDA_KERNEL_NODE_PARAMS *))                                                     \
  F(cuGraphLaunch, "cuGraphLaunch", (CUgraphExec, CUstream))

struct cuda {
#define CUDA_MEMBER(name, symbol, parameters) CUresult(*name) parameters;
  CUDA_FUNCTIONS(CUDA_MEMBER)
  CUDA_GRAPH_FUNCTIONS(CUDA_MEMBER)
#undef CUDA_MEMBER
  bool has_graphs;
};

/* ---- the model, as tables; generated ---- */

struct tensor {
  enum storage storage;
  uint64_t position;   /* index of the port, or byte offset in the others */
};

struct kernel {
  const char *name;
  uint32_t shared;   /* bytes of dynamic shared memory: the most that a launch asks for */
};

struct launch {
  const char *layers;
  uint32_t kernel;         /* index into driver_kernels */
  uint32_t first, count;   /* its arguments are driver_arguments[first .. first + count) */
  uint32_t grid[3], block[3], shared;
};

struct code {
  uint32_t kernels, architectures;
  int version;   /* of CUDA that it is compiled with, and NVIDIA's driver must have: 1000 * major + 10 * minor */
  uint64_t weights_bytes;
};

extern const struct code driver_code;
extern const uint32_t driver_architectures[];   /* ascending, 80 is 8.0: machine code for each, PTX for the last */
extern const struct kernel driver_kernels[];
extern const struct tensor driver_tensors[];
extern const struct launch driver_launches[];
extern const char driver_fatbin[];              /* data.s */

/* ---- the state ---- */

/* What the contexts of a device share; see cuda_device.c. */
struct device {
  int ordinal;
  CUdevice handle;
  CUcontext primary;
  CUmodule module;
  CUfunction *kernels;    /* as in driver_kernels */
  CUdeviceptr weights;
  unsigned users;
  struct device *next;
};

struct context {
  struct messages messages;
  atomic_flag busy;        /* a call is in progress */
  struct device *device;
  CUstream stream;
  CUevent given;           /* recorded for those who wait for the stream */
  CUdeviceptr arena;
  CUdeviceptr *ports;      /* where the kernels find each port in this run */
  bool *moved;             /* per port: it was elsewhere in the graph */
  CUdeviceptr *addresses;  /* as in driver_tensors, in this run */
  void **parameters;       /* as in driver_arguments: pointers into `addresses` */

  CUgraph graph;           /* NULL, as the two below: not made yet */
  CUgraphNode *nodes;      /* one per launch */
  CUgraphExec executable;
  bool one_by_one;         /* there are no graphs here */

  CUdeviceptr host_ports;  /* the ports of runs on the host's memory; 0: not made yet */
  char *staging;           /* page-locked, of the same layout; NULL: not made yet */
};

/* ---- cuda_api.c ---- */

extern struct cuda driver_cuda;

/* Makes this process the one that uses CUDA. Any thread. */
void driver_claim_cuda(void);
/* Loads libcuda.so.1 and initialises it. False, and a message: there is none that will do. One thread at a time. */
bool driver_load_cuda(struct context *context);
/* This process is the child of a fork of the one that claimed CUDA: nothing of it works here. */
bool driver_is_forked(void);

struct cuda_error {
  char text[256];
};

/* "cuInit: CUDA_ERROR_NO_DEVICE (no CUDA-capable device is detected)" */
struct cuda_error driver_error(const char *function, CUresult result);
/* Reports a result other than success, and returns false. */
bool driver_succeeded(struct context *context, const char *function, CUresult result);
#define CALL(context, function, ...) driver_succeeded(context, #function, driver_cuda.function(__VA_ARGS__))

/* Memory of the current device; false and 0, and a message: there is none for `purpose`. 0 bytes are none. */
bool driver_allocate(struct context *context, CUdeviceptr *memory, uint64_t bytes, const char *purpose);

/* ---- cuda_device.c ---- */

/* Sets context->device, which is made by the first context of the device. False, and a message. Any thread. */
bool driver_take_device(struct context *context, int ordinal);
void driver_give_device_back(struct device *device);

/* ---- cuda_graph.c ---- */

/* Gives the launches of a run to the stream, for the ports where they are now. */
bool driver_launch(struct context *context);
/* One of them; names its layers in messages from now on. */
bool driver_launch_one(struct context *context, uint32_t index);
void driver_destroy_graph(struct context *context);
/* Says where a port is in the runs to come. */
void driver_move_port(struct context *context, uint32_t index, CUdeviceptr memory);

/* ---- cuda_profile.c ---- */

bool driver_profile(struct context *context, double *seconds);

/* ---- cuda_host.c ---- */

/* False, and a message: an array is where the host cannot reach it. */
bool driver_check_host(struct context *context, const void *const *inputs, void *const *outputs);
/* Copies the inputs to the device, and has the run work on what belongs to the context. */
bool driver_copy_inputs(struct context *context, const void *const *inputs);
/* Copies the outputs to the host; waits for the run. */
bool driver_copy_outputs(struct context *context, void *const *outputs);
void driver_release_staging(struct context *context);

/* ---- cuda_context.c ---- */

/* Begins a call that has the context, which may be NULL, for itself: the device's primary context becomes current.
 * False, and a message: it cannot. */
bool driver_enter(struct context *context);
/* Ends the call; 0 where it was `done`, else -1. */
int driver_leave(struct context *context, bool done);
/* Waits for what the stream was given. */
bool driver_wait(struct context *context);

/* ---- cuda_memory.c ---- */

/* Where an array is that the caller gave. */
enum place { PLACE_UNKNOWN, PLACE_HOST, PLACE_DEVICE };
/* Asks CUDA, which does not know all memory of the host. False, and a message: it does not say. */
bool driver_find_memory(struct context *context, CUdeviceptr memory, enum place *place);

int driver_run_on_device(struct context *context, const void *const *inputs, void *const *outputs);
void *driver_stream(struct context *context);
int driver_synchronize(struct context *context);
extern const struct convc_device driver_on_device;

#endif
