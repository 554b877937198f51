"""Records in memory: what files held, and what could be saved of a damaged database."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from vrmpy_tune.closing import ClosedOnExit
from vrmpy_tune.records.record_ids import check_id, only_one
from vrmpy_tune.records.same_toolchain import toolchain_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from vrmpy_tune.records.imported import ImportedTrace
    from vrmpy_tune.records.outcomes import Failure, FinishedRun
    from vrmpy_tune.records.record import Identity, Record


class MemoryReader(ClosedOnExit):
    """A :class:`vrmpy_tune.records.store.RecordReader` of objects in memory, see there.

    Parameters
    ----------
    location:
        Where they are from, for messages.
    records, failures, imported, finished:
        Of several with one id, the first is taken.
    """

    def __init__(
        self,
        location: str,
        records: Iterable[Record] = (),
        failures: Iterable[Failure] = (),
        imported: Iterable[ImportedTrace] = (),
        finished: Iterable[FinishedRun] = (),
    ) -> None:
        self._location = location
        self._by_id: dict[str, Record] = {}
        for record in records:
            self._by_id.setdefault(record.id, record)
        self._failures: dict[str, Failure] = {}
        for failure in failures:
            self._failures.setdefault(failure.id, failure)
        self._imported: dict[str, ImportedTrace] = {}
        for trace in imported:
            if trace.id not in self._by_id:
                self._imported.setdefault(trace.id, trace)
        self._finished: dict[str, FinishedRun] = {}
        for run in finished:
            self._finished.setdefault(run.key, run)
        self._ordered = sorted(self._by_id.values(), key=lambda record: record.sort_key)

    @property
    def location(self) -> str:
        """Where the objects are from."""
        return self._location

    def get(self, record_id: str) -> Record | None:
        """See :meth:`vrmpy_tune.records.store.RecordReader.get`."""
        check_id(record_id)
        whole = self._by_id.get(record_id)
        found = [r for r in self._ordered if r.id.startswith(record_id)] if whole is None else []
        return whole or only_one(found, record_id)

    def get_failure(self, failure_id: str) -> Failure | None:
        """See :meth:`vrmpy_tune.records.store.RecordReader.get_failure`."""
        return self._failures.get(failure_id)

    def find(self, identity: Identity) -> Record | Failure | None:
        """See :meth:`vrmpy_tune.records.store.RecordReader.find`."""
        return self._by_id.get(identity.id) or self._failures.get(identity.id)

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
        return list(islice(self.iterate(workload, target, metric, space), limit))

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
        found = (
            record
            for record in self._ordered
            if workload in (None, record.workload)
            and target in (None, record.target)
            and metric in (None, record.metric)
            and space in (None, record.space)
        )
        if toolchain is None:
            return found
        here = toolchain_key(toolchain)
        # Sorting keeps the order of equals.
        return iter(sorted(found, key=lambda one: toolchain_key(one.toolchain) != here))

    def best_of_each(
        self, workload: str | None = None, target: str | None = None, metric: str | None = None
    ) -> list[Record]:
        """See :meth:`vrmpy_tune.records.store.RecordReader.best_of_each`."""
        best: dict[tuple[str, str, str], Record] = {}
        for record in self.iterate(workload, target, metric):
            best.setdefault((record.workload, record.target, record.metric), record)
        return list(best.values())

    def failures(self, workload: str | None = None) -> list[Failure]:
        """See :meth:`vrmpy_tune.records.store.RecordReader.failures`."""
        found = (f for f in self._failures.values() if workload in (None, f.identity.workload))
        return sorted(found, key=lambda failure: failure.id)

    def imported(self, workload: str | None = None) -> list[ImportedTrace]:
        """See :meth:`vrmpy_tune.records.store.RecordReader.imported`."""
        found = (t for t in self._imported.values() if workload in (None, t.identity.workload))
        return sorted(found, key=lambda trace: trace.id)

    def workloads(self) -> list[str]:
        """See :meth:`vrmpy_tune.records.store.RecordReader.workloads`."""
        return sorted({record.workload for record in self._ordered})

    def ids(self) -> set[str]:
        """See :meth:`vrmpy_tune.records.store.RecordReader.ids`."""
        return set(self._by_id)

    def count(
        self, workload: str | None = None, target: str | None = None, metric: str | None = None
    ) -> int:
        """See :meth:`vrmpy_tune.records.store.RecordReader.count`."""
        return sum(1 for _ in self.iterate(workload, target, metric))

    def count_made_by(self, generator: str) -> int:
        """See :meth:`vrmpy_tune.records.store.RecordReader.count_made_by`."""
        return sum(record.generator == generator for record in self.iterate())

    def finished_run(self, key: str) -> FinishedRun | None:
        """See :meth:`vrmpy_tune.records.store.RecordReader.finished_run`."""
        return self._finished.get(key)

    def finished_runs(self) -> list[FinishedRun]:
        """See :meth:`vrmpy_tune.records.store.RecordReader.finished_runs`."""
        return sorted(self._finished.values(), key=lambda run: run.key)

    def close(self) -> None:
        """Do nothing: everything is in memory."""
