"""Measurements of real devices, from CSV files."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vrmpy_tune.errors import UsageError
from vrmpy_tune.regular import check_regular

PUBLISHED: Final = Path(__file__).parent / "points.csv"
"""Published measurements, with where they were published."""

_LONGEST_US: Final = 24 * 3600 * 1e6

COLUMNS: Final = ("source", "device", "workload", "threads", "microseconds", "note")


@dataclass(frozen=True)
class Point:
    """One measurement.

    Attributes
    ----------
    source, device:
        Who published it, and of what.
    workload:
        What was run, in the source's words or as the canonical text of a workload.
    threads:
        Contexts that it was split over, or ``None`` where the source does not say.
    microseconds:
        How long it took.
    note:
        Anything else.
    """

    source: str
    device: str
    workload: str
    threads: int | None
    microseconds: float
    note: str

    @property
    def name(self) -> str:
        """A name that tells the points of one source apart."""
        split = f", {self.threads} threads" if self.threads and self.threads > 1 else ""
        return f"{self.workload}{split}"


def read_points(path: Path) -> list[Point]:
    """Read measurements.

    Raises
    ------
    UsageError
        If a row is not one.
    """
    check_regular(path)
    try:
        return _points(path)
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} is no table of measurements: {error}.") from error


def _points(path: Path) -> list[Point]:
    with path.open(newline="") as file:
        rows = csv.DictReader(file)
        missing = set(COLUMNS[:-1]) - set(rows.fieldnames or ())
        if missing:
            raise UsageError(
                f"{path} has no column {', '.join(sorted(missing))}. "
                f"Measurements have the columns {', '.join(COLUMNS)}."
            )
        return [_point(path, number, row) for number, row in enumerate(rows, start=2)]


def _point(path: Path, line: int, row: dict[str, str]) -> Point:
    try:
        threads = int(row["threads"]) if row["threads"] else None
        microseconds = float(row["microseconds"])
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path}, line {line}, is no measurement: {error}.") from error
    if not 0 < microseconds < _LONGEST_US:
        raise UsageError(
            f"{path}, line {line}: a time is more than 0 microseconds, and less than a day."
        )
    return Point(
        row["source"], row["device"], row["workload"], threads, microseconds, row.get("note") or ""
    )
