"""An output in memory of a GPU, for PyTorch, CuPy, JAX and others to take without a copy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from convc.artifact import TensorSpec
from convc.runtime import dlpack
from convc.runtime.context import Context
from convc.runtime.device import Device


class DeviceArray:
    """A dense array on a GPU. `torch.from_dlpack(array)` takes it as it is, `np.asarray(array)` copies it to the host.

    It owns its memory and keeps what it needs of the library alive, also after the module is closed. The run that
    computes it may still be in progress: whoever takes it by DLPack waits on the GPU, not in Python.
    """

    def __init__(self, context: Context, device: Device, spec: TensorSpec) -> None:
        self._spec = spec
        self._dtype = np.dtype(spec.dtype)
        self._device = device
        self._memory = context.allocate(math.prod(spec.shape) * self._dtype.itemsize)

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents, the outermost first."""
        return self._spec.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy's type of the elements."""
        return self._dtype

    @property
    def device(self) -> str:
        """Where it is, as "cuda:0"."""
        return str(self._device)

    @property
    def pointer(self) -> int:
        """Its address in the device's memory."""
        return self._memory.pointer

    def __dlpack_device__(self) -> tuple[int, int]:
        return dlpack.CUDA, self._device.ordinal

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> object:
        """A capsule over this memory. The consumer's `stream` waits for the run: None is the default stream, -1 none.

        Raises `BufferError` where the consumer wants a copy or another device.
        """
        if copy or (dl_device is not None and tuple(dl_device) != self.__dlpack_device__()):
            raise BufferError(f"{self!r} is offered where it is; np.asarray copies it to the host")
        if isinstance(stream, bool) or not isinstance(stream, int | None) or (stream is not None and stream < -1):
            raise BufferError(f"stream {stream!r} is not a stream of CUDA")
        if stream != dlpack.NO_STREAM:
            self._memory.context.join(dlpack.DEFAULT_STREAM if stream is None else stream)
        versioned = max_version is not None and max_version[0] >= dlpack.VERSION[0]
        return dlpack.offer(
            self._memory, self.pointer, self.__dlpack_device__(), self._spec.shape, self._spec.dtype, versioned
        )

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """A copy in the host's memory. Raises `ValueError` where none may be made."""
        if copy is False:
            raise ValueError(f"{self!r} cannot be used on the host without a copy")
        result = np.empty(self._spec.shape, self._dtype)
        self._memory.context.read(result.ctypes.data, self._memory, result.nbytes)
        return result if dtype is None else result.astype(dtype, copy=False)

    def __repr__(self) -> str:
        return f"<convc.DeviceArray {self._dtype}[{', '.join(map(str, self._spec.shape))}] on {self.device}>"
