"""The record store in a database: SQLite for one user, PostgreSQL for a team, one code."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, TypeVar

from sqlalchemy import Connection, Table, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from vrmpy_tune.errors import RecordFormatError, StoreError, UsageError
from vrmpy_tune.records.record_ids import check_id, only_one
from vrmpy_tune.records.sql_engine import Database
from vrmpy_tune.records.sql_migration import bring_up_to_date
from vrmpy_tune.records.sql_rows import (
    Row,
    read_failure,
    read_finished,
    read_imported,
    read_record,
    record_row,
    side_row,
)
from vrmpy_tune.records.sql_schema import (
    BEST_FIRST,
    FAILURES,
    FINISHED,
    GROUP,
    IMPORTED,
    RECORDS,
    STORE_SCHEMA,
    stored_version,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType
    from typing import Self

    from sqlalchemy import RowMapping, Select

    from vrmpy_tune.records.imported import ImportedTrace
    from vrmpy_tune.records.outcomes import Failure, FinishedRun
    from vrmpy_tune.records.record import Identity, Record
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
        found = self._side(FAILURES, read_failure, key=failure_id)
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
            .order_by(*GROUP, *BEST_FIRST)
            .limit(limit)
        )
        return self._records(statement)

    def failures(self, workload: str | None = None) -> list[Failure]:
        """See :meth:`vrmpy_tune.records.store.RecordReader.failures`."""
        return self._side(FAILURES, read_failure, workload=workload)

    def imported(self, workload: str | None = None) -> list[ImportedTrace]:
        """See :meth:`vrmpy_tune.records.store.RecordReader.imported`."""
        return self._side(IMPORTED, read_imported, workload=workload)

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
        found = self._side(FINISHED, read_finished, key=key)
        return found[0] if found else None

    def finished_runs(self) -> list[FinishedRun]:
        """See :meth:`vrmpy_tune.records.store.RecordReader.finished_runs`."""
        return self._side(FINISHED, read_finished)

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
        row = side_row(failure)
        with self._database.writing() as connection:
            return _put(connection, FAILURES, row, replace=True)

    def add_imported(self, traces: Iterable[ImportedTrace]) -> int:
        """See :meth:`vrmpy_tune.records.store.Store.add_imported`."""
        with self._database.writing() as connection:
            return _put_imported(connection, traces)

    def finish_run(self, run: FinishedRun) -> None:
        """See :meth:`vrmpy_tune.records.store.Store.finish_run`."""
        with self._database.writing() as connection:
            _put(connection, FINISHED, side_row(run), replace=True)

    def merge_from(self, other: RecordReader) -> int:
        """See :meth:`vrmpy_tune.records.store.Store.merge_from`."""
        records = [record_row(record) for record in other.query()]
        failures = [side_row(failure) for failure in other.failures()]
        finished = [side_row(run) for run in other.finished_runs()]
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
            partition_by=GROUP,
            order_by=BEST_FIRST,
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
            rows = connection.execute(statement).mappings().all()
        return self._decode(rows, read_record)

    def _side(
        self,
        table: Table,
        parse: Callable[[Mapping[str, str | int]], T],
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
            rows = connection.execute(statement).mappings().all()
        return self._decode(rows, parse)

    def _decode(
        self, rows: Iterable[RowMapping], parse: Callable[[Mapping[str, str | int]], T]
    ) -> list[T]:
        """Parse rows; a damaged one is reported and skipped, so that it costs no other."""
        parsed = []
        for row in rows:
            try:
                parsed.append(parse(dict(row)))
            except RecordFormatError as error:
                _LOG.warning("Skipped row %.16s of %s: %s", row["id"], self.location, error)
        return parsed


def _put_records(connection: Connection, rows: Iterable[Row], *, replace: bool) -> int:
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
            added += _put(connection, IMPORTED, side_row(trace), replace=False)
    return added


def _put(connection: Connection, table: Table, row: Row, *, replace: bool) -> bool:
    """Insert a row unless its id is there; then replace it, if asked.  Return whether it is new."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(**row).on_conflict_do_nothing()
    # Without the option, SQLAlchemy does not ask PostgreSQL's driver for the count of an insert.
    result = connection.execute(statement, execution_options={"preserve_rowcount": True})
    is_new = result.rowcount == 1
    if replace and not is_new:
        connection.execute(update(table).where(table.c.id == row["id"]).values(**row))
    return is_new
