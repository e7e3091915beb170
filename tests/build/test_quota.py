"""The cores that the driver counts, with a control group's files made up."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from convc.build import driver

TEMPLATES = Path(driver.__file__).parent / "templates"

PROGRAM = """
#include "driver.h"
#include <stdio.h>
#include <string.h>
#undef fopen
FILE *fake_fopen(const char *path, const char *mode)
{
  char moved[1024];
  snprintf(moved, sizeof moved, "%s%s", ROOT, path);
  return fopen(moved, mode);
}
int main(void)
{
  printf("%d", driver_usable_cores());
  return 0;
}
"""


def usable_cores(root: Path, files: dict[str, str]) -> int:
    """What the driver counts where the file system has `files`."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "main.c").write_text(PROGRAM)
    flags = ["-std=c11", f"-I{TEMPLATES}", f'-DROOT="{root}"']
    subprocess.run(["cc", *flags, "-c", root / "main.c", "-o", root / "main.o"], check=True)
    subprocess.run(["cc", *flags, "-Dfopen=fake_fopen", "-c", TEMPLATES / "cpu.c", "-o", root / "cpu.o"], check=True)
    subprocess.run(["cc", root / "main.o", root / "cpu.o", "-o", root / "main"], check=True)
    return int(subprocess.run([root / "main"], check=True, capture_output=True, text=True).stdout)


GROUP = "proc/self/cgroup"
V2, V1 = "sys/fs/cgroup", "sys/fs/cgroup/cpu"
ALL = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, ALL),
        ({GROUP: "0::/\n", f"{V2}/cpu.max": "max 100000\n"}, ALL),
        ({GROUP: "0::/\n", f"{V2}/cpu.max": "100000 100000\n"}, 1),
        ({GROUP: "0::/\n", f"{V2}/cpu.max": "20000 100000\n"}, 1),
        ({GROUP: "0::/\n", f"{V2}/cpu.max": "150000 100000\n"}, min(ALL, 2)),
        ({GROUP: "0::/a/b\n", f"{V2}/a/b/cpu.max": "max 100000\n", f"{V2}/a/cpu.max": "100000 100000\n"}, 1),
        ({GROUP: "0::/a\n", f"{V2}/a/cpu.max": "nonsense\n"}, ALL),
        ({GROUP: "4:cpu,cpuacct:/c\n", f"{V1}/c/cpu.cfs_quota_us": "50000\n",
          f"{V1}/c/cpu.cfs_period_us": "100000\n"}, 1),
        ({GROUP: "4:cpu:/c\n", f"{V1}/c/cpu.cfs_quota_us": "-1\n", f"{V1}/c/cpu.cfs_period_us": "100000\n"}, ALL),
        ({GROUP: "4:memory:/c\n", f"{V1}/c/cpu.cfs_quota_us": "50000\n",
          f"{V1}/c/cpu.cfs_period_us": "100000\n"}, ALL),
    ],
)  # fmt: skip
def test_the_least_quota_counts(files: dict[str, str], cores: int, tmp_path: Path) -> None:
    assert usable_cores(tmp_path, files) == cores
