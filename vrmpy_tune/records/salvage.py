"""What a damaged SQLite store still holds, read around the damage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from vrmpy_tune.errors import RecordFormatError
from vrmpy_tune.records.memory_reader import MemoryReader
from vrmpy_tune.records.migration import migrate
from vrmpy_tune.records.record import Record
from vrmpy_tune.records.safe_json import parse_json
from vrmpy_tune.records.sql_rows import (
    checksum,
    old_checksum,
    read_failure,
    read_finished,
    read_imported,
    read_record,
)
from vrmpy_tune.records.sql_schema import FAILURES, RECORDS
from vrmpy_tune.records.sqlite_pages import rows_of

if TYPE_CHECKING:
    from pathlib import Path

    from vrmpy_tune.records.damage import Damage
    from vrmpy_tune.records.imported import ImportedTrace
    from vrmpy_tune.records.outcomes import Failure, FinishedRun
    from vrmpy_tune.records.sqlite_pages import Value

_RECORD: Final = tuple(column.name for column in RECORDS.c)
_RECORD_1: Final = tuple(name for name in _RECORD if name not in ("packets_total", "toolchain"))
_SIDE: Final = tuple(column.name for column in FAILURES.c)
_TABLES: Final = {len(names): names for names in (_RECORD, _RECORD_1, _SIDE)}
"""Columns by their number, of this version's tables and of version 1's."""


@dataclass
class _Saved:
    records: list[Record] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    imported: list[ImportedTrace] = field(default_factory=list)
    finished: list[FinishedRun] = field(default_factory=list)


def salvage(path: Path, damage: Damage) -> MemoryReader | None:
    """Return all sound rows of a SQLite store as a reader; ``None`` if there is none.

    Parameters
    ----------
    path:
        The store's file, of which SQLite cannot read all.
    damage:
        Told each row that was recognized, and is damaged.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    saved = _Saved()
    for values in rows_of(path):
        names = _TABLES.get(len(values))
        if names is not None:
            _take(saved, dict(zip(names, values, strict=True)), damage)
    if not any((saved.records, saved.failures, saved.imported, saved.finished)):
        return None
    damage.tell_salvage(len({record.id for record in saved.records}))
    return MemoryReader(str(path), saved.records, saved.failures, saved.imported, saved.finished)


def _take(saved: _Saved, row: dict[str, Value], damage: Damage) -> None:
    body = row["body"]
    # Entries of indices look like rows, but have no body.
    if not isinstance(body, str) or not body.startswith("{"):
        return
    try:
        cells = _cells(row)
        if old_checksum(body) == cells["checksum"]:
            # Of version 1, whose side tables have the same columns as today's.
            cells["checksum"] = checksum(cells)
            if "value" in cells:
                saved.records.append(Record.from_json(migrate(parse_json(body))))
                return
        if "value" in cells:
            saved.records.append(read_record(cells))
        elif '"outcome":' in body:
            saved.failures.append(read_failure(cells))
        elif '"claimed":' in body:
            saved.imported.append(read_imported(cells))
        else:
            saved.finished.append(read_finished(cells))
    except RecordFormatError as error:
        damage.note(row["id"], str(error))


def _cells(row: dict[str, Value]) -> dict[str, str | int]:
    """Return the row if all its columns are texts and integers, as they were written."""
    cells = {name: one for name, one in row.items() if isinstance(one, str | int)}
    if len(cells) != len(row):
        raise RecordFormatError("A column is neither a text nor an integer.")
    return cells
