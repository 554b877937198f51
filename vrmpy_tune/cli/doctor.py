"""``vrmpy-tune doctor``: what the toolchain consists of, what is wrong, what mends it."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vrmpy_tune.cli.options import Json
from vrmpy_tune.cli.streams import one_document, say
from vrmpy_tune.errors import ToolchainError, VrmpyTuneError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.progress import TaskID

    from vrmpy_tune.toolchain.doctor import Check


def examine(
    setup: Annotated[
        bool, typer.Option("--setup", help="Only do the toolchain's first-time work.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Report what is wrong and what mends it.

    Exits 7 if something is broken.
    """
    with one_document(as_json) as emit:
        if setup:
            _set_up()
            if as_json:
                emit({"set_up": True})
            return
        document = _report()
        if as_json:
            emit(document)
    if not as_json:
        print(report_text(document))
    if not document["healthy"]:
        raise typer.Exit(ToolchainError.exit_code)


def report_text(document: dict[str, Any]) -> str:
    """Return the document of ``doctor --json`` in lines, a remedy below each part that has one."""
    width = max(len(check["name"]) for check in document["checks"])
    lines = []
    for check in document["checks"]:
        lines.append(f"{check['status']:7}  {check['name']:{width}}  {check['detail']}")
        if check["remedy"]:
            lines.append(f"{'':7}  {'':{width}}  -> {check['remedy']}")
    lines.append("All is well." if document["healthy"] else "Something is broken; see above.")
    return "\n".join(lines)


def _report() -> dict[str, Any]:
    from vrmpy_tune.records.shipped import sources
    from vrmpy_tune.toolchain.doctor import doctor

    return report_document([*doctor(), *map(stored_records, sources())])


def stored_records(source: str) -> Check:
    """Say how many records a store holds, and how many of them the packet scheduler fell short of.

    Parameters
    ----------
    source:
        One of the stores that are read by default.
    """
    from vrmpy_tune.records import open_store
    from vrmpy_tune.records.record import UNKNOWN_GENERATOR
    from vrmpy_tune.toolchain.codegen import FALLBACK
    from vrmpy_tune.toolchain.doctor import Check, Status

    try:
        with open_store(source, readonly=True) as store:
            total, where = store.count(), store.location
            fallbacks = store.count_made_by(FALLBACK.name)
            unknown = store.count_made_by(UNKNOWN_GENERATOR)
    except VrmpyTuneError as error:
        return Check("records", Status.WARNING, str(error))
    detail = f"{total} in {where}"
    if fallbacks:
        detail += f", {fallbacks} with LLVM's packets (not understood by the packet scheduler)"
    if unknown:
        detail += f", {unknown} of unknown code generators"
        remedy = f"vrmpy-tune records verify --restamp --records {where}"
        return Check("records", Status.OK, detail, remedy)
    return Check("records", Status.OK, detail)


def report_document(checks: Sequence[Check]) -> dict[str, Any]:
    """Return the document that ``--json`` prints of what was found."""
    from vrmpy_tune.toolchain.doctor import Status

    return {
        "healthy": all(check.status is not Status.ERROR for check in checks),
        "checks": [
            {
                "name": check.name,
                "status": str(check.status),
                "detail": check.detail,
                "remedy": check.remedy,
            }
            for check in checks
        ],
    }


def _set_up() -> None:
    """Do first-time work once every part that it needs is there."""
    from vrmpy_tune.toolchain.first_time import first_time_setup
    from vrmpy_tune.toolchain.versions import require_toolchain

    require_toolchain()
    with _progress() as tell:
        first_time_setup(tell)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Yield a function that shows the step at hand: with its seconds on a terminal, else a line."""
    if not sys.stderr.isatty():
        yield say
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as shown:
        steps: list[TaskID] = []

        def tell(step: str) -> None:
            for earlier in steps:
                shown.update(earlier, total=1, completed=1)
            steps.append(shown.add_task(step, total=None))

        yield tell
        for earlier in steps:
            shown.update(earlier, total=1, completed=1)
