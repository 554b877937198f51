"""What a record store does, whatever it is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import TracebackType
    from typing import Self

    from vrmpy_tune.records.imported import ImportedTrace
    from vrmpy_tune.records.outcomes import Failure, FinishedRun
    from vrmpy_tune.records.record import Identity, Record


@runtime_checkable
class RecordReader(Protocol):
    """The reading half of a store.

    Every method raises :class:`vrmpy_tune.errors.StoreError` when the store cannot be read.
    Listings are ordered by workload, target and metric, then best first: by figure, then by packets
    in all, then by id (:attr:`vrmpy_tune.records.record.Record.sort_key`).
    """

    @property
    def location(self) -> str:
        """Where the store is, for messages."""

    def get(self, record_id: str) -> Record | None:
        """Return the record with this id, or whose id alone starts so (at least 6 digits).

        Raises
        ------
        UsageError
            If the text is no id, or several ids start so.
        """

    def get_failure(self, failure_id: str) -> Failure | None:
        """Return the failure with this full id."""

    def find(self, identity: Identity) -> Record | Failure | None:
        """Return what is known about one candidate; a record if there is one, else a failure."""

    def best(self, workload: str, target: str, metric: str) -> Record | None:
        """Return the record that is first in the order of listings, if there is one."""

    def query(
        self,
        workload: str | None = None,
        target: str | None = None,
        metric: str | None = None,
        space: str | None = None,
        limit: int | None = None,
    ) -> list[Record]:
        """Return the records that match all that is given, at most ``limit`` of them."""

    def iterate(
        self,
        workload: str | None = None,
        target: str | None = None,
        metric: str | None = None,
        space: str | None = None,
        *,
        toolchain: Mapping[str, str] | None = None,
    ) -> Iterator[Record]:
        """Yield the records that match all that is given; each is read when it is asked for.

        With a ``toolchain``, first those of toolchains that make the same code
        (:mod:`vrmpy_tune.records.same_toolchain`), and then the others, both in the order of
        listings.
        """

    def best_of_each(
        self, workload: str | None = None, target: str | None = None, metric: str | None = None
    ) -> list[Record]:
        """Return the best record of each workload, target and metric, of those that match."""

    def failures(self, workload: str | None = None) -> list[Failure]:
        """Return the remembered failures, by id."""

    def imported(self, workload: str | None = None) -> list[ImportedTrace]:
        """Return the imported traces that nobody measured yet, by id."""

    def workloads(self) -> list[str]:
        """Return the canonical texts of all workloads that have records, sorted."""

    def ids(self) -> set[str]:
        """Return the ids of all records."""

    def count(
        self, workload: str | None = None, target: str | None = None, metric: str | None = None
    ) -> int:
        """Return how many records there are, of those that match; damaged ones count."""

    def count_made_by(self, generator: str) -> int:
        """Return how many records name this code generator; damaged ones may count."""

    def finished_run(self, key: str) -> FinishedRun | None:
        """Return the finished run with this key."""

    def finished_runs(self) -> list[FinishedRun]:
        """Return all finished runs, by key."""

    def close(self) -> None:
        """Let go of files and connections; closing twice is fine."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


@runtime_checkable
class Store(RecordReader, Protocol):
    """A store that can be written; threads and processes may share one.

    When a writing method returns, what it wrote survives the death of the process.  Every writing
    method raises :class:`vrmpy_tune.errors.StoreError` when it cannot write, and then has written
    nothing.
    """

    def add(self, record: Record) -> bool:
        """Store a record; return whether its identity is new.

        A record of the same identity is replaced: the new one was measured later.  An imported
        trace of the same identity is settled, and removed.
        """

    def add_many(self, records: Iterable[Record], *, replace: bool = True) -> int:
        """Store records, all or none; return how many have new identities.

        With ``replace=False``, records already there stay as they are.
        """

    def add_failure(self, failure: Failure) -> bool:
        """Remember a failure; return whether its identity is new."""

    def add_imported(self, traces: Iterable[ImportedTrace]) -> int:
        """Keep traces for measuring; return how many are new and not yet measured."""

    def finish_run(self, run: FinishedRun) -> None:
        """Remember a finished run, in place of an earlier one with the same key."""

    def merge_from(self, other: RecordReader) -> int:
        """Copy all that ``other`` has and this store lacks; return how many records that were.

        Identity is content, so nothing can conflict: what is here already stays.
        """

    def prune(self, keep: int) -> int:
        """Remove all but the ``keep`` best per workload, target and metric; return how many.

        Raises
        ------
        UsageError
            If ``keep`` is less than 1.
        """
