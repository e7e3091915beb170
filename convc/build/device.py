"""CUDA source from scheduled PrimFuncs, and how their kernels are launched."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from math import prod
from typing import Any

import tvm
import tvm_ffi
from tvm import tirx
from tvm.ir import Call
from tvm.tirx import AllocBuffer
from tvm.tirx.build import split_host_device_mods

from convc.build.program import Geometry
from convc.schedules.cuda.gemm_nests import HEADERS, SHARED_BYTES
from convc.target import CudaTarget

_PRIMITIVES = "primitives"
_EXTREMES = """
// The second operand where one is NaN, as on a CPU: kernels are written so that it is kept.
template <class T> __device__ __forceinline__ T convc_max(T a, T b) { return a > b ? a : b; }
template <class T> __device__ __forceinline__ T convc_min(T a, T b) { return a < b ? a : b; }
"""
_AXES = ("x", "y", "z")


@dataclass(frozen=True)
class DeviceLaunch:
    """One kernel of a function. `parameters` are the names of its buffers: the function's, or of its scratch."""

    kernel: str
    parameters: tuple[str, ...]
    geometry: Geometry


@dataclass(frozen=True)
class DeviceFunction:
    """What running a PrimFunc takes: the names of its parameters in order, its launches in order, and the sizes of the
    buffers between them, in bytes by name."""

    parameters: tuple[str, ...]
    launches: tuple[DeviceLaunch, ...]
    scratch: Mapping[str, int]


def generate(functions: Mapping[str, Any], target: CudaTarget) -> tuple[str, dict[str, DeviceFunction]]:
    """The CUDA source of scheduled PrimFuncs, all their loops bound to blocks and threads, and each one's launches."""
    described: dict[str, DeviceFunction] = {}
    parts: list[str] = []
    for special in (False, True):
        chosen = {name: func for name, func in functions.items() if ("recurrent" in func.attrs) is special}
        if not chosen:
            continue
        # TVM's elimination of common subexpressions breaks loops over steps: see convc.build.registers.
        with tvm.transform.PassContext(config={"tirx.disable_cse_tir": special}):
            source, launches = _lowered(chosen, target)
        described |= launches
        parts.append(source)
    headers = [name for func in functions.values() for name in map(str, func.attrs.get(HEADERS, []))]
    return "\n".join([*_device_code(headers), _EXTREMES, *parts]), {name: described[name] for name in functions}


def _lowered(functions: Mapping[str, Any], target: CudaTarget) -> tuple[str, dict[str, DeviceFunction]]:
    cuda = tvm.target.Target({"kind": "cuda", "arch": f"sm_{target.architectures[0]}"}, host={"kind": "llvm"})
    named = {name: func.with_attr("global_symbol", name) for name, func in functions.items()}
    lowering, _, finish = tirx.get_default_tir_pipeline(cuda)
    module = lowering(tirx.transform.BindTarget(cuda)(tvm.IRModule(named)))
    hosts, devices = split_host_device_mods(module)
    assert devices, "every loop of a CUDA schedule is bound to blocks and threads"
    ((device_target, device),) = devices.items()
    device = finish()(device)
    parameters = {
        str(variable.name_hint): tuple(str(parameter.name).removesuffix("_ptr") for parameter in func.params)
        for variable, func in device.functions_items()
    }
    bodies = {str(variable.name_hint): func.body for variable, func in hosts.functions_items()}
    described = {name: _described(func, bodies[name], parameters) for name, func in functions.items()}
    built = tvm.get_global_func("target.build.cuda")(device, device_target)
    return _with_extremes(str(built.inspect_source())), described


def _with_extremes(source: str) -> str:
    """The source with other functions for the larger and the smaller of two numbers: CUDA's lose NaN."""
    start = source.index('extern "C" __global__')
    return source[:start] + re.sub(r"\b(max|min)\(", r"convc_\1(", source[start:])


def _described(func: Any, body: Any, parameters: Mapping[str, tuple[str, ...]]) -> DeviceFunction:
    """Reads the launches off the body of the host function that TVM made of `func`."""
    shared = dict(enumerate(map(int, func.attrs.get(SHARED_BYTES, []))))
    launches: list[DeviceLaunch] = []
    scratch: dict[str, int] = {}

    def allocated(node: Any) -> None:
        buffer = node.buffer
        if buffer.scope() == "global":
            extents = [int(extent) for extent in buffer.shape]
            # TVM makes the elements vectors where all accesses are.
            element = tvm_ffi.dtype(str(buffer.dtype))
            scratch[str(buffer.name)] = prod(extents) * element.lanes * element.bits // 8

    def called(node: Any) -> None:
        if str(getattr(node.op, "name", "")) != "tirx.call_ffi_kernel":
            return
        tags = [str(tag) for tag in node.attrs.launch_params]
        kernel = str(node.args[0].value)
        extents = {tag: int(value) for tag, value in zip(tags, node.args[-len(tags) :], strict=True)}
        launches.append(
            DeviceLaunch(
                kernel,
                parameters[kernel],
                Geometry(
                    _sizes(extents, "blockIdx"),
                    _sizes(extents, "threadIdx"),
                    extents.get("tirx.use_dyn_shared_memory", shared.get(len(launches), 0)),
                ),
            )
        )

    tvm_ffi.structural_walk(body, [(AllocBuffer, allocated), (Call, called)])
    return DeviceFunction(tuple(str(parameter.name) for parameter in func.params), tuple(launches), scratch)


def _sizes(extents: Mapping[str, int], kind: str) -> tuple[int, int, int]:
    x, y, z = (extents.get(f"{kind}.{axis}", 1) for axis in _AXES)
    return x, y, z


def _device_code(headers: Sequence[str]) -> list[str]:
    """The texts of the device code that is needed, each once; the primitives come first."""
    if not headers:
        return []
    folder = resources.files("convc.schedules.cuda") / "device"
    return [(folder / f"{name}.cuh").read_text(encoding="ascii") for name in dict.fromkeys((_PRIMITIVES, *headers))]
