"""Storing records again, as they are measured to be today, where they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from vrmpy_tune.errors import RecordFormatError
from vrmpy_tune.records.jsonlines import LineProblem, export_json_lines, read_json_lines
from vrmpy_tune.records.location import open_store, record_files
from vrmpy_tune.records.record import UNKNOWN_GENERATOR, Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vrmpy_tune.records.outcomes import Failure
    from vrmpy_tune.reverify import Finding, Reverifier

BATCH: Final = 20
"""Records after which a file is written: no more are measured again after an interruption."""


def is_stamped(record: Record, toolchain: Mapping[str, str]) -> bool:
    """Return whether a record says all that it would say if it were measured today.

    Parameters
    ----------
    toolchain:
        That of today, the simulator included (:attr:`vrmpy_tune.reverify.Reverifier.toolchain`).
    """
    return (
        dict(record.toolchain) == dict(toolchain)
        and record.generator != UNKNOWN_GENERATOR
        and record.fixed_rule is not None
    )


def restamp(where: str, records: Sequence[Record], again: Reverifier) -> Iterator[Finding]:
    """Measure records again, and put those that are right in the place of the stored ones.

    What was measured is kept if the iteration ends early, so that it can be continued.

    Parameters
    ----------
    where:
        The store that holds the records: a database, a ``.jsonl`` file, or a directory of them.
    records:
        Those of the store that are to be measured.
    again:
        Measures them.

    Raises
    ------
    RecordFormatError
        If a file has lines that cannot be read, which writing it would lose.
    StoreError
        If the store cannot be written.
    DeviceError, ToolchainError
        If nothing more can be measured.
    """
    files = record_files(where)
    if files is not None:
        wanted = {record.id for record in records}
        for file in files:
            yield from _restamp_file(file, wanted, again)
        return
    with open_store(where) as store:
        for finding in again.findings(records, fixed_rules=True):
            if finding.measured is not None:
                store.add(finding.measured)
            yield finding


def _restamp_file(path: Path, wanted: set[str], again: Reverifier) -> Iterator[Finding]:
    kept: dict[str, Record] = {}
    failures: list[Failure] = []
    for item in read_json_lines(path):
        if isinstance(item, LineProblem):
            raise RecordFormatError(
                f"{item} Writing {path} would lose that line: repair or remove it. Nothing of the "
                "file was changed."
            )
        if isinstance(item, Record):
            kept.setdefault(item.id, item)
        else:
            failures.append(item)
    unwritten = 0
    chosen = [record for record in kept.values() if record.id in wanted]
    try:
        for finding in again.findings(chosen, fixed_rules=True):
            if finding.measured is not None:
                kept[finding.record.id] = finding.measured
                unwritten += 1
            if unwritten == BATCH:
                export_json_lines(kept.values(), path, failures)
                unwritten = 0
            yield finding
    finally:
        if unwritten:
            export_json_lines(kept.values(), path, failures)
