"""The whole way on a small model: digits.keras to out/digits.so, and that library at work on held-out digits.

Needs convc alone: no Keras, no scikit-learn. Run it as `python examples/digits/demo.py`, or `make demo`.
"""

from __future__ import annotations

import statistics
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

import convc

HERE = Path(__file__).parent
MODEL = HERE / "digits.keras"
OUTPUT = HERE.parent.parent / "out" / "digits.so"
SHOWN = 8
LATENCY_CALLS = 2000

Image = npt.NDArray[np.float32]


def main() -> int:
    """Compiles, classifies, and reports; 1 where convc refuses."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 100
    try:
        show(console)
    except convc.ConvcError as error:
        print(f"demo: error: {error}", file=sys.stderr)
        return 1
    return 0


def show(console: Console) -> None:
    """The demo's sections, one after the other."""
    console.print(Rule("[bold]compile", align="left"))
    report = compile_with_progress(console)
    console.print(Padding(compiled(report), (0, 2)))

    with np.load(HERE / "heldout.npz", allow_pickle=False) as file:
        images, labels = file["images"], file["labels"]
    with convc.load(OUTPUT) as model:
        probabilities = np.stack([model(image[None])[0] for image in images])
        answers = probabilities.argmax(axis=1)
        right = int(np.sum(answers == labels))

        console.print(Rule("[bold]classify", align="left"))
        accuracy = f"[bold green]{right / len(labels):.1%}[/]"
        text = f"{right} of {len(labels)} digits that training never saw are read correctly: {accuracy}"
        console.print(Padding(text, (0, 2)))
        chosen = choose(answers, labels)
        colours = console.color_system is not None
        cards = [card(images[i], probabilities[i], int(labels[i]), colours) for i in chosen]
        console.print(Padding(gallery(cards), (1, 2, 0, 2)))

        console.print(Rule("[bold]measure", align="left"))
        console.print(Padding(measured(latencies(model, images[:1])), (0, 2)))


def compile_with_progress(console: Console) -> Any:
    """The `convc.CompileReport` of digits.keras; a progress bar while it works, on a terminal."""
    OUTPUT.parent.mkdir(exist_ok=True)
    columns = TextColumn("  {task.description}"), BarColumn(32), TaskProgressColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=None)

        def progress(done: int, total: int, what: str) -> None:
            bar.update(task, completed=done, total=total, description=what)

        return convc.compile(MODEL, OUTPUT, progress=progress)


def compiled(report: Any) -> RenderableType:
    """What came out of the compiler: times, sizes, and what the library needs at run time."""
    size, weights = report.library_bytes, report.weights_bytes
    arena, activations = report.arena_bytes, report.activation_bytes
    rewrites = Counter(decision.rule for decision in report.decisions if decision.applied)
    return facts(
        ("model", f"examples/digits/{MODEL.name}  ({kib(MODEL.stat().st_size)})"),
        ("library", f"out/{OUTPUT.name}  ([bold]{kib(size)}[/], of which weights {kib(weights)})"),
        ("time", f"[bold]{report.seconds:.1f} s[/] for {report.target}"),
        ("kernels", f"[bold]{report.kernels}[/] distinct ones, called in {report.groups} steps"),
        ("rewrites", ", ".join(f"{n} {rule}".replace("_", " ") for rule, n in sorted(rewrites.items()))),
        ("memory", f"{kib(arena)} for all activations, planned into one arena; {kib(activations)} without the plan"),
        ("needs", f"[bold]{', '.join(needed(OUTPUT)) or 'nothing'}[/], and nothing else"),
    )


def measured(seconds: list[float]) -> RenderableType:
    """Latency of one image at a time."""
    median, slow = statistics.median(seconds) * 1e6, statistics.quantiles(seconds, n=100)[-1] * 1e6
    return facts(
        ("latency", f"[bold]{median:.1f} µs[/] for one image: the median of {len(seconds)} calls, NumPy in, NumPy out"),
        ("", f"{slow:.1f} µs at the 99th percentile"),
    )


def latencies(model: Callable[[Image], Any], image: Image) -> list[float]:
    """Seconds for each of `LATENCY_CALLS` calls, after a tenth as many that warm up."""
    result = []
    for _ in range(LATENCY_CALLS + LATENCY_CALLS // 10):
        started = time.perf_counter()
        model(image)
        result.append(time.perf_counter() - started)
    return result[-LATENCY_CALLS:]


def choose(answers: npt.NDArray[Any], labels: npt.NDArray[Any]) -> list[int]:
    """Indices to show: up to two mistakes, the rest right ones of as many different digits as fit."""
    wrong = [int(i) for i in np.flatnonzero(answers != labels)][:2]
    right = [int(np.flatnonzero((answers == labels) & (labels == digit))[0]) for digit in np.unique(labels)]
    return [*right[: SHOWN - len(wrong)], *wrong]


def gallery(cards: list[RenderableType]) -> RenderableType:
    """The cards side by side, four in a row."""
    grid = Table.grid(padding=(0, 5, 1, 0))
    for start in range(0, len(cards), 4):
        grid.add_row(*cards[start : start + 4])
    return grid


def card(image: Image, probabilities: npt.NDArray[np.float32], truth: int, colours: bool) -> RenderableType:
    """A digit, and under it the model's answer, the truth and the confidence as a bar."""
    answer = int(probabilities.argmax())
    confidence = float(probabilities[answer])
    right = answer == truth
    verdict = Text.assemble(
        ("✓ " if right else "✗ ", "bold green" if right else "bold red"),
        ("says ", "dim"), (str(answer), "bold"), (", is ", "dim"), (str(truth), "bold"),
    )  # fmt: skip
    filled = round(confidence * 10)
    bar = Text.assemble(
        ("━" * filled, "green" if right else "red"), ("─" * (10 - filled), "dim"), f" {confidence:4.0%}"
    )
    return Group(drawing(image, colours), verdict, bar)


def drawing(image: Image, colours: bool) -> Text:
    """The 8x8 image at twice its size, two pixels to a half block: in greys, or as black and white characters."""
    text = Text()
    pixels = np.clip(image[..., 0], 0, 1).repeat(2, axis=0).repeat(2, axis=1)
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        for top, bottom in zip(upper, lower, strict=True):
            if colours:
                text.append("▀", f"{grey(top)} on {grey(bottom)}")
            else:
                text.append("█▀▄ "[2 * int(top < 0.4) + int(bottom < 0.4)])
        text.append("\n")
    text.right_crop(1)
    return text


def grey(value: float) -> str:
    """A colour of rich for a brightness in [0, 1]."""
    level = round(20 + 235 * float(value))
    return f"rgb({level},{level},{level})"


def facts(*rows: tuple[str, str]) -> RenderableType:
    """A list of names and values."""
    grid = Table.grid(padding=(0, 3, 0, 0))
    grid.add_column(style="cyan", no_wrap=True)
    for row in rows:
        grid.add_row(*row)
    return grid


def kib(size: int) -> str:
    """A number of bytes in KiB."""
    return f"{size / 1024:,.0f} KiB" if size >= 10240 else f"{size / 1024:.1f} KiB"


def needed(library: Path) -> list[str]:
    """The shared libraries that the loader will look for: DT_NEEDED of an ELF64 file, as ldd reads it."""
    data = library.read_bytes()
    (table,) = struct.unpack_from("<Q", data, 40)
    size, count = struct.unpack_from("<HH", data, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, table + size * i) for i in range(count)]
    names = []
    for _, kind, _, _, offset, length, link, *_ in sections:
        if kind == 6:  # SHT_DYNAMIC; `link` is its string table
            for entry in range(offset, offset + length, 16):
                tag, value = struct.unpack_from("<QQ", data, entry)
                if tag == 1:  # DT_NEEDED
                    start = sections[link][4] + value
                    names.append(data[start : data.index(b"\0", start)].decode())
    return names


if __name__ == "__main__":
    sys.exit(main())
