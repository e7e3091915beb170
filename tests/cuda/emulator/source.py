"""CUDA C made ready for g++: other `__shared__` declarations, and a table of the kernels."""

from __future__ import annotations

import re

_ALIGN = r"(?:(?:alignas|__align__)\(\s*(?P<{}>\d+)\s*\)\s*)?"
_DYNAMIC = re.compile(
    r"extern\s+" + _ALIGN.format("a") + r"__shared__\s+" + _ALIGN.format("b")
    + r"(?P<type>[\w:\s]+?)\s*\b(?P<name>\w+)\s*\[\s*\]\s*;"
)  # fmt: skip
_STATIC = re.compile(
    r"(?:\bstatic\s+)?" + _ALIGN.format("a") + r"__shared__\s+" + _ALIGN.format("b")
    + r"(?P<type>[\w:<>,\s]+?)\s*\b(?P<name>\w+)\s*(?P<extents>(?:\[[^\]]*\]\s*)*);"
)  # fmt: skip
_KERNEL = re.compile(r"__global__\s+(?:void\s+)?(?:__launch_bounds__\(\s*(\d+)[^)]*\)\s*)?(?:void\s+)?(\w+)\s*\(")
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


def prepare(source: str) -> str:
    """The source for g++ after emulated_cuda.h. Raises ValueError for a `__shared__` that is not understood."""
    text = _COMMENT.sub(lambda comment: " " + "\n" * comment.group().count("\n"), source)
    text = _STATIC.sub(_static, _DYNAMIC.sub(_dynamic, text))
    if left := re.search(r"[^\n]*__shared__[^\n]*", text):
        raise ValueError(f"the emulator does not understand: {left.group().strip()}")
    bounds: dict[str, int] = {}
    for bound, name in _KERNEL.findall(text):
        bounds[name] = int(bound or bounds.get(name, 0))
    entries = "".join(f'  emulated::Entry<&{name}>::kernel("{name}", {bound}),\n' for name, bound in bounds.items())
    return f'{text}\nextern "C" const emulated::Kernel emulated_kernels[] = {{\n{entries}  {{}},\n}};\n'


def _dynamic(match: re.Match[str]) -> str:
    """Dynamic memory has one address for all names: a macro, so that the declaration may stand anywhere."""
    return f"\n#define {match['name']} (static_cast<{match['type']} *>(emulated::dynamic_shared()))\n"


def _static(match: re.Match[str]) -> str:
    """A reference to the place that the array has in the block."""
    name, kind = match["name"], f"{match['name']}_of_block"
    align = max(int(match["a"] or 1), int(match["b"] or 1))
    return (
        f"typedef {match['type']} {kind}{match['extents']}; static emulated::Shared {kind}_place; "
        f"{kind} &{name} = {kind}_place.get<{kind}>({align});"
    )
