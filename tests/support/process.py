"""What the operating system says about this process."""

from __future__ import annotations

from pathlib import Path


def constant_memory() -> int:
    """Bytes of this process's memory that is neither a file's nor writable: what weights.c makes is."""
    total = 0
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, access, _, _, inode, *path = line.split()
        if access == "r--p" and inode == "0" and not path:
            start, end = (int(address, 16) for address in addresses.split("-"))
            total += end - start
    return total
