"""Building, running and verifying one workload now, with the schedule of one system."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from search_spaces import spaces_for
from vrmpy_tune.bench.metaschedule import (
    CANDIDATES,
    DefaultResult,
    metaschedule_default,
    stored_key,
)
from vrmpy_tune.bench.row import FIXED, METASCHEDULE, TUNED, Row, measured, missing, of_default
from vrmpy_tune.bench.tvm_rules import why_not
from vrmpy_tune.compiler.choice import fixed_schedule
from vrmpy_tune.compiler.compile import untuned_counts
from vrmpy_tune.compiler.kernel import build_kernel, run_kernel
from vrmpy_tune.errors import VerificationError, VrmpyTuneError
from vrmpy_tune.measurement import METRICS, QEMU_CRITICAL, QEMU_PACKETS, is_time
from vrmpy_tune.records.outcomes import FinishedRun
from vrmpy_tune.records.resolution import Status
from vrmpy_tune.records.resolver import Resolver
from vrmpy_tune.verification import Verifier
from vrmpy_tune.workload import Conv2d, Dense

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tvm.s_tir import Schedule

    from search_spaces.space import Space
    from vrmpy_tune.device.protocol import Device
    from vrmpy_tune.measurement import Measurement
    from vrmpy_tune.records.store import RecordReader, Store
    from vrmpy_tune.suites import Member
    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.toolchain.pool import CodegenPool
    from vrmpy_tune.workload import Workload

NO_SPACE: Final = "No search space of this version covers this workload."

NOT_ASKED: Final = "Not measured: add --untuned."

PACKETS_ONLY: Final = "TVM's own rules are measured in packets only."

REASON: Final = 400
"""Characters of an error's message that a row keeps."""


@dataclass(frozen=True)
class Bench:
    """What measuring needs; used from several threads at once.

    Attributes
    ----------
    target, metric:
        What is measured.
    device, pool:
        Where kernels run and code is generated.
    records:
        Where records are looked up.
    exact:
        Accept no record of another toolchain, nor of another variant.
    kept:
        Store for what is expensive to find out; ``None`` to find out nothing of that kind.
    candidates:
        Of TVM's own rules, for a workload.
    """

    target: HexagonTarget
    metric: str
    device: Device
    pool: CodegenPool
    records: RecordReader
    exact: bool = False
    kept: Store | None = None
    candidates: int = CANDIDATES

    @cached_property
    def resolver(self) -> Resolver:
        """What decides which record applies: those of the metric first, then of the others."""
        metrics = (self.metric, *(name for name in METRICS if name != self.metric))
        return Resolver(self.records, self.target, metrics, exact=self.exact)

    def rows(self, member: Member, systems: Sequence[str]) -> list[Row]:
        """Measure a member with each system; what fails becomes a row that says why."""
        try:
            workload = member.workload()
        except VrmpyTuneError as error:
            return [missing(member, system, self.metric, one_line(error)) for system in systems]
        verifier = Verifier(workload)
        return [self._row(member, workload, verifier, system) for system in systems]

    def _row(self, member: Member, workload: Workload, verifier: Verifier, system: str) -> Row:
        try:
            return _MEASURES[system](self, member, workload, verifier)
        except VerificationError as error:
            row = missing(member, system, self.metric, one_line(error))
            return replace(row, verified=False)
        except VrmpyTuneError as error:
            return missing(member, system, self.metric, one_line(error))
        except Exception as error:  # one workload's defect must not lose the others' figures
            what = f"{type(error).__name__}: {one_line(error)}"
            return missing(member, system, self.metric, f"A defect of vrmpy-tune ({what}).")

    def tuned(self, member: Member, workload: Workload, verifier: Verifier) -> Row:
        """Apply the record of the metric that applies, or of another one where there is none."""
        with _TVM:
            found = self.resolver.resolve(workload)
            applied = found.applied
        if found.record is None or applied is None:
            return missing(member, TUNED, self.metric, found.reason)
        measurement = self._measure(workload, verifier, applied.space, applied.schedule)
        row = measured(
            member, workload, TUNED, measurement, self.target,
            space=applied.space.name, record=found.record.id,
            reason=None if found.status is Status.APPLIED else applied.reason,
        )  # fmt: skip
        row = self._beside_one_context(row)
        # The naive loops of a contraction take minutes; its peers and the fixed rule say more.
        if isinstance(workload, Dense | Conv2d) or is_time(self.metric):
            return row
        return self._beside_naive(row, workload)

    def _beside_naive(self, row: Row, workload: Workload) -> Row:
        """Add what the operator takes as TVM compiles it unscheduled."""
        try:
            untuned = untuned_counts(workload, self.target, self.pool, self.device)
        except VrmpyTuneError as error:
            more: dict[str, Any] = {"naive_packets": None, "naive_reason": one_line(error)}
        else:
            packets = untuned.value(self.metric)
            more = {"naive_packets": packets, "ratio_to_naive": packets / (row.value or packets)}
        return replace(row, more={**row.more, **more})

    def _beside_one_context(self, row: Row) -> Row:
        """Add what the best record for one context takes, where all contexts were tuned for."""
        if self.metric != QEMU_CRITICAL or not row.packets_total:
            return row
        best = self.records.best(row.workload, self.target.name, QEMU_PACKETS)
        if best is None:
            return row
        packets = best.counts.packets_total
        more = {"one_context_packets": packets, "ratio_to_one_context": packets / row.packets_total}
        return replace(row, more={**row.more, **more})

    def fixed(self, member: Member, workload: Workload, verifier: Verifier) -> Row:
        """Take what an unknown workload is compiled with."""
        if not spaces_for(workload, self.target):
            return missing(member, FIXED, self.metric, NO_SPACE)
        with _TVM:
            space, schedule = fixed_schedule(workload, self.target)
        measurement = self._measure(workload, verifier, space, schedule)
        return measured(
            member, workload, FIXED, measurement, self.target,
            space=space.name, reason="A fixed rule, without any search: no record, no time.",
        )  # fmt: skip

    def metaschedule(self, member: Member, workload: Workload, verifier: Verifier) -> Row:
        """Take the best of a few candidates of TVM's own rules, as found out now or before."""
        reason = PACKETS_ONLY if is_time(self.metric) else why_not(workload)
        if reason is not None:
            return missing(member, METASCHEDULE, self.metric, reason)
        known = self._known(workload)
        if known is not None:
            return of_default(member, workload, self.metric, self.target, known, cached=True)
        if self.kept is None:
            return missing(member, METASCHEDULE, self.metric, NOT_ASKED)
        found = metaschedule_default(
            workload,
            self.target,
            pool=self.pool,
            device=self.device,
            verifier=verifier,
            metric=self.metric,
            tvm_lock=_TVM,
            candidates=self.candidates,
        )
        key = stored_key(workload, self.target, self.metric, self.candidates, self.device)
        self.kept.finish_run(FinishedRun(key, None, found.as_json()))
        return of_default(member, workload, self.metric, self.target, found, cached=False)

    def _known(self, workload: Workload) -> DefaultResult | None:
        key = stored_key(workload, self.target, self.metric, self.candidates, self.device)
        for store in (self.kept, self.records):
            run = store.finished_run(key) if store is not None else None
            if run is not None:
                return DefaultResult.from_json(run.summary)
        return None

    def _measure(
        self, workload: Workload, verifier: Verifier, space: Space, schedule: Schedule
    ) -> Measurement:
        kernel = build_kernel(
            schedule.mod, space.inputs(workload), space.output(workload), self.target, self.pool
        )
        return run_kernel(
            kernel,
            verifier.arguments(space),
            verifier,
            self.device,
            self.target,
            metric=self.metric,
        )


def one_line(error: Exception) -> str:
    """Return an error's message on one line, cut to what a table can bear."""
    return " ".join(str(error).split())[:REASON]


_TVM = threading.Lock()
"""Schedules are made one at a time: they share nodes, and Python's lock lets no more run anyway."""

_MEASURES: dict[str, Callable[[Bench, Member, Workload, Verifier], Row]] = {
    TUNED: Bench.tuned,
    FIXED: Bench.fixed,
    METASCHEDULE: Bench.metaschedule,
}
