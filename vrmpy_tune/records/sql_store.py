"""The record store in a database: SQLite for one user, PostgreSQL for a team, one code."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar

from sqlalchemy import Connection, Table, delete, func, select, update

from vrmpy_tune.errors import UsageError
from vrmpy_tune.records.sql_errors import StoreUnreachableError
from vrmpy_tune.records.sql_migration import bring_up_to_date
from vrmpy_tune.records.sql_reader import SqlReader
from vrmpy_tune.records.sql_rows import Row, record_row, side_row
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
    from collections.abc import Callable, Iterable, Sequence

    from vrmpy_tune.records.imported import ImportedTrace
    from vrmpy_tune.records.outcomes import Failure, FinishedRun
    from vrmpy_tune.records.record import Record
    from vrmpy_tune.records.store import RecordReader

_BATCH: Final = 500
"""Records that are in memory at once when stores are merged."""

T = TypeVar("T")


class SqlStore(SqlReader):
    """A :class:`vrmpy_tune.records.store.Store` in a database, see there for the methods.

    Parameters and errors are those of :class:`vrmpy_tune.records.sql_reader.SqlReader`.
    """

    def __init__(self, url: str, *, readonly: bool = False) -> None:
        super().__init__(url, readonly=readonly)
        if readonly:
            return
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        with self._database.reading() as connection:
            version = stored_version(connection, self.location)
        if version == STORE_SCHEMA:
            return
        self._database.use_write_ahead_log()
        with self._database.writing() as connection:
            bring_up_to_date(connection, self.location)

    def add(self, record: Record) -> bool:
        """See :meth:`vrmpy_tune.records.store.Store.add`."""
        return self.add_many((record,)) == 1

    def add_many(self, records: Iterable[Record], *, replace: bool = True) -> int:
        """See :meth:`vrmpy_tune.records.store.Store.add_many`."""
        records = list(records)
        rows = [record_row(record) for record in records]
        return self._keep(
            records, lambda connection: _put_records(connection, rows, replace=replace)
        )

    def add_failure(self, failure: Failure) -> bool:
        """See :meth:`vrmpy_tune.records.store.Store.add_failure`."""
        row = side_row(failure)
        return self._keep(
            [failure], lambda connection: _put(connection, FAILURES, row, replace=True)
        )

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
        added = 0
        with self._database.writing() as connection:
            records = other.iterate()
            while batch := [record_row(record) for record in islice(records, _BATCH)]:
                added += _put_records(connection, batch, replace=False)
            for failure in other.failures():
                _put(connection, FAILURES, side_row(failure), replace=False)
            for run in other.finished_runs():
                _put(connection, FINISHED, side_row(run), replace=False)
            _put_imported(connection, other.imported())
        return added

    def prune(self, keep: int) -> int:
        """See :meth:`vrmpy_tune.records.store.Store.prune`."""
        if keep < 1:
            raise UsageError("Pruning keeps at least 1 record of each workload, target and metric.")
        columns = RECORDS.c
        place = func.row_number().over(partition_by=GROUP, order_by=BEST_FIRST)
        ranked = select(columns.id, place.label("place")).subquery()
        beyond = select(ranked.c.id).where(ranked.c.place > keep)
        with self._database.writing() as connection:
            return connection.execute(delete(RECORDS).where(columns.id.in_(beyond))).rowcount

    def _keep(self, items: Sequence[Record | Failure], change: Callable[[Connection], T]) -> T:
        """Make a change that may be made twice; ``items`` are kept elsewhere if it cannot be."""

        def attempt() -> T:
            with self._database.writing() as connection:
                return change(connection)

        if self.patience is None:
            return attempt()
        try:
            return self.patience.keep_trying(attempt)
        except StoreUnreachableError:
            self.patience.keep(items)
            raise


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
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert
    else:
        from sqlalchemy.dialects.sqlite import insert  # type: ignore[assignment]
    statement = insert(table).values(**row).on_conflict_do_nothing()
    # Without the option, SQLAlchemy does not ask PostgreSQL's driver for the count of an insert.
    result = connection.execute(statement, execution_options={"preserve_rowcount": True})
    is_new = result.rowcount == 1
    if replace and not is_new:
        connection.execute(update(table).where(table.c.id == row["id"]).values(**row))
    return is_new
