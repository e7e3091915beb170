"""One fresh process: `python -m benchmarks.first_answer CONTENDER MODEL INPUTS.npz THREADS` prints JSON.

The clock starts before the runtime is imported. Nothing heavy may be imported at the top of this file.
"""

from __future__ import annotations

import sys
import time


def main() -> None:
    """Seconds of the import and of loading to the first answer, by how many bytes the peak memory grew by loading and
    running, and how many bytes of constants were made."""
    name, path, inputs_path, threads = sys.argv[1:]
    started = time.perf_counter()
    from importlib import import_module
    from pathlib import Path

    from benchmarks.peers import CONTENDERS

    contender = CONTENDERS[name]
    import_module(contender.module)
    imported = time.perf_counter()

    import json

    import numpy as np

    from tests.support.process import constant_memory

    with np.load(inputs_path) as stored:
        inputs = tuple(stored.values())
    before, constant = peak_memory(), constant_memory()
    loading = time.perf_counter()
    session = contender.open(Path(path), inputs, int(threads))
    session.run()
    session.answers()
    loaded = time.perf_counter()
    report = {"import": imported - started, "load": loaded - loading, "memory": peak_memory() - before}
    report["constants"] = constant_memory() - constant
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()


def peak_memory() -> int:
    """Bytes that this process has held at most at once, file pages included; 0 where Linux does not say."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next((int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM")), 0)


if __name__ == "__main__":
    main()
