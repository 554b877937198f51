"""Several stores, read as one."""

from __future__ import annotations

import heapq
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from vrmpy_tune.records.record_ids import check_id, only_one
from vrmpy_tune.records.same_toolchain import toolchain_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from vrmpy_tune.records.imported import ImportedTrace
    from vrmpy_tune.records.outcomes import Failure, FinishedRun
    from vrmpy_tune.records.record import Identity, Record, SortKey
    from vrmpy_tune.records.store import RecordReader


T = TypeVar("T")


class StoreView:
    """A :class:`vrmpy_tune.records.store.RecordReader` of several stores, see there.

    The best record of all stores wins.  Where two hold the same identity, the earlier store's
    record is the one that is seen.

    Parameters
    ----------
    stores:
        In order of precedence; closing the view closes them.
    """

    def __init__(self, stores: Sequence[RecordReader]) -> None:
        self._stores = tuple(stores)

    @property
    def location(self) -> str:
        """The stores' locations, in order."""
        return ", ".join(store.location for store in self._stores)

    def get(self, record_id: str) -> Record | None:
        """See :meth:`vrmpy_tune.records.store.RecordReader.get`."""
        check_id(record_id)
        found = (store.get(record_id) for store in self._stores)
        distinct = _first_of_each((r for r in found if r is not None), lambda record: record.id)
        return only_one(distinct, record_id)

    def get_failure(self, failure_id: str) -> Failure | None:
        """See :meth:`vrmpy_tune.records.store.RecordReader.get_failure`."""
        found = (store.get_failure(failure_id) for store in self._stores)
        return next((failure for failure in found if failure is not None), None)

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
        if len(self._stores) == 1:
            return self._stores[0].query(workload, target, metric, space, limit)
        if limit is not None:
            return list(islice(self.iterate(workload, target, metric, space), limit))
        found = (
            record
            for store in self._stores
            for record in store.iterate(workload, target, metric, space)
        )
        distinct = _first_of_each(found, lambda record: record.id)
        return sorted(distinct, key=lambda record: record.sort_key)

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
        here = None if toolchain is None else toolchain_key(toolchain)

        def place(record: Record) -> tuple[bool, SortKey]:
            elsewhere = here is not None and toolchain_key(record.toolchain) != here
            return elsewhere, record.sort_key

        found = (
            self._seen_of(
                number, store.iterate(workload, target, metric, space, toolchain=toolchain)
            )
            for number, store in enumerate(self._stores)
        )
        return heapq.merge(*found, key=place)

    def _seen_of(self, number: int, records: Iterable[Record]) -> Iterator[Record]:
        """Leave out what an earlier store has another record of."""
        earlier = self._stores[:number]
        for record in records:
            if not any(store.get(record.id) for store in earlier):
                yield record

    def best_of_each(
        self, workload: str | None = None, target: str | None = None, metric: str | None = None
    ) -> list[Record]:
        """See :meth:`vrmpy_tune.records.store.RecordReader.best_of_each`."""
        if len(self._stores) == 1:
            return self._stores[0].best_of_each(workload, target, metric)
        groups = {
            (best.workload, best.target, best.metric)
            for store in self._stores
            for best in store.best_of_each(workload, target, metric)
        }
        found = (next(self.iterate(*group), None) for group in sorted(groups))
        return [record for record in found if record is not None]

    def failures(self, workload: str | None = None) -> list[Failure]:
        """See :meth:`vrmpy_tune.records.store.RecordReader.failures`."""
        found = (failure for store in self._stores for failure in store.failures(workload))
        return sorted(_first_of_each(found, lambda f: f.id), key=lambda failure: failure.id)

    def imported(self, workload: str | None = None) -> list[ImportedTrace]:
        """See :meth:`vrmpy_tune.records.store.RecordReader.imported`."""
        found = (trace for store in self._stores for trace in store.imported(workload))
        return sorted(_first_of_each(found, lambda t: t.id), key=lambda trace: trace.id)

    def workloads(self) -> list[str]:
        """See :meth:`vrmpy_tune.records.store.RecordReader.workloads`."""
        return sorted({workload for store in self._stores for workload in store.workloads()})

    def ids(self) -> set[str]:
        """See :meth:`vrmpy_tune.records.store.RecordReader.ids`."""
        return set().union(*(store.ids() for store in self._stores))

    def count(
        self, workload: str | None = None, target: str | None = None, metric: str | None = None
    ) -> int:
        """See :meth:`vrmpy_tune.records.store.RecordReader.count`."""
        if len(self._stores) == 1:
            return self._stores[0].count(workload, target, metric)
        if workload is None and target is None and metric is None:
            return len(self.ids())
        return sum(1 for _ in self.iterate(workload, target, metric))

    def count_made_by(self, generator: str) -> int:
        """See :meth:`vrmpy_tune.records.store.RecordReader.count_made_by`."""
        if len(self._stores) == 1:
            return self._stores[0].count_made_by(generator)
        return sum(record.generator == generator for record in self.iterate())

    def finished_run(self, key: str) -> FinishedRun | None:
        """See :meth:`vrmpy_tune.records.store.RecordReader.finished_run`."""
        found = (store.finished_run(key) for store in self._stores)
        return next((run for run in found if run is not None), None)

    def finished_runs(self) -> list[FinishedRun]:
        """See :meth:`vrmpy_tune.records.store.RecordReader.finished_runs`."""
        found = (run for store in self._stores for run in store.finished_runs())
        return sorted(_first_of_each(found, lambda run: run.key), key=lambda run: run.key)

    def close(self) -> None:
        """Close every store."""
        for store in self._stores:
            store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _first_of_each(items: Iterable[T], key: Callable[[T], str]) -> list[T]:
    distinct: dict[str, T] = {}
    for item in items:
        distinct.setdefault(key(item), item)
    return list(distinct.values())
