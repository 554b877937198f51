"""Several stores, read as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from vrmpy_tune.records.record_ids import check_id, only_one

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType
    from typing import Self

    from vrmpy_tune.records.imported import ImportedTrace
    from vrmpy_tune.records.outcomes import Failure, FinishedRun
    from vrmpy_tune.records.record import Identity, Record
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
        found = (store.best(workload, target, metric) for store in self._stores)
        # min keeps the first of equals, which is the earlier store's.
        return min((r for r in found if r is not None), key=lambda r: r.sort_key, default=None)

    def query(
        self,
        workload: str | None = None,
        target: str | None = None,
        metric: str | None = None,
        space: str | None = None,
        limit: int | None = None,
    ) -> list[Record]:
        """See :meth:`vrmpy_tune.records.store.RecordReader.query`."""
        found = (
            record
            for store in self._stores
            for record in store.query(workload, target, metric, space)
        )
        distinct = _first_of_each(found, lambda record: record.id)
        return sorted(distinct, key=lambda record: record.sort_key)[:limit]

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

    def count(self) -> int:
        """See :meth:`vrmpy_tune.records.store.RecordReader.count`."""
        if len(self._stores) == 1:
            return self._stores[0].count()
        return len({record.id for store in self._stores for record in store.query()})

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
