// Graphs of kernels and copies. Nodes that do not depend on each other run last first, unlike they were added.

#include <algorithm>
#include <set>

#include "fake.h"

struct CUgraphNode_st {
  std::vector<CUgraphNode> after;
  fake::Launch launch;              // of a kernel
  std::function<CUresult()> other;  // of a copy, run when the node is; neither: an empty node
};

struct CUgraph_st {
  std::vector<CUgraphNode> nodes;
};

struct CUgraphExec_st {
  struct Step {
    CUgraphNode node;
    fake::Launch launch;
    std::function<CUresult()> other;
  };
  std::vector<Step> steps;
};

namespace fake {

namespace {

CUresult add(CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count, CUgraphNode_st made) {
  if (!known(graph)) return CUDA_ERROR_INVALID_HANDLE;
  const auto &nodes = graph->nodes;
  for (size_t i = 0; i < count; ++i)
    if (std::find(nodes.begin(), nodes.end(), after[i]) == nodes.end()) return CUDA_ERROR_INVALID_VALUE;
  made.after.assign(after, after + count);
  *node = keep(new CUgraphNode_st(std::move(made)), "nodes");
  graph->nodes.push_back(*node);
  return CUDA_SUCCESS;
}

// Both versions of the parameters begin alike.
template <typename P>
CUresult prepare_node(Launch &launch, const P &p) {
  return prepare(launch, p.func, make_uint3(p.gridDimX, p.gridDimY, p.gridDimZ),
                 make_uint3(p.blockDimX, p.blockDimY, p.blockDimZ), p.sharedMemBytes, p.kernelParams, p.extra);
}

template <typename P>
CUresult add_kernel(CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count, const P &parameters) {
  CUgraphNode_st made;
  if (CUresult result = prepare_node(made.launch, parameters)) return result;
  return add(node, graph, after, count, std::move(made));
}

template <typename P>
CUresult set_kernel(CUgraphExec executable, CUgraphNode node, const P &parameters) {
  if (!known(executable) || !known(node)) return CUDA_ERROR_INVALID_HANDLE;
  for (CUgraphExec_st::Step &step : executable->steps) {
    if (step.node != node) continue;
    Launch launch;
    if (CUresult result = prepare_node(launch, parameters)) return result;
    if (launch.function != step.launch.function) return CUDA_ERROR_INVALID_VALUE;  // the fake keeps to one kernel
    step.launch = std::move(launch);
    return CUDA_SUCCESS;
  }
  return CUDA_ERROR_INVALID_HANDLE;
}

std::vector<CUgraphExec_st::Step> ordered(const CUgraph_st &graph) {
  std::vector<CUgraphExec_st::Step> steps;
  std::set<CUgraphNode> done;
  auto ready = [&](CUgraphNode node) {
    const auto &after = node->after;
    return !done.count(node) && std::all_of(after.begin(), after.end(), [&](CUgraphNode n) { return done.count(n); });
  };
  while (done.size() < graph.nodes.size()) {
    CUgraphNode next = *std::find_if(graph.nodes.rbegin(), graph.nodes.rend(), ready);
    done.insert(next);
    steps.push_back({next, next->launch, next->other});
  }
  return steps;
}

// A row of bytes from or to the host or the device.
void *side(CUmemorytype type, const void *host, CUdeviceptr pointer, size_t bytes) {
  return type == CU_MEMORYTYPE_HOST ? const_cast<void *>(host) : resident(pointer, bytes);
}

}  // namespace

}  // namespace fake

using fake::device;

API cuGraphCreate(CUgraph *graph, unsigned) {
  ENTER(CONTEXT);
  *graph = fake::keep(new CUgraph_st, "graphs");
  return CUDA_SUCCESS;
}

API cuGraphDestroy(CUgraph graph) {
  ENTER(CONTEXT);
  if (!fake::known(graph)) return CUDA_ERROR_INVALID_HANDLE;
  for (CUgraphNode node : graph->nodes) fake::drop(node, "nodes");
  fake::drop(graph, "graphs");
  return CUDA_SUCCESS;
}

API cuGraphAddKernelNode_v2(CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count,
                            const CUDA_KERNEL_NODE_PARAMS_v2 *parameters) {
  ENTER(CONTEXT);
  return fake::add_kernel(node, graph, after, count, *parameters);
}

API cuGraphAddEmptyNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count) {
  ENTER(CONTEXT);
  return fake::add(node, graph, after, count, {});
}

// One row only.
API cuGraphAddMemcpyNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count,
                         const CUDA_MEMCPY3D *given, CUcontext) {
  ENTER(CONTEXT);
  const CUDA_MEMCPY3D p = *given;
  if (p.Height != 1 || p.Depth != 1 || p.srcY || p.srcZ || p.dstY || p.dstZ || !p.WidthInBytes)
    return CUDA_ERROR_INVALID_VALUE;
  CUgraphNode_st made;
  made.other = [p]() -> CUresult {
    auto *from = static_cast<char *>(
        fake::side(p.srcMemoryType, p.srcHost, p.srcDevice, p.srcXInBytes + p.WidthInBytes));
    auto *to = static_cast<char *>(fake::side(p.dstMemoryType, p.dstHost, p.dstDevice, p.dstXInBytes + p.WidthInBytes));
    if (!from || !to) return CUDA_ERROR_ILLEGAL_ADDRESS;
    std::copy_n(from + p.srcXInBytes, p.WidthInBytes, to + p.dstXInBytes);
    ++device.counters["copies"];
    return CUDA_SUCCESS;
  };
  return fake::add(node, graph, after, count, std::move(made));
}

API cuGraphInstantiateWithFlags(CUgraphExec *executable, CUgraph graph, unsigned long long) {
  ENTER(CONTEXT);
  if (!fake::known(graph)) return CUDA_ERROR_INVALID_HANDLE;
  *executable = fake::keep(new CUgraphExec_st{fake::ordered(*graph)}, "executables");
  return CUDA_SUCCESS;
}

API cuGraphExecKernelNodeSetParams_v2(CUgraphExec executable, CUgraphNode node,
                                      const CUDA_KERNEL_NODE_PARAMS_v2 *parameters) {
  ENTER(CONTEXT);
  return fake::set_kernel(executable, node, *parameters);
}

API cuGraphUpload(CUgraphExec executable, CUstream) {
  ENTER(CONTEXT);
  return fake::known(executable) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

API cuGraphLaunch(CUgraphExec executable, CUstream stream) {
  ENTER(CONTEXT);
  if (!fake::known(executable)) return CUDA_ERROR_INVALID_HANDLE;
  ++device.counters["graph_launches"];
  return fake::enqueue(stream, [steps = executable->steps] {
    for (const CUgraphExec_st::Step &step : steps) {
      if (step.launch.function) fake::run(step.launch);
      if (step.other && step.other()) fake::fail(CUDA_ERROR_ILLEGAL_ADDRESS, "a graph copies to or from no memory");
      if (device.broken) return;
    }
  });
}

API cuGraphExecDestroy(CUgraphExec executable) {
  ENTER(CONTEXT);
  return fake::drop(executable, "executables") ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

#undef cuGraphAddKernelNode
API cuGraphAddKernelNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count,
                         const CUDA_KERNEL_NODE_PARAMS_v1 *parameters) {
  ENTER(CONTEXT);
  return fake::add_kernel(node, graph, after, count, *parameters);
}

#undef cuGraphExecKernelNodeSetParams
API cuGraphExecKernelNodeSetParams(CUgraphExec executable, CUgraphNode node,
                                   const CUDA_KERNEL_NODE_PARAMS_v1 *parameters) {
  ENTER(CONTEXT);
  return fake::set_kernel(executable, node, *parameters);
}
