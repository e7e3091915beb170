"""The machine's peak: fused multiply-adds on registers only, as fast as they go."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

SOURCE: Final = r"""
#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif
#define LANES (BYTES / 4)
/* Independent chains: an FMA takes 4 cycles and 2 start in each; with the 2 operands they fit into 16 registers. */
#define CHAINS 12
#define EACH(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)

typedef float vector __attribute__((vector_size(BYTES)));

double multiply_add(long rounds, float factor, float term, float *sink) {
    vector a = factor + (vector){0}, b = term + (vector){0};
#define BEGIN(i) vector s##i = (float)i + (vector){0};
#define STEP(i) s##i = s##i * a + b;
#define END(i) *sink += s##i[0];
    EACH(BEGIN)
    for (long r = 0; r < rounds; r++) { EACH(STEP) }
    EACH(END)
    return 2.0 * LANES * CHAINS * (double)rounds;
}
"""

ROUNDS: Final = 1 << 18
"""Of one call: half a millisecond."""

_Kernel = Callable[[int, float, float, object], float]


class Peak:
    """The compiled loop. `measure` may be called again and again, between other measurements."""

    def __init__(self) -> None:
        self._kernel = _compiled()

    def measure(self, threads: int, seconds: float = 0.05) -> float:
        """FLOP/s of `threads` threads together; 0 where this machine cannot be measured: no x86-64, no C compiler."""
        kernel = self._kernel
        if kernel is None:
            return 0.0
        rates = [0.0] * threads
        together = threading.Barrier(threads)

        def work(place: int) -> None:
            sink = ctypes.c_float()
            kernel(ROUNDS, 0.5, 1.0, ctypes.byref(sink))
            together.wait()
            started, done = time.perf_counter(), 0.0
            while (elapsed := time.perf_counter() - started) < seconds:
                done += kernel(ROUNDS, 0.5, 1.0, ctypes.byref(sink))
            rates[place] = done / elapsed

        workers = [threading.Thread(target=work, args=(place,)) for place in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return sum(rates)


def _compiled() -> _Kernel | None:
    if platform.machine() != "x86_64":
        return None
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "peak.so"
        command = [os.environ.get("CC") or "cc", "-O3", "-march=native", "-ffp-contract=fast"]
        command += ["-fPIC", "-shared", "-x", "c", "-", "-o", str(library)]
        try:
            subprocess.run(command, input=SOURCE.encode(), check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        kernel = ctypes.CDLL(str(library)).multiply_add
    kernel.restype = ctypes.c_double
    kernel.argtypes = (ctypes.c_long, ctypes.c_float, ctypes.c_float, ctypes.c_void_p)
    typed: _Kernel = kernel
    return typed
