"""Options and arguments that several commands share, and what their values must be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer

from search_spaces.memory import Memory
from vrmpy_tune.errors import UsageError, WorkloadError
from vrmpy_tune.measurement import METRICS
from vrmpy_tune.model.opening import is_model
from vrmpy_tune.suites import SUITES, suite_called
from vrmpy_tune.workload import Workload, parse_workload

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

STORE_HELP: Final = (
    "Record store: sqlite:///path, a .db file, or postgresql+psycopg://user@host/db."
)

Workloads: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[WORKLOAD|MODEL.onnx|MODEL.tflite]",
        help="For example dense:m=128,n=768,k=768,lhs=u8,rhs=u8; or name a model or a --suite.",
        show_default=False,
    ),
]
SuiteName: TypeAlias = Annotated[
    str | None,
    typer.Option("--suite", metavar="NAME", help=f"All workloads of {', '.join(SUITES)}."),
]
Variants: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--variant", metavar="NAME", help="Only this variant of the suite; may be repeated."
    ),
]
Target: TypeAlias = Annotated[
    str, typer.Option(metavar="NAME", help="hexagon-v66, -v68, -v69, -v73 or -v75.")
]
Device: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="qemu, rpc://HOST:PORT/KEY, 'command: PROGRAM', python:MODULE:CLASS or fake.",
    ),
]
Sources: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--records",
        metavar="URL",
        help=f"{STORE_HELP} Also .jsonl; may be repeated. In place of your own store, and before "
        "the records that ship.",
    ),
]
Shipped: TypeAlias = Annotated[
    bool, typer.Option("--shipped/--no-shipped", help="Look in the records that ship, too.")
]
Memories: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--memory",
        metavar="PLAN",
        help="Where weights may be while they are multiplied: "
        f"{', '.join(Memory)}. May be repeated; {Memory.CACHED} by default.",
    ),
]
Exact: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--exact", help="Only the workload's own records of this very toolchain: none by anchor."
    ),
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

LONGEST_S: Final = 365.0 * 24 * 3600
"""Longest duration, in seconds: beyond, it is a mistake, and operating systems overflow."""

DEFAULT_TARGET: Final = "hexagon-v68"

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(s|m|h)?", re.ASCII)
_SECONDS: Final = {None: 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def read_workloads(texts: Sequence[str]) -> list[Workload]:
    """Parse the WORKLOAD arguments; of equal ones, the first is kept.

    Raises
    ------
    UsageError
        If one is no workload, or is a model, which stands alone.
    """
    models = [text for text in texts if is_model(text)]
    if models:
        raise UsageError(f"{models[0]} is a model; name it alone, without workloads or a suite.")
    return list(dict.fromkeys(parse_workload(text) for text in texts))


def read_model(
    texts: Sequence[str] | None, suite: str | None, variants: Sequence[str] | None = None
) -> Path | None:
    """Return the file of the model, if one is named and nothing else.

    Raises
    ------
    UsageError
        If there is no such file.
    """
    if not texts or len(texts) > 1 or suite is not None or variants or not is_model(texts[0]):
        return None
    path = Path(texts[0])
    if not path.is_file():
        raise UsageError(f"There is no model {path}.")
    return path


def read_selection(
    texts: Sequence[str] | None,
    suite: str | None,
    variants: Sequence[str] | None,
    leave_out: Callable[[str], None],
) -> list[Workload]:
    """Return the workloads that were named, and those of a suite.

    Parameters
    ----------
    leave_out:
        Told of each member of the suite that this version cannot compute.

    Raises
    ------
    UsageError
        If none is named, or one of the names is wrong.
    """
    if variants and suite is None:
        raise UsageError("--variant belongs to a --suite; name one.")
    chosen = read_workloads(texts or ())
    for member in suite_called(suite).select(tuple(variants or ())) if suite else ():
        try:
            chosen.append(member.workload())
        except WorkloadError as error:
            leave_out(f"Left out of {suite}: {error}")
    if not chosen:
        raise UsageError(
            "Name a workload, for example dense:m=128,n=768,k=768,lhs=u8,rhs=u8, or a --suite."
        )
    return list(dict.fromkeys(chosen))


def check_metric(metric: str | None) -> str | None:
    """Return ``metric`` if it exists.

    Raises
    ------
    UsageError
        If it does not.
    """
    if metric is not None and metric not in METRICS:
        raise UsageError(f"There is no metric '{metric}'; use one of {', '.join(METRICS)}.")
    return metric


def read_memories(given: Sequence[str] | None) -> tuple[Memory, ...]:
    """Return the plans that were named, in their own order; the plain one by default.

    Raises
    ------
    UsageError
        If there is no such plan.
    """
    for name in given or ():
        if name not in list(Memory):
            raise UsageError(f"There is no plan '{name}' of memory; use {', '.join(Memory)}.")
    return tuple(one for one in Memory if one in (given or ())) or (Memory.CACHED,)


def read_duration(text: str) -> float:
    """Return the seconds of a duration such as ``"90"``, ``"90s"``, ``"10m"`` or ``"1.5h"``.

    Raises
    ------
    UsageError
        If it is none, is zero, or is longer than a year.
    """
    match = _DURATION.fullmatch(text)
    seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    if not 0 < seconds < float("inf"):
        raise UsageError(f"'{text:.40}' is not a duration; write for example 90s, 10m or 1.5h.")
    if seconds > LONGEST_S:
        raise UsageError(f"'{text:.40}' is longer than a year; write for example 90s, 10m or 1.5h.")
    return seconds


def is_farm(device: str) -> bool:
    """Whether a device's name is that of a farm."""
    return device.startswith("rpc://")


def is_server(store: str | None) -> bool:
    """Whether a store's URL is that of a database server, which may go away and come back."""
    return store is not None and "://" in store and not store.startswith("sqlite:")


def waiting(device: str, seconds: float) -> str:
    """Return the name of a farm's device with the time after which it is given up.

    Raises
    ------
    UsageError
        If the device is no farm: others are there or are not.
    """
    if not is_farm(device):
        raise UsageError(f"--wait is for farms (rpc://HOST:PORT/KEY), and '{device}' is none.")
    return f"{device}{'&' if '?' in device else '?'}wait={seconds:g}"


def stores(given: Sequence[str] | None, *, shipped: bool) -> list[str]:
    """Return the stores to read from: those given, or the user's own; then those that ship.

    Whoever names stores is told that others are looked in, too.
    """
    from vrmpy_tune.cli.streams import say
    from vrmpy_tune.records.shipped import sources

    found = sources(given or None, shipped=shipped)
    if given and len(found) > len(given):
        say(f"The records that ship ({found[-1]}) count, too; --no-shipped leaves them out.")
    return found
