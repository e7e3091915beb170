"""One context of a loaded library: what a module runs in, and what the device memory that came out of it belongs to."""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType

from convc.artifact import DeviceTable
from convc.errors import ArtifactError, TargetError
from convc.runtime.library import Library

Seconds = ctypes.Array[ctypes.c_double]


class Context:
    """The library's functions, for one caller at a time: threads wait for each other. `with` holds the lock.

    Memory may be forgotten anywhere, also during a call of the same thread, where the garbage collector runs. It is
    therefore only noted, and released by whoever has the lock or gets it next.
    """

    def __init__(self, library: Library, choice: int) -> None:
        """`choice` is the number of threads, or the device's ordinal.

        Raises `ArtifactError`; `TargetError` where this machine has no device that the library could run on.
        """
        self._path = str(library.path)
        self._table = library.table
        self._lock = threading.Lock()
        self._closed = False
        self._needed = 0  # allocations, and calls that use the stream: the context outlives them
        self._forgotten: deque[int] = deque()
        self._context: int | None = self._table.create(choice)
        if self._context is None:
            message = self._message()
            blamed = ArtifactError if library.metadata.device == "cpu" or _is_shortage(message) else TargetError
            raise blamed(self._path, "cannot be started", received=message)

    def run(self, inputs: Sequence[int], outputs: Sequence[int], seconds: Seconds | None = None) -> None:
        """Runs the model on memory of the host; `seconds` receives the time of each launch.

        Raises `ArtifactError` after `close` and where the run fails.
        """
        with self:
            self._check_open()
            pointers = (self._context, _array(inputs), _array(outputs))
            self._check("run", self._table.profile(*pointers, seconds) if seconds else self._table.run(*pointers))

    def run_on_device(self, inputs: Sequence[int], outputs: Sequence[int], stream: int | None) -> None:
        """Runs the model on memory of the device. What `stream` is given later waits for it; None: this call waits.

        Raises `ArtifactError` after `close` and where the run fails.
        """
        device = self._device
        with self:
            self._check_open()
            self._check("run", device.run(self._context, _array(inputs), _array(outputs)))
            if stream is None:
                self._check("run", device.synchronize(self._context))
            elif device.join(self._context, stream):
                message = self._message()
                device.synchronize(self._context)  # the caller may free the arrays of a call that failed
                raise ArtifactError(self._path, f"stream {stream} cannot wait for the run", received=message)

    @contextmanager
    def streaming(self) -> Iterator[int]:
        """CUDA's handle of the stream that runs are given to, valid in the block. Raises `ArtifactError` after `close`.

        The lock is free in the block: other libraries' code may run there, and come back to this context.
        """
        with self:
            self._check_open()
            stream: int = self._device.stream(self._context)
            self._needed += 1
        try:
            yield stream
        finally:
            with self:
                self._needed -= 1

    def allocate(self, size: int) -> Memory:
        """`size` bytes of the device, undefined. Raises `ArtifactError` after `close` and where there are none."""
        with self:
            self._check_open()
            pointer = self._device.allocate(self._context, size)
            self._check("allocation of device memory", 0 if pointer else -1)
            self._needed += 1
            return Memory(self, pointer)

    def join(self, stream: int) -> None:
        """What CUDA's `stream` is given later waits for what this context was given so far. Works after `close`."""
        with self:
            self._check("wait", self._device.join(self._context, stream))

    def read(self, host: int, memory: Memory, size: int) -> None:
        """Copies to `host` after what this context was given so far, and waits. Works after `close`."""
        with self:
            self._check("copy to the host", self._device.read(self._context, host, memory.pointer, size))

    def forget(self, pointer: int) -> None:
        """Releases memory of the device, now or when the call in progress ends."""
        self._forgotten.append(pointer)
        self._clean_up()

    def close(self) -> None:
        """Waits for a run in progress; none begins later. The context ends now, or with the last of its memory."""
        with self:
            self._closed = True

    def abandon(self) -> None:
        """`close` without waiting: a module that nobody has any more is in no run."""
        self._closed = True
        self._clean_up()

    @property
    def closed(self) -> bool:
        """Whether runs are refused."""
        return self._closed

    def __enter__(self) -> Context:
        self._lock.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.release()
        self._clean_up()

    def _clean_up(self) -> None:
        """Releases what was forgotten and destroys what is over; where the lock is taken, its holder does, afterwards.

        What is noted before the lock is found taken is seen by the holder, who looks after letting it go.
        """
        while (self._forgotten or self._is_over) and self._lock.acquire(blocking=False):
            try:
                while self._forgotten:
                    self._device.release(self._context, self._forgotten.popleft())
                    self._needed -= 1
                if self._is_over:
                    self._table.destroy(self._context)
                    self._context = None
            finally:
                self._lock.release()

    @property
    def _is_over(self) -> bool:
        return self._closed and self._context is not None and not self._needed

    @property
    def _device(self) -> DeviceTable:
        table: DeviceTable = self._table.on_device.contents
        return table

    def _check_open(self) -> None:
        if self._closed:
            raise ArtifactError(self._path, "used after close", remedy="load it again")

    def _check(self, what: str, status: int) -> None:
        if status:
            raise ArtifactError(self._path, f"the {what} failed", received=self._message())

    def _message(self) -> str:
        text: bytes | None = self._table.last_error(self._context)
        return (text or b"").decode(errors="replace")


class Memory:
    """Memory of a context's device: released when nothing refers to this object any more."""

    def __init__(self, context: Context, pointer: int) -> None:
        self.context = context
        self.pointer = pointer
        finalizer = weakref.finalize(self, context.forget, pointer)
        finalizer.atexit = False  # the process gives it back; the driver may have ended by then


def _is_shortage(message: str) -> bool:
    """Whether the driver had too little memory: the machine is the right one."""
    return message.startswith("out of memory")


def _array(pointers: Sequence[int]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(pointers))(*pointers)
