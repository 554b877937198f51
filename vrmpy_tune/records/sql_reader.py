"""The reading half of the record store in a database.

Rows are found by an index that holds all that orders them, and read a few at a time, as far as
they are asked for.  A damaged row is skipped and named; where SQLite itself cannot go on, what is
left is read from the file without it (:mod:`vrmpy_tune.records.salvage`).
"""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from sqlalchemy import Select, Table, case, func, select

from vrmpy_tune.closing import ClosedOnExit
from vrmpy_tune.errors import RecordFormatError, StoreError
from vrmpy_tune.records.damage import Damage
from vrmpy_tune.records.fields import SHA256, WORKLOAD
from vrmpy_tune.records.record_ids import check_id, only_one
from vrmpy_tune.records.salvage import salvage
from vrmpy_tune.records.same_toolchain import toolchain_key
from vrmpy_tune.records.sql_engine import Database, check_length
from vrmpy_tune.records.sql_errors import DamagedStoreError
from vrmpy_tune.records.sql_rows import read_failure, read_finished, read_imported, read_record
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
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection

    from vrmpy_tune.records.imported import ImportedTrace
    from vrmpy_tune.records.memory_reader import MemoryReader
    from vrmpy_tune.records.outcomes import Failure, FinishedRun
    from vrmpy_tune.records.patience import Patience
    from vrmpy_tune.records.record import Identity, Record

_FIRST_ROWS: Final = 4
_MOST_ROWS: Final = 512
"""Rows that are read at once: few at first, for most questions are for the best."""

_FIRST_ENTRIES: Final = 256
"""Entries of the index that are read at once; all others only for those who want more."""

_AFTER_ANY_ID: Final = "g"
"""Sorts behind the digits of ids."""

T = TypeVar("T")

_Entry: TypeAlias = tuple[str, int, int]
"""What the index says of a record: id, figure, and packets in all."""


class SqlReader(ClosedOnExit):
    """A :class:`vrmpy_tune.records.store.RecordReader` of a database, see there for the methods.

    Parameters
    ----------
    url:
        SQLAlchemy URL: ``sqlite:///path`` or ``postgresql+psycopg://user@host/database``.
    readonly:
        Never write; the store must exist.

    Attributes
    ----------
    damage:
        The rows that were skipped so far.
    patience:
        How a server that is away is waited for; ``None`` if it is not.

    Raises
    ------
    StoreError
        If the store cannot be opened: not a database, damaged, no permission, locked.
    RecordFormatError
        If a newer version of this project wrote it.
    """

    def __init__(self, url: str, *, readonly: bool) -> None:
        self._database = Database(url, readonly=readonly)
        self.damage = Damage(self.location)
        self.patience: Patience | None = None
        self._salvaged: MemoryReader | None = None
        try:
            if readonly:
                self._ask(self._check_version, lambda _: None)
        except BaseException:
            self.close()
            raise

    def _check_version(self) -> None:
        if self._database.path is not None:
            check_length(self._database.path)
        version = self._read(lambda connection: stored_version(connection, self.location))
        if version != STORE_SCHEMA:
            raise StoreError(
                f"The record store {self.location} "
                + ("is empty." if version is None else f"has the old schema {version}.")
                + " Bring it up to date: vrmpy-tune records upgrade --records "
                + self.location
            )

    @property
    def location(self) -> str:
        """Path of the file, or URL of the server without its password."""
        return self._database.location

    def get(self, record_id: str) -> Record | None:
        """See :meth:`vrmpy_tune.records.store.RecordReader.get`."""
        check_id(record_id)
        column = RECORDS.c.id
        starts = (column >= record_id) & (column < record_id + _AFTER_ANY_ID)
        statement = select(RECORDS).where(column == record_id if len(record_id) == 64 else starts)
        return self._ask(
            lambda: only_one(self._rows(statement.limit(2), read_record), record_id),
            lambda saved: saved.get(record_id),
        )

    def get_failure(self, failure_id: str) -> Failure | None:
        """See :meth:`vrmpy_tune.records.store.RecordReader.get_failure`."""
        found = self._ask(
            lambda: self._side(FAILURES, read_failure, key=failure_id),
            lambda saved: [one for one in (saved.get_failure(failure_id),) if one],
        )
        return found[0] if found else None

    def find(self, identity: Identity) -> Record | Failure | None:
        """See :meth:`vrmpy_tune.records.store.RecordReader.find`."""
        return self.get(identity.id) or self.get_failure(identity.id)

    def best(self, workload: str, target: str, metric: str) -> Record | None:
        """See :meth:`vrmpy_tune.records.store.RecordReader.best`."""
        return next(self.iterate(workload, target, metric), None)

    def query(
        self,
        workload: str | None = None,
        target: str | None = None,
        metric: str | None = None,
        space: str | None = None,
        limit: int | None = None,
    ) -> list[Record]:
        """See :meth:`vrmpy_tune.records.store.RecordReader.query`."""
        found = islice(self.iterate(workload, target, metric, space), limit)
        # They are in order already, unless the file had to be read around its damage.
        return sorted(found, key=lambda record: record.sort_key)

    def iterate(
        self,
        workload: str | None = None,
        target: str | None = None,
        metric: str | None = None,
        space: str | None = None,
        *,
        toolchain: Mapping[str, str] | None = None,
    ) -> Iterator[Record]:
        """See :meth:`vrmpy_tune.records.store.RecordReader.iterate`."""
        seen: set[str] = set()
        try:
            if self._salvaged is None:
                for record in self._ranked(workload, target, metric, space, toolchain):
                    seen.add(record.id)
                    yield record
                return
        except DamagedStoreError as error:
            self._salvage(error)
        if self._salvaged is not None:
            left = self._salvaged.iterate(workload, target, metric, space, toolchain=toolchain)
            yield from (record for record in left if record.id not in seen)

    def best_of_each(
        self, workload: str | None = None, target: str | None = None, metric: str | None = None
    ) -> list[Record]:
        """See :meth:`vrmpy_tune.records.store.RecordReader.best_of_each`."""
        return self._ask(
            lambda: self._best_of_each(workload, target, metric),
            lambda saved: saved.best_of_each(workload, target, metric),
        )

    def failures(self, workload: str | None = None) -> list[Failure]:
        """See :meth:`vrmpy_tune.records.store.RecordReader.failures`."""
        return self._ask(
            lambda: self._side(FAILURES, read_failure, workload=workload),
            lambda saved: saved.failures(workload),
        )

    def imported(self, workload: str | None = None) -> list[ImportedTrace]:
        """See :meth:`vrmpy_tune.records.store.RecordReader.imported`."""
        return self._ask(
            lambda: self._side(IMPORTED, read_imported, workload=workload),
            lambda saved: saved.imported(workload),
        )

    def workloads(self) -> list[str]:
        """See :meth:`vrmpy_tune.records.store.RecordReader.workloads`."""
        column = RECORDS.c.workload
        found = self._ask(
            lambda: self._column(select(column).distinct().order_by(column)),
            lambda saved: saved.workloads(),
        )
        # Damaged columns may hold anything.
        return [text for text in found if WORKLOAD.fullmatch(text)]

    def ids(self) -> set[str]:
        """See :meth:`vrmpy_tune.records.store.RecordReader.ids`."""
        return self._ask(lambda: set(self._column(select(RECORDS.c.id))), lambda saved: saved.ids())

    def count(
        self, workload: str | None = None, target: str | None = None, metric: str | None = None
    ) -> int:
        """See :meth:`vrmpy_tune.records.store.RecordReader.count`."""
        matching = _matching(workload, target, metric)
        statement = select(func.count()).select_from(RECORDS).where(*matching)
        return self._ask(
            lambda: self._scalar(statement),
            lambda saved: saved.count(workload, target, metric),
        )

    def count_made_by(self, generator: str) -> int:
        """See :meth:`vrmpy_tune.records.store.RecordReader.count_made_by`."""
        # Quotation marks inside a text are escaped in JSON, so that nothing else reads like this.
        named = RECORDS.c.body.contains(f'"generator":{json.dumps(generator)}', autoescape=True)
        statement = select(func.count()).select_from(RECORDS).where(named)
        return self._ask(
            lambda: self._scalar(statement), lambda saved: saved.count_made_by(generator)
        )

    def finished_run(self, key: str) -> FinishedRun | None:
        """See :meth:`vrmpy_tune.records.store.RecordReader.finished_run`."""
        found = self._ask(
            lambda: self._side(FINISHED, read_finished, key=key),
            lambda saved: [one for one in (saved.finished_run(key),) if one],
        )
        return found[0] if found else None

    def finished_runs(self) -> list[FinishedRun]:
        """See :meth:`vrmpy_tune.records.store.RecordReader.finished_runs`."""
        return self._ask(
            lambda: self._side(FINISHED, read_finished), lambda saved: saved.finished_runs()
        )

    def close(self) -> None:
        """See :meth:`vrmpy_tune.records.store.RecordReader.close`."""
        self._database.close()

    def _ask(self, by_sql: Callable[[], T], of_saved: Callable[[MemoryReader], T]) -> T:
        """Ask the database, or what was saved of it once it cannot answer."""
        try:
            if self._salvaged is None:
                return by_sql()
        except DamagedStoreError as error:
            self._salvage(error)
        assert self._salvaged is not None
        return of_saved(self._salvaged)

    def _salvage(self, error: DamagedStoreError) -> None:
        """Read the file without SQLite; raise ``error`` again if that yields nothing."""
        path = self._database.path
        with suppress(OSError):
            self._salvaged = None if path is None else salvage(path, self.damage)
        if self._salvaged is None:
            raise error

    def _best_of_each(
        self, workload: str | None, target: str | None, metric: str | None
    ) -> list[Record]:
        place = func.row_number().over(partition_by=GROUP, order_by=BEST_FIRST)
        ranked = select(*GROUP, *BEST_FIRST, place.label("place"))
        first = ranked.where(*_matching(workload, target, metric)).subquery()
        columns = first.c
        statement = (
            select(
                columns.id, columns.value, columns.packets_total, *(columns[c.name] for c in GROUP)
            )
            .where(columns.place == 1)
            .order_by(*(columns[c.name] for c in GROUP))
        )
        found = self._read(lambda connection: [tuple(row) for row in connection.execute(statement)])
        entries = [row[:3] for row in found]
        records = {record.id: record for record in self._of(entries)}
        best = []
        for row_id, _, _, *group in found:
            # The best row may be damaged, and was skipped.
            record = records.get(row_id) or next(self._ranked(*group), None)
            if record is not None:
                best.append(record)
        return best

    def _ranked(
        self,
        workload: str | None = None,
        target: str | None = None,
        metric: str | None = None,
        space: str | None = None,
        toolchain: Mapping[str, str] | None = None,
    ) -> Iterator[Record]:
        columns = RECORDS.c
        statement = select(columns.id, columns.value, columns.packets_total)
        statement = statement.where(*_matching(workload, target, metric, space))
        here = "" if toolchain is None else toolchain_key(toolchain)
        first = [case((columns.toolchain == here, 0), else_=1)] if here else []
        ordered = statement.order_by(*first, *GROUP, *BEST_FIRST)
        # Most callers take a few: entries of all rows are read for those who go on.
        entries = self._entries(ordered.limit(_FIRST_ENTRIES))
        yield from self._of(entries)
        if len(entries) == _FIRST_ENTRIES:
            seen = {entry[0] for entry in entries}
            yield from self._of([one for one in self._entries(ordered) if one[0] not in seen])

    def _entries(self, statement: Select[_Entry]) -> list[_Entry]:
        return self._read(
            lambda connection: [
                (one.id, one.value, one.packets_total) for one in connection.execute(statement)
            ]
        )

    def _of(self, entries: Sequence[_Entry]) -> Iterator[Record]:
        """Yield the records that entries of the index stand for, a few more at each time."""
        start, number = 0, _FIRST_ROWS
        while start < len(entries):
            chunk = entries[start : start + number]
            chosen = select(RECORDS).where(RECORDS.c.id.in_([entry[0] for entry in chunk]))
            records = {record.id: record for record in self._rows(chosen, read_record)}
            for row_id, value, packets in chunk:
                record = records.get(row_id)
                if record is None:
                    if not SHA256.fullmatch(row_id):
                        self.damage.note(row_id, "Its id is damaged.")
                elif (record.value, record.counts.packets_total) != (value, packets):
                    # Replaced since the entry was read, or the index lies about the order.
                    self._database.check_integrity()
                if record is not None:
                    yield record
            self.damage.tell()
            start, number = start + number, min(4 * number, _MOST_ROWS)

    def _side(
        self,
        table: Table,
        read: Callable[[Mapping[str, str | int]], T],
        *,
        key: str | None = None,
        workload: str | None = None,
    ) -> list[T]:
        statement = select(table).order_by(table.c.id)
        if key is not None:
            statement = statement.where(table.c.id == key)
        if workload is not None:
            statement = statement.where(table.c.workload == workload)
        return self._rows(statement, read)

    def _rows(
        self,
        statement: Select[tuple[object, ...]],
        read: Callable[[Mapping[str, str | int]], T],
    ) -> list[T]:
        """Read rows; a damaged one is noted and skipped, so that it costs no other."""
        rows = self._read(lambda connection: connection.execute(statement).mappings().all())
        found = []
        for row in rows:
            try:
                found.append(read(dict(row)))
            except RecordFormatError as error:
                self.damage.note(row["id"], str(error))
        self.damage.tell()
        return found

    def _scalar(self, statement: Select[int]) -> int:
        return self._read(lambda connection: connection.scalar(statement)) or 0

    def _column(self, statement: Select[tuple[T]]) -> list[T]:
        return self._read(lambda connection: list(connection.scalars(statement)))

    def _read(self, ask: Callable[[Connection], T]) -> T:
        """Ask one question, again and again if there is patience for a server that is away."""

        def attempt() -> T:
            with self._database.reading() as connection:
                return ask(connection)

        return attempt() if self.patience is None else self.patience.keep_trying(attempt)


def _matching(
    workload: str | None, target: str | None, metric: str | None, space: str | None = None
) -> list[ColumnElement[bool]]:
    wanted = {"workload": workload, "target": target, "metric": metric, "space": space}
    return [RECORDS.c[name] == value for name, value in wanted.items() if value is not None]
