"""Records as a MetaSchedule database, for ``MetaScheduleApplyDatabase`` and any TVM user.

The view knows the programs of :class:`search_spaces.space.Space`, on packed and on plain
weights, by TVM's structural equality.  Which record applies to a workload is the resolver's to say
(:mod:`vrmpy_tune.records.resolver`), on the very module that was asked for.  What was asked and
missed is kept for the report.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule as ms

from vrmpy_tune.measurement import METRICS
from vrmpy_tune.records.recognition import Recognizer
from vrmpy_tune.records.resolver import Resolver

if TYPE_CHECKING:
    from collections.abc import Sequence

    import tvm

    from vrmpy_tune.records.resolution import Resolution, Step
    from vrmpy_tune.records.store import RecordReader
    from vrmpy_tune.target import HexagonTarget

SECONDS_PER_PACKET = 1e-6
"""MetaSchedule's records hold seconds; any constant keeps the order of packets."""

NO_WORKLOAD: Final = "No workload with records is computed by this function."


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
    trail:
        The records that were looked at, in order.
    """

    name: str
    workload: str | None
    record: str | None
    reason: str
    trail: tuple[Step, ...] = ()


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
    exact:
        Accept no record of another toolchain, nor of another variant.
    report:
        Gets every question and answer.
    """

    def __init__(
        self,
        records: RecordReader,
        target: HexagonTarget,
        metrics: Sequence[str] = METRICS,
        report: AppliedReport | None = None,
        *,
        exact: bool = False,
    ) -> None:
        super().__init__()
        self.records, self.target = records, target
        self.resolver = Resolver(records, target, metrics, exact=exact)
        self.report = report if report is not None else AppliedReport()
        self.programs = Recognizer(records.workloads(), target)

    def _resolution(self, module: tvm.IRModule) -> Resolution | None:
        """Return what applies to ``module``; ``None`` if it is no workload's program."""
        workload = self.programs.recognize(module)
        return None if workload is None else self.resolver.resolve(workload, module)

    def has_workload(self, mod: tvm.IRModule) -> bool:
        """Whether the module is the program of a workload that has records."""
        return self.programs.recognize(mod) is not None

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
        return self._tuning_records(workload.mod)[:top_k]

    def get_all_tuning_records(self) -> list[Any]:
        """Return the best record of each known program."""
        return [
            entry
            for known in self.programs.programs.values()
            for module, _ in known
            for entry in self._tuning_records(module)
        ]

    def query_tuning_record(self, mod: tvm.IRModule, target: Any, workload_name: str) -> Any:
        """Answer ``MetaScheduleApplyDatabase``, and note what was asked."""
        found = self._resolution(mod)
        if found is None:
            self.report.queries.append(Query(str(workload_name), None, None, NO_WORKLOAD))
            return None
        applied = found.applied
        query = Query(
            str(workload_name),
            str(found.workload),
            found.record.id if found.record else None,
            applied.reason if applied else found.reason,
            found.trail,
        )
        self.report.queries.append(query)
        return self._converted(found)

    def query_schedule(self, mod: tvm.IRModule, target: Any, workload_name: str) -> Any:
        """Return the best record's schedule of ``mod``."""
        found = self._resolution(mod)
        return found.applied.schedule if found is not None and found.applied is not None else None

    def query_ir_module(self, mod: tvm.IRModule, target: Any, workload_name: str) -> Any:
        """Return ``mod`` scheduled by the best record."""
        schedule = self.query_schedule(mod, target, workload_name)
        return None if schedule is None else schedule.mod

    def __len__(self) -> int:
        """Return how many records the stores hold."""
        return self.records.count()

    def _tuning_records(self, module: tvm.IRModule) -> list[Any]:
        """Return TVM's form of the record that applies to a program, if there is one."""
        found = self._resolution(module)
        return [] if found is None or found.record is None else [self._converted(found)]

    def _converted(self, found: Resolution) -> Any:
        if found.record is None or found.applied is None:
            return None
        return ms.database.TuningRecord(
            found.applied.schedule.trace,
            ms.database.Workload(found.program),
            [found.record.value * SECONDS_PER_PACKET],
            self.target.tvm_target(),
            ms.arg_info.ArgInfo.from_entry_func(found.program, remove_preproc=False),
        )
