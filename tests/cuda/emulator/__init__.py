"""Runs CUDA kernels on the CPU: what nvcc gets is compiled by g++, and launched by a fake libcuda.so.1.

- source.py, toolchain.py: the source made ready for g++, which reads emulated_cuda.h before it, and compiled.
- threads.cpp, shared.cpp, warp.cpp: blocks, threads, barriers, shared memory, and what warps do together.
- fake_*.cpp: the functions of the driver. Nothing is done before something waits for it.
- driver.py: both from Python.

A kernel's error ends the launch with a message: divergent barriers and operations of warps, illegal and misaligned
addresses, indices outside of an array, divisions by zero. What is not written yet is NaN, in shared and device memory.
A missing barrier or wait gives wrong answers in one order of threads and copies or another, so a test runs all.

Not emulated: inline PTX, textures, cooperative groups, spinning on what another thread writes.
"""

from __future__ import annotations

from convc.target import CudaTarget
from tests.cuda.emulator.driver import Copies, FakeCuda, KernelError, Kernels, Order, fake, image
from tests.cuda.emulator.toolchain import missing

__all__ = ["Copies", "FakeCuda", "KernelError", "Kernels", "Order", "emulated_fatbin", "fake", "image", "missing"]


def emulated_fatbin(source: str, target: CudaTarget) -> bytes:
    """In place of `convc.build.nvcc.fatbin`: what the fake driver runs, on devices that the target is for."""
    return image(source, target.codes)
