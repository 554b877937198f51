"""The record store in a database: SQLite for one user, PostgreSQL for a team, one code."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, TypeVar

from sqlalchemy import Connection, Table, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from vrmpy_tune.errors import RecordFormatError, StoreError, UsageError
from vrmpy_tune.records.imported import ImportedTrace
from vrmpy_tune.records.migration import migrate
from vrmpy_tune.records.outcomes import Failure, FinishedRun
from vrmpy_tune.records.record import Identity, Record
from vrmpy_tune.records.record_ids import check_id, only_one
from vrmpy_tune.records.safe_json import Json, canonical_json, parse_json
from vrmpy_tune.records.sql_engine import Database
from vrmpy_tune.records.sql_schema import (
    FAILURES,
    FINISHED,
    IMPORTED,
    RECORDS,
    STORE_SCHEMA,
    bring_up_to_date,
    checksum,
    record_row,
    stored_version,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType
    from typing import Self

    from sqlalchemy import Row, Select

    from vrmpy_tune.records.store import RecordReader

_LOG: Final = logging.getLogger(__name__)

_SPARE_ROWS: Final = 16
"""Rows fetched to find one undamaged best."""

T = TypeVar("T")


class SqlStore:
    """A :class:`vrmpy_tune.records.store.Store` in a database, see there for the methods.

    Parameters
    ----------
    url:
        SQLAlchemy URL: ``sqlite:///path`` or ``postgresql+psycopg://user@host/database``.
    readonly:
        Never write; the store must exist.

    Raises
    ------
    StoreError
        If the store cannot be opened: not a database, damaged, no permission, locked.
    RecordFormatError
        If a newer version of this project wrote it.
    """

    def __init__(self, url: str, *, readonly: bool = False) -> None:
        self._database = Database(url, readonly=readonly)
        try:
            self._prepare()
        except BaseException:
            self._database.close()
            raise

    def _prepare(self) -> None:
        with self._database.reading() as connection:
            version = stored_version(connection, self.location)
        if version == STORE_SCHEMA:
            return
        if self._database.readonly:
            raise StoreError(
                f"The record store {self.location} "
                + ("is empty." if version is None else f"has the old schema {version}.")
                + " Open it once for writing, which brings it up to date: "
                f"vrmpy-tune records prune --keep 1000000 --records {self.location}"
            )
        self._database.use_write_ahead_log()
        with self._database.writing() as connection:
            bring_up_to_date(connection, self.location)

    @property
    def location(self) -> str:
        """Path of the file, or URL of the server without its password."""
        return self._database.location

    def get(self, record_id: str) -> Record | None:
        """See :meth:`vrmpy_tune.records.store.RecordReader.get`."""
        check_id(record_id)
        found = self._records(select(RECORDS).where(RECORDS.c.id.like(f"{record_id}%")).limit(2))
        return only_one(found, record_id)

    def get_failure(self, failure_id: str) -> Failure | None:
        """See :meth:`vrmpy_tune.records.store.RecordReader.get_failure`."""
        found = self._side(FAILURES, Failure.from_json, key=failure_id)
        return found[0] if found else None

    def find(self, identity: Identity) -> Record | Failure | None:
        """See :meth:`vrmpy_tune.records.store.RecordReader.find`."""
        found = self._records(select(RECORDS).where(RECORDS.c.id == identity.id))
        return found[0] if found else self.get_failure(identity.id)

    def best(self, workload: str, target: str, metric: str) -> Record | None:
        """See :meth:`vrmpy_tune.records.store.RecordReader.best`."""
        found = self.query(workload, target, metric, limit=1)
        # The best row may be damaged, and was skipped.
        found = found or self.query(workload, target, metric, limit=_SPARE_ROWS)
        return found[0] if found else None

    def query(
        self,
        workload: str | None = None,
        target: str | None = None,
        metric: str | None = None,
        space: str | None = None,
        limit: int | None = None,
    ) -> list[Record]:
        """See :meth:`vrmpy_tune.records.store.RecordReader.query`."""
        wanted = {"workload": workload, "target": target, "metric": metric, "space": space}
        columns = RECORDS.c
        statement = (
            select(RECORDS)
            .where(*(columns[name] == value for name, value in wanted.items() if value is not None))
            .order_by(columns.workload, columns.target, columns.metric, columns.value, columns.id)
            .limit(limit)
        )
        return self._records(statement)

    def failures(self, workload: str | None = None) -> list[Failure]:
        """See :meth:`vrmpy_tune.records.store.RecordReader.failures`."""
        return self._side(FAILURES, Failure.from_json, workload=workload)

    def imported(self, workload: str | None = None) -> list[ImportedTrace]:
        """See :meth:`vrmpy_tune.records.store.RecordReader.imported`."""
        return self._side(IMPORTED, ImportedTrace.from_json, workload=workload)

    def workloads(self) -> list[str]:
        """See :meth:`vrmpy_tune.records.store.RecordReader.workloads`."""
        column = RECORDS.c.workload
        with self._database.reading() as connection:
            return list(connection.scalars(select(column).distinct().order_by(column)))

    def count(self) -> int:
        """See :meth:`vrmpy_tune.records.store.RecordReader.count`."""
        with self._database.reading() as connection:
            return connection.scalar(select(func.count()).select_from(RECORDS)) or 0

    def finished_run(self, key: str) -> FinishedRun | None:
        """See :meth:`vrmpy_tune.records.store.RecordReader.finished_run`."""
        found = self._side(FINISHED, FinishedRun.from_json, key=key)
        return found[0] if found else None

    def finished_runs(self) -> list[FinishedRun]:
        """See :meth:`vrmpy_tune.records.store.RecordReader.finished_runs`."""
        return self._side(FINISHED, FinishedRun.from_json)

    def add(self, record: Record) -> bool:
        """See :meth:`vrmpy_tune.records.store.Store.add`."""
        return self.add_many((record,)) == 1

    def add_many(self, records: Iterable[Record], *, replace: bool = True) -> int:
        """See :meth:`vrmpy_tune.records.store.Store.add_many`."""
        rows = [record_row(record) for record in records]
        with self._database.writing() as connection:
            return _put_records(connection, rows, replace=replace)

    def add_failure(self, failure: Failure) -> bool:
        """See :meth:`vrmpy_tune.records.store.Store.add_failure`."""
        row = _side_row(failure.id, failure.identity.workload, failure.to_json())
        with self._database.writing() as connection:
            return _put(connection, FAILURES, row, replace=True)

    def add_imported(self, traces: Iterable[ImportedTrace]) -> int:
        """See :meth:`vrmpy_tune.records.store.Store.add_imported`."""
        with self._database.writing() as connection:
            return _put_imported(connection, traces)

    def finish_run(self, run: FinishedRun) -> None:
        """See :meth:`vrmpy_tune.records.store.Store.finish_run`."""
        with self._database.writing() as connection:
            _put(connection, FINISHED, _side_row(run.key, "", run.to_json()), replace=True)

    def merge_from(self, other: RecordReader) -> int:
        """See :meth:`vrmpy_tune.records.store.Store.merge_from`."""
        records = [record_row(record) for record in other.query()]
        failures = [_side_row(f.id, f.identity.workload, f.to_json()) for f in other.failures()]
        finished = [_side_row(run.key, "", run.to_json()) for run in other.finished_runs()]
        imported = other.imported()
        with self._database.writing() as connection:
            added = _put_records(connection, records, replace=False)
            for row in failures:
                _put(connection, FAILURES, row, replace=False)
            for row in finished:
                _put(connection, FINISHED, row, replace=False)
            _put_imported(connection, imported)
        return added

    def prune(self, keep: int) -> int:
        """See :meth:`vrmpy_tune.records.store.Store.prune`."""
        if keep < 1:
            raise UsageError("Pruning keeps at least 1 record of each workload, target and metric.")
        columns = RECORDS.c
        place = func.row_number().over(
            partition_by=(columns.workload, columns.target, columns.metric),
            order_by=(columns.value, columns.id),
        )
        ranked = select(columns.id, place.label("place")).subquery()
        beyond = select(ranked.c.id).where(ranked.c.place > keep)
        with self._database.writing() as connection:
            return connection.execute(delete(RECORDS).where(columns.id.in_(beyond))).rowcount

    def close(self) -> None:
        """See :meth:`vrmpy_tune.records.store.RecordReader.close`."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _records(self, statement: Select[tuple[object, ...]]) -> list[Record]:
        with self._database.reading() as connection:
            rows = connection.execute(statement).all()
        return self._decode(rows, lambda value: Record.from_json(migrate(value)))

    def _side(
        self,
        table: Table,
        parse: Callable[[Json], T],
        *,
        key: str | None = None,
        workload: str | None = None,
    ) -> list[T]:
        statement = select(table).order_by(table.c.id)
        if key is not None:
            statement = statement.where(table.c.id == key)
        if workload is not None:
            statement = statement.where(table.c.workload == workload)
        with self._database.reading() as connection:
            rows = connection.execute(statement).all()
        return self._decode(rows, parse)

    def _decode(
        self, rows: Iterable[Row[tuple[object, ...]]], parse: Callable[[Json], T]
    ) -> list[T]:
        """Parse rows; a damaged one is reported and skipped, so that it costs no other."""
        parsed = []
        for row in rows:
            try:
                if checksum(row.body) != row.checksum:
                    raise RecordFormatError("Its checksum differs.")
                parsed.append(parse(parse_json(row.body)))
            except RecordFormatError as error:
                _LOG.warning("Skipped row %.16s of %s: %s", row.id, self.location, error)
        return parsed


def _side_row(key: str, workload: str, value: Mapping[str, Json]) -> dict[str, str | int]:
    body = canonical_json(value)
    return {"id": key, "workload": workload, "body": body, "checksum": checksum(body)}


def _put_records(
    connection: Connection, rows: Iterable[Mapping[str, str | int]], *, replace: bool
) -> int:
    added = 0
    for row in rows:
        added += _put(connection, RECORDS, row, replace=replace)
        connection.execute(delete(IMPORTED).where(IMPORTED.c.id == row["id"]))
    return added


def _put_imported(connection: Connection, traces: Iterable[ImportedTrace]) -> int:
    added = 0
    for trace in traces:
        measured = select(RECORDS.c.id).where(RECORDS.c.id == trace.id)
        if connection.scalar(measured) is None:
            row = _side_row(trace.id, trace.identity.workload, trace.to_json())
            added += _put(connection, IMPORTED, row, replace=False)
    return added


def _put(
    connection: Connection, table: Table, row: Mapping[str, str | int], *, replace: bool
) -> bool:
    """Insert a row unless its id is there; then replace it, if asked.  Return whether it is new."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(**row).on_conflict_do_nothing()
    # Without the option, SQLAlchemy does not ask PostgreSQL's driver for the count of an insert.
    result = connection.execute(statement, execution_options={"preserve_rowcount": True})
    is_new = result.rowcount == 1
    if replace and not is_new:
        connection.execute(update(table).where(table.c.id == row["id"]).values(**row))
    return is_new
