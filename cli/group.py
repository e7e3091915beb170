"""The `convc` group: its commands, and what an error looks like on the terminal."""

from __future__ import annotations

import errno
import traceback
from importlib import import_module
from typing import Any, Final

import click

from convc import __version__
from convc.cli.output import clean
from convc.errors import ConvcError

COMMANDS: Final = {
    "compile": "Compile a model to one shared library.",
    "run": "Run a compiled library on arrays or random data.",
    "bench": "Measure latency and throughput of a compiled library.",
    "profile": "Time every kernel of a compiled library.",
    "inspect": "Show what is in a model or a compiled library.",
    "explain": "Show what was fused, what was not, and why.",
    "verify": "Compare a compiled library with its model.",
    "targets": "Show this machine and what can be compiled for.",
}
"""Command names with their one-line help, so that `convc --help` imports none of them."""

INTERRUPTED: Final = 130


class LazyGroup(click.Group):
    """Imports a command's module when it is called, and turns every exception into a line on stderr."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"convc.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except (Exception, KeyboardInterrupt) as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise
            if ctx.params.get("show_traceback"):
                click.echo(traceback.format_exc().rstrip(), err=True)
            interrupted = isinstance(error, KeyboardInterrupt)
            for line in ["interrupted"] if interrupted else describe(error):
                click.echo(clean(f"convc: {line}"), err=True)
            ctx.exit(INTERRUPTED if interrupted else 1)


def describe(error: BaseException) -> list[str]:
    """One line per problem."""
    if isinstance(error, ConvcError):
        return [f"error: {problem}" for problem in error.problems]
    if isinstance(error, OSError) and error.strerror:
        subject = f"'{error.filename}': " if error.filename else ""
        return [f"error: {subject}{error.strerror}"]
    if isinstance(error, MemoryError):
        return ["error: out of memory"]
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return [f"internal error: {text} (run 'convc --traceback …' and report it)"]


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="convc", message="%(prog)s %(version)s")
@click.option("--traceback", "show_traceback", is_flag=True, help="Show where in convc an error comes from.")
def main(show_traceback: bool) -> None:
    """Compile convolutional models to native libraries that need libc only.

    \b
    convc compile model.keras -o model.so
    convc run model.so --input x.npy
    """
