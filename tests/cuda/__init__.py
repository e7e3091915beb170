"""The target `cuda`, without a GPU: its kernels run on the CPU by the emulator."""
