"""The answer to "which record applies?", and how it was found."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Final

from vrmpy_tune.measurement import figure_text

if TYPE_CHECKING:
    import tvm
    from tvm.s_tir import Schedule

    from search_spaces.space import Space
    from vrmpy_tune.records.record import Record
    from vrmpy_tune.records.safe_json import Json
    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.workload import Workload


class Status(StrEnum):
    """How the question ended."""

    APPLIED = "applied"
    OTHER_TOOLCHAIN = "applied (other toolchain)"
    BY_ANCHOR = "applied (by anchor)"
    """The record is of another fused variant of the workload."""
    STALE = "stale"
    """There are records, but the trace of none replays."""
    WORSE = "worse than the fixed rule"
    """There are records, but the critical path of each is longer than the fixed rule's."""
    MISSING = "missing"

    @property
    def is_hit(self) -> bool:
        """Whether there is a record to apply."""
        return self in (Status.APPLIED, Status.OTHER_TOOLCHAIN, Status.BY_ANCHOR)


class Verdict(StrEnum):
    """What became of a record, or of a rule, that was looked at."""

    TAKEN = "taken"
    NONE = "none"
    """The rule found no record."""
    STALE = "stale"
    """The trace does not replay on its program."""
    OTHER_TOOLCHAIN = "other toolchain"
    """Of another toolchain, which ``exact`` refuses."""
    OTHER_PROGRAM = "other program"
    """Of another form of the program than the one asked about."""
    OTHER_SPACE = "other space"
    """Of a search space that this workload does not have on this target."""
    WORSE = "worse than the fixed rule"
    """Its critical path is longer than the fixed rule's."""
    OBJECTION = "objection"
    """Something else speaks against it: the reason says what."""


_TOGETHER: Final = (Verdict.OTHER_TOOLCHAIN, Verdict.OTHER_PROGRAM, Verdict.OTHER_SPACE)


@dataclass(frozen=True)
class Step:
    """One record or rule that was looked at.

    Attributes
    ----------
    rule:
        By what it was found: a metric's name, ``"by anchor: "`` and a metric's name, or
        ``"fixed rule"``.
    verdict:
        Whether it was taken, or why not.
    reason:
        The same in words, without a full stop.
    record:
        The record, if it was one.
    count:
        How many records it stands for: of those that are passed over for one reason together,
        ``record`` is the first.
    """

    rule: str
    verdict: Verdict
    reason: str
    record: Record | None = None
    count: int = 1

    def __str__(self) -> str:
        if self.record is None:
            return f"{self.rule}: {self.reason}"
        if self.count > 1:
            return f"{self.rule}: {self.count} records of {self.record.workload}: {self.reason}"
        figure = figure_text(self.record.value, self.record.metric)
        what = f"record {self.record.short_id} of {self.record.workload}, {figure}"
        return f"{self.rule}: {what}: {self.reason}"

    def joins(self, last: Step) -> bool:
        """Whether the step before says the same of another record of the workload."""
        if self.record is None or last.record is None or self.verdict not in _TOGETHER:
            return False
        alike = (self.rule, self.verdict, self.reason, self.record.workload)
        return alike == (last.rule, last.verdict, last.reason, last.record.workload)

    def to_json(self) -> dict[str, Json]:
        """Return the entry of ``trail`` in ``explain --json``."""
        record = self.record
        return {
            "rule": self.rule,
            "verdict": str(self.verdict),
            "reason": self.reason,
            "record": record.id if record else None,
            "workload": record.workload if record else None,
            "value": record.value if record else None,
            "count": self.count,
        }


@dataclass(frozen=True)
class Applied:
    """A record's choices on the program of the workload that was asked about.

    Attributes
    ----------
    space, schedule:
        The workload's space, and its scheduled program.
    reason:
        A sentence: which record, and how its choices fit.
    """

    space: Space
    schedule: Schedule
    reason: str


@dataclass(frozen=True)
class Resolution:
    """The record that applies to a workload, or why there is none.

    Attributes
    ----------
    workload, target:
        What was asked about.
    record:
        The record, on a hit.
    status:
        How the question ended.
    reason:
        A sentence: which record was chosen or why none.
    trail:
        All that was looked at, in order.
    program:
        The very program that was asked about; ``None`` where any form of it will do.
    replayed:
        The record's choices, where it is the workload's own.
    """

    workload: Workload
    target: HexagonTarget
    record: Record | None
    status: Status
    reason: str
    trail: tuple[Step, ...]
    program: tvm.IRModule | None = field(default=None, repr=False)
    replayed: Applied | None = field(default=None, repr=False)

    @cached_property
    def applied(self) -> Applied | None:
        """The record's choices on the workload's program, ``None`` without a record.

        Where the record is another variant's they are looked for now, which takes seconds: who
        only wants to know which record applies need not wait.
        """
        if self.record is None or self.replayed is not None:
            return self.replayed
        from vrmpy_tune.compiler.anchor import transplant

        taken = transplant(self.workload, self.record, self.target, self.program)
        return Applied(taken.space, taken.schedule, f"{self.reason} {taken.fit}")

    @property
    def stale(self) -> tuple[Record, ...]:
        """Records that were passed over because their traces do not replay."""
        return tuple(
            step.record
            for step in self.trail
            if step.verdict is Verdict.STALE and step.record is not None
        )
