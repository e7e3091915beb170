"""convc compiles convolutional models to one native library that needs libc only.

`convc.compile(model, "m.so")` makes the library, `convc.load("m.so")` runs it. Names are imported when they are first
used: `import convc` and `import convc.runtime` load neither TVM nor a model format's library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convc.api import CompileReport, compile
    from convc.errors import ArtifactError, ConvcError, ModelError, ShapeError, TargetError, UnsupportedError
    from convc.runtime import DeviceArray, Module, load

__version__ = "0.1.0"

__all__ = [
    "ArtifactError", "CompileReport", "ConvcError", "DeviceArray", "ModelError", "Module", "ShapeError",
    "TargetError", "UnsupportedError", "__version__", "compile", "load",
]  # fmt: skip

_HOME = {
    "ArtifactError": "convc.errors",
    "CompileReport": "convc.api",
    "ConvcError": "convc.errors",
    "DeviceArray": "convc.runtime",
    "ModelError": "convc.errors",
    "Module": "convc.runtime",
    "ShapeError": "convc.errors",
    "TargetError": "convc.errors",
    "UnsupportedError": "convc.errors",
    "compile": "convc.api",
    "load": "convc.runtime",
}
"""The module that defines each public name."""


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'convc' has no attribute '{name}'")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
