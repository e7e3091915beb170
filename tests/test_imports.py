"""Imports go one way, and what runs a library needs numpy and the standard library only."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

BASE = {"errors", "settings", "precision", "target"}
IR = {"ir", "ops"}
LADDER: dict[str, set[str]] = {
    "errors": set(),
    "settings": set(),
    "precision": set(),
    "target": {"errors"},
    "ir": {"errors", "ops"},
    "ops": {"errors", "ir"},
    "samples": {"ir", "ops", "artifact"},
    "peak": set(),
    "artifact": BASE,
    "runtime": BASE | {"artifact"},
    "passes": BASE | IR,
    "lower": BASE | IR,
    "schedules": BASE,
    "frontends": BASE | IR,
    "build": BASE | IR | {"artifact", "passes", "lower", "schedules"},
    "api": BASE | IR | {"artifact", "runtime", "passes", "frontends", "build"},
    "onnx_backend": BASE | IR | {"runtime", "passes", "frontends", "build", "api"},
    "verification": BASE | IR | {"samples", "artifact", "runtime", "passes", "frontends", "build", "api"},
    "cli": BASE
    | IR
    | {"peak", "samples", "artifact", "runtime", "passes", "frontends", "build", "api", "verification"},
    "__main__": {"cli"},
}
"""What each part of convc may import of convc, itself left out."""

LIGHT = ("errors", "settings", "precision", "target", "peak", "artifact", "runtime")
"""Parts that import numpy and the standard library only."""

HEAVY = ("tvm", "tvm_ffi", "onnx", "h5py", "click", "rich", "keras", "jax")

TVM_PARTS = {"lower", "schedules", "build"}


def part_of(path: Path) -> str:
    """The part of convc that a source file belongs to: its first folder, or its stem; "" for convc/__init__.py."""
    below = path.relative_to(ROOT)
    names = below.parts[1:] if below.parts[0] == "convc" else below.parts
    return "" if names == ("__init__.py",) else names[0].removesuffix(".py")


def sources() -> list[Path]:
    """Every module of convc, found through the real folders."""
    folders = (ROOT / name for name in ("convc", "frontends", "schedules", "cli"))
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def imported(tree: ast.AST) -> Iterator[str]:
    """Absolute names of everything that a module imports, at any depth of its code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            assert node.module is not None
            yield node.module
            if node.module == "convc":
                yield from (f"convc.{alias.name}" for alias in node.names)


def violations(part: str, text: str) -> list[str]:
    """Imports in a module of `part` that the ladder forbids."""
    bad = []
    for name in imported(ast.parse(text)):
        top, _, rest = name.partition(".")
        other = rest.partition(".")[0]
        wrong_way = top == "convc" and other not in LADDER[part] | {part, "", "__version__"}
        bare = top in ("frontends", "schedules", "cli")
        tvm = top == "tvm" and part not in TVM_PARTS
        heavy = part in LIGHT and top not in ("convc", "numpy") and top not in sys.stdlib_module_names
        if wrong_way or bare or tvm or heavy:
            bad.append(name)
    return bad


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    part = part_of(path)
    if part:
        assert violations(part, path.read_text(encoding="utf-8")) == []


def test_every_part_has_a_rung() -> None:
    assert {part_of(path) for path in sources()} - {""} <= set(LADDER)


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ("errors", "from convc.ir import Node"),
        ("ir", "def f() -> None:\n    import convc.passes"),
        ("ops", "from convc import api"),
        ("runtime", "import click"),
        ("runtime", "from convc.ir import DType"),
        ("schedules", "from convc.ir import Graph"),
        ("passes", "import tvm.te"),
        ("lower", "from convc.schedules.cpu import conv"),
        ("frontends", "from frontends.keras import load"),
    ],
)
def test_a_wrong_import_is_found(part: str, text: str) -> None:
    assert violations(part, text)


def fresh(code: str) -> subprocess.CompletedProcess[str]:
    """Runs `code` in a new interpreter, in the root of the checkout."""
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("module", ["convc", "convc.runtime", "convc.artifact"])
def test_running_needs_nothing_heavy(module: str) -> None:
    done = fresh(f"import {module}, sys; print(*sorted(set({HEAVY!r}) & set(sys.modules)))")
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", ["load", "Module", "ConvcError"])
def test_public_names_of_a_run_need_nothing_heavy(name: str) -> None:
    done = fresh(f"import convc, sys; convc.{name}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))")
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_help_imports_no_compiler() -> None:
    code = (
        "import sys\nfrom convc.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print('heavy:', *sorted({'tvm', 'h5py', 'rich', 'numpy', 'onnx'} & set(sys.modules)))"
    )
    done = fresh(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "heavy:"


@pytest.mark.parametrize("name", ["frontends", "schedules", "cli"])
def test_a_bare_import_is_refused(name: str) -> None:
    done = fresh(f"import {name}")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ImportError: ")
    assert f"convc.{name}" in done.stderr.splitlines()[-1]


def test_all_public_names_resolve() -> None:
    import convc

    for name in convc.__all__:
        assert getattr(convc, name) is not None
    assert set(convc.__all__) <= set(dir(convc))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        convc.nothing  # noqa: B018
