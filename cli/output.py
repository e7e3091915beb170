"""How results are printed: JSON, tables and sizes, on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from convc.api import Progress
    from convc.ir import Shape

WIDE = 200
"""Columns of a table that does not go to a terminal: no line is broken for a reader that is a program."""


def clean(text: str) -> str:
    """`text` with what could steer a terminal written out: names in a model are whatever its author chose."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def print_text(text: str) -> None:
    """`text` and a newline."""
    click.echo(clean(text))


def print_json(value: object) -> None:
    """`value` as indented JSON."""
    click.echo(json.dumps(value, indent=2))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str = "") -> None:
    """A table; a column whose name ends in ">" is right-aligned."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else WIDE)
    table = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(Text(column.rstrip(">")), justify="right" if column.endswith(">") else "left")
    for row in rows:
        table.add_row(*(Text(clean(str(cell))) for cell in row))
    console.print(table)


def size(count: int) -> str:
    """Bytes for people, in powers of 1000: "512 B", "1.5 MB"."""
    return _scaled(count, ("B", "kB", "MB", "GB", "TB"))


def quantity(count: int) -> str:
    """A count for people: "950", "25.6 M", "7.7 G"."""
    return _scaled(count, ("", "k", "M", "G", "T")).strip()


def _scaled(count: int, units: Sequence[str]) -> str:
    power = 0
    while count >= 1000 ** (power + 1) and power < len(units) - 1:
        power += 1
    return f"{count} {units[0]}" if power == 0 else f"{count / 1000**power:.1f} {units[power]}"


def shape_text(shape: Shape) -> str:
    """1x224x224x3, as `--input` takes it."""
    return "x".join(map(str, shape)) or "scalar"


@contextmanager
def progress_bar(shown: bool) -> Iterator[Progress | None]:
    """A progress callback that draws a bar on stderr; None where `shown` is false or stderr is not a terminal."""
    if not shown or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        BarColumn(30),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def report(done: int, total: int, what: str) -> None:
            bar.update(task, completed=done, total=total, description=what)

        yield report
