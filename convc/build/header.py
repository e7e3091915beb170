"""The C header that goes with a library: its functions, and the shape and layout of each tensor."""

from __future__ import annotations

from dataclasses import dataclass

from convc.build.c_text import comment
from convc.build.cuda_driver import PORT_ALIGNMENT
from convc.build.program import ALIGNMENT, Program, identifier
from convc.ir import DType, TensorType
from convc.target import AnyTarget, CudaTarget

_C_TYPE = {DType.FLOAT32: "float", DType.INT32: "int32_t"}


@dataclass(frozen=True)
class _Parameter:
    """A tensor as a parameter of the functions."""

    name: str
    port: str
    type: TensorType
    is_input: bool

    @property
    def c_type(self) -> str:
        return _C_TYPE[self.type.dtype]

    def declared(self, name: str) -> str:
        return f"{'const ' if self.is_input else ''}{self.c_type} *{name}"

    @property
    def listed(self) -> str:
        shape = " x ".join(map(str, self.type.shape)) or "scalar"
        layout = f"{self.c_type}, {shape} ({self.type.elements} elements)"
        return f" *   {self.name}  {'input' if self.is_input else 'output'} {comment(self.port)}: {layout}"


def header(program: Program, target: AnyTarget) -> str:
    """The header of `program` as compiled for `target`."""
    name, guard = program.name, f"{program.name.upper()}_H"
    parameters = _parameters(program)
    listing = "\n".join(parameter.listed for parameter in parameters)
    elements = "\n".join(f"  {name}_{p.name}_elements = {p.type.elements}," for p in parameters)
    text, functions = (_on_cuda if isinstance(target, CudaTarget) else _on_cpu)(name, parameters)
    return f"""\
/* {name}: a model compiled by convc.
 *
 * Tensors are dense and row-major, the last axis innermost:
{listing}
 *
{text}
 */
#ifndef {guard}
#define {guard}

#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

typedef struct {name} {name};

enum {{
{elements}
}};

{functions}

#ifdef __cplusplus
}}
#endif

#endif
"""


def _parameters(program: Program) -> list[_Parameter]:
    taken = {"context", program.name}
    parameters = []
    for port, is_input in [(p, True) for p in program.inputs] + [(p, False) for p in program.outputs]:
        name = identifier(port.name, taken)
        taken.add(name)
        parameters.append(_Parameter(name, port.name, port.type, is_input))
    return parameters


def _arrays(name: str, parameters: list[_Parameter]) -> str:
    return "\n".join(f" *   static {p.c_type} {p.name}[{name}_{p.name}_elements];" for p in parameters)


def _on_cpu(name: str, parameters: list[_Parameter]) -> tuple[str, str]:
    call = ", ".join(["context", *(p.name for p in parameters)])
    text = f"""\
 * {name}_create makes a context: memory and threads; 0 threads means all cores that this process may use. It returns
 * NULL on failure, and {name}_last_error(NULL) then says why. {name}_run returns 0, or -1 with a message in
 * {name}_last_error. Pointers of any alignment do; those at multiples of {ALIGNMENT} bytes save a copy. Outputs must
 * not overlap inputs or each other. A context serves one thread at a time; distinct contexts run at the same time and
 * share the weights. After a fork, a context that was not running works in the child too.
 *
 *   #include "{name}.h"
{_arrays(name, parameters)}
 *   {name} *context = {name}_create(0);
 *   if (!context || {name}_run({call}) != 0)
 *     fprintf(stderr, "%s\\n", {name}_last_error(context));
 *   {name}_destroy(context);"""
    functions = f"""\
{name} *{name}_create(int threads);
int {name}_run({name} *context, {", ".join(p.declared(p.name) for p in parameters)});
void {name}_destroy({name} *context);
const char *{name}_last_error({name} *context);"""
    return text, functions


def _on_cuda(name: str, parameters: list[_Parameter]) -> tuple[str, str]:
    on_host = ", ".join(["context", *(p.name for p in parameters)])
    on_device = ", ".join(["context", *(f"device_{p.name}" for p in parameters)])
    text = f"""\
 * The model runs on a GPU of NVIDIA; the library needs its driver (libcuda.so.1) and nothing else of CUDA.
 *
 * {name}_create makes a context on a device: memory, a stream; the first of a device also loads the kernels and the
 * weights there. 0 is the first device. It returns NULL on failure, and {name}_last_error(NULL) then says why. Other
 * functions that can fail return 0, or -1 with a message in {name}_last_error.
 *
 * {name}_run takes arrays in the host's memory, of any alignment, and returns when the outputs are there.
 *
 * {name}_run_on_device takes arrays in the device's memory, at multiples of {PORT_ALIGNMENT} bytes, and returns at
 * once: the work is given to the context's stream, {name}_stream, a CUstream (cudaStream_t). Inputs must have been
 * written, and outputs may be read, in the order of that stream, or after {name}_synchronize. The arrays belong to the
 * device's primary context, which is the one of cudaMalloc. The same arrays as in the call before are the quickest.
 *
 * Outputs must not overlap inputs or each other. A context serves one thread at a time; distinct contexts run at the
 * same time and share the weights. The child of a fork cannot use a device that its parent uses.
 *
 *   #include "{name}.h"
{_arrays(name, parameters)}
 *   {name} *context = {name}_create(0);
 *   if (!context || {name}_run({on_host}) != 0)
 *     fprintf(stderr, "%s\\n", {name}_last_error(context));
 *   {name}_destroy(context);
 *
 * With arrays from cudaMalloc:
 *
 *   if ({name}_run_on_device({on_device}) != 0 || {name}_synchronize(context) != 0)
 *     fprintf(stderr, "%s\\n", {name}_last_error(context));"""
    host = ", ".join(p.declared(p.name) for p in parameters)
    device = ", ".join(p.declared(f"device_{p.name}") for p in parameters)
    functions = f"""\
{name} *{name}_create(int device);
int {name}_run({name} *context, {host});
int {name}_run_on_device({name} *context, {device});
void *{name}_stream({name} *context);
int {name}_synchronize({name} *context);
void {name}_destroy({name} *context);
const char *{name}_last_error({name} *context);"""
    return text, functions
