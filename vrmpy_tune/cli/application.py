"""The root command, and what becomes of errors.

Exit codes are those of :mod:`vrmpy_tune.errors`, and besides them 0 for success, 70 for a defect of
this program, 74 for a failure of the file system, 130 for an interruption by the user, 141 for
output that nobody reads any more.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
import typer.core
import typer.main

from vrmpy_tune.cli.streams import is_closed, leave_closed, visible_streams
from vrmpy_tune.errors import VrmpyTuneError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DEFECT: Final = 70
"""Exit code for an exception that nothing here raises on purpose (EX_SOFTWARE)."""

FILE_SYSTEM: Final = 74
"""Exit code for a file that cannot be read or written (EX_IOERR)."""

CLOSED_PIPE: Final = 141
"""Exit code where nobody reads the output any more, as in ``| head``, by the shells' convention."""


class _UnexpectedEndError(Exception):
    """An ``EOFError``, which typer would take for the end of a dialogue."""


_COMMANDS: Final = {
    "tune": "tune:tune_workloads",
    "compile": "compile:compile_kernels",
    "run": "run_artifact:run_kernels",
    "bench": "bench:bench",
    "calibrate": "calibrate:calibrate",
    "compare-memory": "compare_memory:compare_memory",
    "explain": "explain:explain_workloads",
    "records": "records:app",
    "study": "study:study_searches",
    "farm": "farm:app",
    "spaces": "spaces:list_spaces",
    "doctor": "doctor:examine",
}
"""Where each command is: a module of :mod:`vrmpy_tune.cli`, and its function or group there.

Only that of the command that is called is imported; the help of the program imports all.
"""


class _Commands(typer.core.TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in _COMMANDS and cmd_name not in self.commands:
            self.commands[cmd_name] = _load(cmd_name)
        return self.commands.get(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in _COMMANDS:
            # What typer suggests in place of a mistyped command is among those that are loaded.
            for name in _COMMANDS:
                self.get_command(ctx, name)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except EOFError as error:
            raise _UnexpectedEndError(*error.args) from error


def _load(name: str) -> Any:
    """Import a command, and return it as typer's."""
    module, _, attribute = _COMMANDS[name].partition(":")
    found = getattr(importlib.import_module(f"vrmpy_tune.cli.{module}"), attribute)
    only = typer.Typer(add_completion=False, rich_markup_mode=None)
    if isinstance(found, typer.Typer):
        only.add_typer(found, name=name)
    else:
        only.command(name)(found)
    return typer.main.get_group(only).commands[name]


app = typer.Typer(
    cls=_Commands,
    help="Tune int8 kernels for Hexagon's vrmpy instructions, and compile with what was found.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"vrmpy-tune {importlib.metadata.version('vrmpy-tune')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks; may stand anywhere.")
    ] = False,
) -> None:
    pass


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    arguments:
        The command line without the program's name.
    """
    with visible_streams():
        code = _run(arguments)
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            code = code or CLOSED_PIPE
    for number in (1, 2):
        if is_closed(number):
            leave_closed(number)
    return code


def _run(arguments: Sequence[str]) -> int:
    debug = "--debug" in arguments
    try:
        app([word for word in arguments if word != "--debug"], prog_name="vrmpy-tune")
    except SystemExit as stop:
        # Typer ends like this for a pipe that is closed, whoever wrote to it.
        if isinstance(stop.__context__, BrokenPipeError):
            if any(map(is_closed, (1, 2))):
                return CLOSED_PIPE
            return _report(stop.__context__, debug=debug)
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except Exception as error:
        return _report(error, debug=debug)
    return 0


def _report(error: Exception, *, debug: bool) -> int:
    """Print what went wrong; return the exit code."""
    if debug:
        traceback.print_exception(error)
    code, message = _describe(error)
    with suppress(BrokenPipeError):
        print(f"vrmpy-tune: {message}", file=sys.stderr)
    return code


def _describe(error: Exception) -> tuple[int, str]:
    if isinstance(error, VrmpyTuneError):
        return error.exit_code, str(error)
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename is not None else ""
        return FILE_SYSTEM, f"{where}{error.strerror}."
    what = f"{type(error).__name__}: {error}".splitlines()[0]
    log = _write_log()
    found = f"The traceback is in {log}; " if log else ""
    return DEFECT, (
        f"This is a defect of vrmpy-tune ({what[:200]}). "
        f"{found}{'to' if found else 'To'} see it here, add --debug."
    )


def _write_log() -> Path | None:
    """Write the traceback of the exception at hand where a report of the defect can take it."""
    from vrmpy_tune.toolchain.cache import cache_directory, write_atomically

    with suppress(OSError):
        log = cache_directory() / "traceback.log"
        write_atomically(log, traceback.format_exc().encode("utf-8", "surrogateescape"))
        return log
    return None
