"""`python -m tests.cuda.carry`: builds libraries where nvcc is, and checks them where a GPU is.

`build FOLDER` needs what developers have; `check FOLDER` needs NumPy and this checkout.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from convc.errors import ConvcError
from tests.cuda import carried
from tests.cuda.carried import Item, Outcome

MODULE: Final = "tests.cuda.carry"
ROOT: Final = Path(__file__).parents[2]
PATIENCE: Final = 120
"""Seconds that a library may take."""
LIMIT: Final = 48
"""Megabytes of a folder that is small enough to carry."""


def check(folder: Path, only: Sequence[str]) -> list[Outcome]:
    """Every library whose name fits a pattern, each in a process of its own: a fault ends what its context has on the
    device.

    Prints a row for each as it is done.
    """
    items = [item for item in carried.read(folder) if carried.fits(item.name, only)]
    if not items:
        raise ConvcError("--only", "no library fits", received=", ".join(only), remedy="'*' stands for any text")
    width = max(len(item.name) for item in items)
    print(f"{'':{width}}  {'error':>8}  {'limit':>8}  {'ms':>8}", flush=True)
    outcomes = []
    for item in items:
        outcome = _apart(folder, item)
        outcomes.append(outcome)
        error = "" if outcome.error is None else f"{outcome.error:.2e}"
        taken = "" if outcome.seconds is None else f"{1e3 * outcome.seconds:.3f}"
        state = f"FAILED: {outcome.message}" if outcome.message else "ok"
        print(f"{item.name:{width}}  {error:>8}  {item.tolerance:8.1e}  {taken:>8}  {state}", flush=True)
    failed = sum(bool(outcome.message) for outcome in outcomes)
    print(f"{len(outcomes) - failed} of {len(outcomes)} are right")
    return outcomes


def _apart(folder: Path, item: Item) -> Outcome:
    """`carried.check` in another process; what ends it without an answer is the outcome's message."""
    said, answer = _process("one", folder, item)
    if answer is None:
        return Outcome(item.name, item.tolerance, message=said)
    outcome = Outcome(**answer)
    if outcome.message and outcome.error is None:
        blamed, _ = _process("blame", folder, item)
        if blamed != outcome.message:
            return replace(outcome, message=f"{outcome.message}; one by one: {blamed}")
    return outcome


def _process(command: str, folder: Path, item: Item) -> tuple[str, dict[str, Any] | None]:
    """What the process printed last, and that as JSON if it is."""
    line = [sys.executable, "-m", MODULE, command, str(folder.resolve()), "--only", item.name]
    try:
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer in {PATIENCE} seconds", None
    printed = (done.stdout if done.returncode == 0 else done.stderr + done.stdout).strip().splitlines()
    said = printed[-1] if printed else "nothing was printed"
    if done.returncode != 0:
        return f"the process ended with {done.returncode}: {said}", None
    return said, json.loads(said) if command == "one" else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="compile the cases and networks into a folder")
    build.add_argument("--architectures", default="sm_90", help="of the GPUs, as sm_80,sm_90 (default: sm_90)")
    build.add_argument("--limit-mb", type=int, default=LIMIT, help=f"largest size of the folder (default: {LIMIT})")
    check = commands.add_parser("check", help="run what is in a folder on this machine's GPU")
    check.add_argument("--json", type=Path, help="write what was found to this file too")
    for command in (build, check, commands.add_parser("one"), commands.add_parser("blame")):
        command.add_argument("folder", type=Path)
        command.add_argument("--only", nargs="+", default=["*"], help="names of libraries to take, as 'conv*'")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. 1: something is wrong."""
    given = _parser().parse_args(arguments)
    try:
        if given.command == "build":
            from tests.cuda.carry_build import build  # this imports TVM

            build(given.folder, f"cuda:{given.architectures}", given.limit_mb << 20, given.only)
            return 0
        if given.command == "check":
            outcomes = check(given.folder, given.only)
            if given.json:
                given.json.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1))
            return int(any(outcome.message for outcome in outcomes))
        (item,) = (item for item in carried.read(given.folder) if [item.name] == given.only)
        run = given.command == "one"
        print(json.dumps(asdict(carried.check(given.folder, item))) if run else carried.blame(given.folder, item))
    except ConvcError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
