"""Rows of the store's tables: how an object becomes one, and which ones are believed."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, TypeAlias

from vrmpy_tune.errors import RecordFormatError
from vrmpy_tune.records.imported import ImportedTrace
from vrmpy_tune.records.migration import migrate
from vrmpy_tune.records.outcomes import Failure, FinishedRun
from vrmpy_tune.records.record import Record
from vrmpy_tune.records.safe_json import Json, canonical_json, parse_json
from vrmpy_tune.records.same_toolchain import toolchain_key

if TYPE_CHECKING:
    from collections.abc import Mapping

Row: TypeAlias = "dict[str, str | int]"
"""A row's columns by name."""

_UNREAD: Final = frozenset({"body", "checksum", "toolchain"})
"""Columns that repeat nothing of the object, and the one that only prefers some records to others:
how it is made of the toolchain may change."""


def record_row(record: Record) -> Row:
    """Return the row that holds ``record``."""
    return _sealed(_record_columns(record) | {"body": canonical_json(record.to_json())})


def side_row(item: Failure | ImportedTrace | FinishedRun) -> Row:
    """Return the row that holds a failure, an imported trace or a finished run."""
    return _sealed(_side_columns(item) | {"body": canonical_json(item.to_json())})


def read_record(row: Mapping[str, str | int]) -> Record:
    """Return the record of a row.

    Raises
    ------
    RecordFormatError
        If any column was altered, or the body is none of a record.
    """
    record = Record.from_json(migrate(_body(row)))
    _compare(row, _record_columns(record))
    return record


def read_failure(row: Mapping[str, str | int]) -> Failure:
    """Return the failure of a row; errors as :func:`read_record`."""
    failure = Failure.from_json(_body(row))
    _compare(row, _side_columns(failure))
    return failure


def read_imported(row: Mapping[str, str | int]) -> ImportedTrace:
    """Return the imported trace of a row; errors as :func:`read_record`."""
    trace = ImportedTrace.from_json(_body(row))
    _compare(row, _side_columns(trace))
    return trace


def read_finished(row: Mapping[str, str | int]) -> FinishedRun:
    """Return the finished run of a row; errors as :func:`read_record`."""
    run = FinishedRun.from_json(_body(row))
    _compare(row, _side_columns(run))
    return run


def checksum(row: Mapping[str, str | int]) -> str:
    """Return the SHA-256 of a row's columns but the checksum itself, in hexadecimal."""
    text = canonical_json({name: row[name] for name in row if name != "checksum"})
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def old_checksum(body: str) -> str:
    """Return what the checksum of a row was before version 2: that of the body alone."""
    return hashlib.sha256(body.encode("ascii", "replace")).hexdigest()


def _record_columns(record: Record) -> Row:
    return {
        "id": record.id,
        "workload": record.workload,
        "target": record.target,
        "metric": record.metric,
        "space": record.space,
        "value": record.value,
        "packets_total": record.counts.packets_total,
        "toolchain": toolchain_key(record.toolchain),
    }


def _side_columns(item: Failure | ImportedTrace | FinishedRun) -> Row:
    if isinstance(item, FinishedRun):
        return {"id": item.key, "workload": ""}
    return {"id": item.id, "workload": item.identity.workload}


def _sealed(row: Row) -> Row:
    return row | {"checksum": checksum(row)}


def _body(row: Mapping[str, str | int]) -> Json:
    if checksum(row) != row["checksum"]:
        raise RecordFormatError("Its checksum differs.")
    return parse_json(str(row["body"]))


def _compare(row: Mapping[str, str | int], columns: Row) -> None:
    """Refuse a row whose columns say something else than its body, whatever its checksum says."""
    for name in row.keys() - _UNREAD:
        if row[name] != columns[name]:
            raise RecordFormatError(f"Its column '{name}' is not what its body says.")
