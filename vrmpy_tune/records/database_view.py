"""Records as a MetaSchedule database, for ``MetaScheduleApplyDatabase`` and any TVM user.

The view knows the programs of :class:`search_spaces.space.Space`, on packed and on plain
weights, by TVM's structural equality, and answers a query with the best record's trace on
the very module that was asked for.  What was asked and missed is kept for the report.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import tvm_ffi
from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule as ms

from search_spaces import spaces_for
from vrmpy_tune.errors import StaleRecordError
from vrmpy_tune.measurement import METRICS, figure_text
from vrmpy_tune.records.same_toolchain import makes_same_code
from vrmpy_tune.replay import replay
from vrmpy_tune.toolchain.codegen import provenance

if TYPE_CHECKING:
    from collections.abc import Sequence

    import tvm

    from vrmpy_tune.records.record import Record
    from vrmpy_tune.records.store import RecordReader
    from vrmpy_tune.target import HexagonTarget

SECONDS_PER_PACKET = 1e-6
"""MetaSchedule's records hold seconds; any constant keeps the order of packets."""


@dataclass(frozen=True)
class Query:
    """One question to the view.

    Attributes
    ----------
    name:
        The function's name in the user's module.
    workload:
        The workload it was recognized as, or ``None``.
    record:
        Id of the record that was applied, or ``None``.
    reason:
        A sentence: why this one, or why none.
    """

    name: str
    workload: str | None
    record: str | None
    reason: str


@dataclass
class AppliedReport:
    """What a :class:`DatabaseView` was asked, in order.

    Attributes
    ----------
    queries:
        Every question and its answer.
    """

    queries: list[Query] = field(default_factory=list)

    @property
    def applied(self) -> list[Query]:
        """Questions that a record answered."""
        return [query for query in self.queries if query.record is not None]

    @property
    def missed(self) -> list[Query]:
        """Questions that no record answered."""
        return [query for query in self.queries if query.record is None]


@derived_object
class DatabaseView(ms.database.PyDatabase):  # type: ignore[misc]
    """A read-only MetaSchedule database over record stores.

    Parameters
    ----------
    records:
        Where to look.
    target:
        Only its records are seen: MetaSchedule's own lookups ignore the target.
    metrics:
        Metrics in order of preference.
    report:
        Gets every question and answer.
    """

    def __init__(
        self,
        records: RecordReader,
        target: HexagonTarget,
        metrics: Sequence[str] = METRICS,
        report: AppliedReport | None = None,
    ) -> None:
        super().__init__()
        self.records, self.target, self.metrics = records, target, tuple(metrics)
        self.toolchain = provenance()
        self.report = report if report is not None else AppliedReport()
        self.programs: dict[int, list[tuple[tvm.IRModule, str, str]]] = {}
        self._index()

    def _index(self) -> None:
        """Build the programs of all workloads that have records, packed and plain."""
        from vrmpy_tune.workload import parse_workload

        for text in self.records.workloads():
            workload = parse_workload(text)
            for space in spaces_for(workload, self.target):
                for module in (space.module(workload), space.plain_module(workload)):
                    known = self.programs.setdefault(tvm_ffi.structural_hash(module), [])
                    known.append((module, text, space.name))

    def _recognize(self, module: tvm.IRModule) -> tuple[str, str] | None:
        for known, workload, space in self.programs.get(tvm_ffi.structural_hash(module), []):
            if tvm_ffi.structural_equal(known, module):
                return workload, space
        return None

    def _best(self, module: tvm.IRModule) -> tuple[Record | None, str | None, str]:
        """Return the best record that replays on ``module``, its workload, and why."""
        recognized = self._recognize(module)
        if recognized is None:
            return None, None, "No workload with records is computed by this function."
        workload, space = recognized
        stale = 0
        for metric in self.metrics:
            found = self.records.query(workload, self.target.name, metric, space)
            # As in every lookup: first those of the toolchain at hand, best first.
            for record in sorted(found, key=self._is_foreign):
                try:
                    replay(module, record.trace)
                except StaleRecordError:
                    stale += 1
                    continue
                return record, workload, f"{figure_text(record.value, metric)} ({metric})."
        why = f"{stale} records no longer replay." if stale else "No record in this form."
        return None, workload, f"{why} Tune it: vrmpy-tune tune '{workload}'"

    def _is_foreign(self, record: Record) -> bool:
        return not makes_same_code(record.toolchain, self.toolchain)

    def has_workload(self, mod: tvm.IRModule) -> bool:
        """Whether the module is the program of a workload that has records."""
        return self._recognize(mod) is not None

    def commit_workload(self, mod: tvm.IRModule) -> Any:
        """Return the module as MetaSchedule's workload; nothing is stored."""
        return ms.database.Workload(mod)

    def commit_tuning_record(self, record: Any) -> None:
        """Refuse: records come from verified measurements only."""
        raise RuntimeError(
            "This view is read-only: a record needs a verified measurement. Use vrmpy-tune tune."
        )

    def get_top_k(self, workload: Any, top_k: int) -> list[Any]:
        """Return the best record of a workload, if there is one and ``top_k`` allows it."""
        record, _, _ = self._best(workload.mod)
        return [] if record is None or top_k < 1 else [self._convert(record, workload.mod)]

    def get_all_tuning_records(self) -> list[Any]:
        """Return the best record of each known program."""
        return [
            self._convert(record, module)
            for known in self.programs.values()
            for module, _, _ in known
            if (record := self._best(module)[0]) is not None
        ]

    def query_tuning_record(self, mod: tvm.IRModule, target: Any, workload_name: str) -> Any:
        """Answer ``MetaScheduleApplyDatabase``, and note what was asked."""
        record, workload, reason = self._best(mod)
        name = record.id if record else None
        self.report.queries.append(Query(str(workload_name), workload, name, reason))
        return None if record is None else self._convert(record, mod)

    def query_schedule(self, mod: tvm.IRModule, target: Any, workload_name: str) -> Any:
        """Return the best record's schedule of ``mod``."""
        record, _, _ = self._best(mod)
        return None if record is None else replay(mod, record.trace)

    def query_ir_module(self, mod: tvm.IRModule, target: Any, workload_name: str) -> Any:
        """Return ``mod`` scheduled by the best record."""
        schedule = self.query_schedule(mod, target, workload_name)
        return None if schedule is None else schedule.mod

    def __len__(self) -> int:
        """Return how many records the stores hold."""
        return self.records.count()

    def _convert(self, record: Record, module: tvm.IRModule) -> Any:
        return ms.database.TuningRecord(
            replay(module, record.trace).trace,
            ms.database.Workload(module),
            [record.value * SECONDS_PER_PACKET],
            self.target.tvm_target(),
            ms.arg_info.ArgInfo.from_entry_func(module, remove_preproc=False),
        )
