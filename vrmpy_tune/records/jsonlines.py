"""JSON Lines: the form in which records ship, are reviewed in a diff, and travel.

One record a line, sorted by workload, target and metric, best first; fields in a fixed order, the
trace last.  Failures may follow the records.  Reading streams, trusts nothing, and goes on after a
bad line.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from vrmpy_tune.errors import RecordFormatError
from vrmpy_tune.records.atomic_file import replace_file
from vrmpy_tune.records.migration import migrate
from vrmpy_tune.records.outcomes import Failure
from vrmpy_tune.records.record import Record
from vrmpy_tune.records.safe_json import MAX_LINE_BYTES, parse_json
from vrmpy_tune.records.trace_check import check_identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

    from vrmpy_tune.records.store import Store

MAX_FILE_BYTES: Final = 1 << 30
"""Largest file that is read: about 100,000 records."""

MAX_PROBLEMS: Final = 100
"""Bad lines that are described; further ones are only counted."""

_BATCH: Final = 500
"""Records per transaction."""


@dataclass(frozen=True)
class LineProblem:
    """Why one line of a record file was not read."""

    path: Path
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}"


@dataclass(frozen=True)
class ImportReport:
    """What an import did; every line that is not blank is in exactly one of the counts.

    Attributes
    ----------
    added, unchanged:
        Records that are new in the store, and records whose identity was there already.
    failures:
        Failures read.
    bad_lines:
        Lines that were not read.
    problems:
        The first :data:`MAX_PROBLEMS` bad lines, with file, line number and reason.
    """

    added: int
    unchanged: int
    failures: int
    bad_lines: int
    problems: tuple[LineProblem, ...]


Line: TypeAlias = Record | Failure | LineProblem


def export_json_lines(
    records: Iterable[Record], path: Path | str, failures: Iterable[Failure] = ()
) -> int:
    """Write records, and failures after them, to a file that is replaced as a whole.

    Returns
    -------
    int
        How many lines were written.

    Raises
    ------
    StoreError
        If the file cannot be written; an existing one is then as it was.
    """
    first = sorted(records, key=lambda record: record.sort_key)
    last = sorted(failures, key=lambda failure: (failure.identity.workload, failure.id))
    return replace_file(Path(path), [*map(encode_line, first), *map(encode_line, last)])


def encode_line(item: Record | Failure) -> str:
    """Return the line of a record or failure, without its line feed; ASCII."""
    fields = item.to_json()
    # The trace is the longest field and the least read: last.
    fields["trace"] = fields.pop("trace")
    return json.dumps(fields, separators=(",", ":"), allow_nan=False)


def import_json_lines(store: Store, path: Path | str, *, strict: bool = False) -> ImportReport:
    """Add a file's records and failures to a store; those already there stay as they are.

    Parameters
    ----------
    store:
        Where to.
    path:
        A JSON Lines file of this or a past schema version; it need not be trusted.
    strict:
        Import nothing if any line is bad.

    Raises
    ------
    RecordFormatError
        If the file cannot be read or is too large, or, when strict, at the first bad line.
    StoreError
        If the store cannot be written.
    """
    path = Path(path)
    if strict:
        for item in read_json_lines(path, strangers=True):
            if isinstance(item, LineProblem):
                raise RecordFormatError(f"{item} Nothing was imported.")
    added = total = failures = bad_lines = 0
    problems: list[LineProblem] = []
    batch: list[Record] = []
    for item in read_json_lines(path, strangers=True):
        if isinstance(item, Record):
            batch.append(item)
            if len(batch) == _BATCH:
                added += store.add_many(batch, replace=False)
                total += len(batch)
                batch.clear()
        elif isinstance(item, Failure):
            store.add_failure(item)
            failures += 1
        else:
            bad_lines += 1
            if len(problems) < MAX_PROBLEMS:
                problems.append(item)
    added += store.add_many(batch, replace=False)
    total += len(batch)
    return ImportReport(added, total - added, failures, bad_lines, tuple(problems))


def read_json_lines(path: Path, *, strangers: bool = False) -> Iterator[Line]:
    """Yield what each line holds, or why it holds nothing; blank lines are passed over.

    Parameters
    ----------
    path:
        The file.
    strangers:
        Whether to check workloads and traces too, for what is to be stored.  It takes a millisecond
        a line, and is asked again wherever a trace is applied.

    Raises
    ------
    RecordFormatError
        If the file cannot be read, is not a regular file, or exceeds :data:`MAX_FILE_BYTES`.
    """
    for number, line in enumerate(bounded_lines(path), start=1):
        if not line.isspace():
            item = _parse_line(line, path, number)
            if strangers and not isinstance(item, LineProblem):
                try:
                    check_identity(item.identity)
                except RecordFormatError as error:
                    item = LineProblem(path, number, str(error))
            yield item


def bounded_lines(path: Path) -> Iterator[bytes]:
    """Yield a file's lines; one over the limit is cut there, and so no longer parses.

    Raises
    ------
    RecordFormatError
        If the file cannot be read, is not a regular file, or exceeds :data:`MAX_FILE_BYTES`.
    """
    try:
        # A pipe or device could feed us for ever.
        if not path.is_file():
            raise RecordFormatError(f"There is no record file at {path}. Check the path.")
        if (size := path.stat().st_size) > MAX_FILE_BYTES:
            raise RecordFormatError(
                f"{path} has {size:,} bytes; the limit is {MAX_FILE_BYTES:,}. Split the file."
            )
        with path.open("rb") as stream:
            # One byte more than the limit shows the parser that there was more.
            while line := stream.readline(MAX_LINE_BYTES + 1):
                yield line
                _skip_rest(stream, line)
    except (OSError, ValueError) as error:
        # ValueError: a path with a NUL in it.
        raise RecordFormatError(f"{path} cannot be read: {error}.") from error


def _parse_line(line: bytes, path: Path, number: int) -> Line:
    try:
        value = parse_json(line)
        if isinstance(value, dict) and "outcome" in value:
            return Failure.from_json(value)
        return Record.from_json(migrate(value))
    except RecordFormatError as error:
        return LineProblem(path, number, str(error))


def _skip_rest(stream: BinaryIO, line: bytes) -> None:
    while line and not line.endswith(b"\n"):
        line = stream.readline(MAX_LINE_BYTES)
