"""Which record applies to a workload: the one order for all who ask.

The order is:

1. the workload's own records, metric by metric, as in :data:`vrmpy_tune.measurement.METRICS`, for
   figures of different metrics cannot be compared; within a metric, first those of the toolchain at
   hand, best first, then those of other toolchains, best first;
2. by anchor: the records of other fused variants of the workload, metric by metric, and within a
   metric variant by variant, the likest first (:mod:`vrmpy_tune.compiler.anchor`); within a
   variant as above;
3. no record: compilation takes the fixed rule (:func:`vrmpy_tune.compiler.choice.fixed_schedule`).

The first record is taken that nothing speaks against: :meth:`Resolver.objection`, and a trace that
does not replay.  Traces are replayed one by one, until one is taken.  With ``exact`` only the
workload's own records of the toolchain at hand count, so neither those of another toolchain nor of
another variant.

Where the critical path comes first among several metrics, as by default, a record whose critical
path is longer than the fixed rule's is passed over.  Whoever asks for its metric alone gets it, and
is told.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from search_spaces import find_space
from vrmpy_tune.compiler.anchor import anchor_of, likest_first
from vrmpy_tune.errors import StaleRecordError, WorkloadError
from vrmpy_tune.measurement import METRICS, QEMU_CRITICAL, figure_text
from vrmpy_tune.records.fixed_rule import is_unknown, worse_than_fixed_rule
from vrmpy_tune.records.resolution import Applied, Resolution, Status, Step, Verdict
from vrmpy_tune.records.same_toolchain import differences, makes_same_code
from vrmpy_tune.workload import parse_workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import tvm
    from tvm.s_tir import Schedule

    from search_spaces.space import Space
    from vrmpy_tune.records.record import Record
    from vrmpy_tune.records.store import RecordReader
    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.workload import Workload

Replay: TypeAlias = "Callable[[tvm.IRModule, str], Schedule]"
"""Applies a trace to a program, as :func:`vrmpy_tune.replay.replay` does."""

Passed: TypeAlias = tuple[Verdict, str]
"""Why a record is passed over, also in words."""

FIXED_RULE = "fixed rule"


class Resolver:
    """Finds the record that applies to a workload.

    Parameters
    ----------
    records:
        Where to look.
    target:
        What to compile for; only its records count.
    metrics:
        The metrics that count, in order of preference.
    exact:
        Accept no record of another toolchain, nor of another variant.
    toolchain:
        Versions by name of the toolchain at hand; by default, those installed.
    replay:
        How a trace is applied to a program; by default :func:`vrmpy_tune.replay.replay_record`,
        which survives whatever the trace holds.
    """

    def __init__(
        self,
        records: RecordReader,
        target: HexagonTarget,
        metrics: Sequence[str] = METRICS,
        *,
        exact: bool = False,
        toolchain: Mapping[str, str] | None = None,
        replay: Replay | None = None,
    ) -> None:
        self.records, self.target, self.metrics = records, target, tuple(metrics)
        self.exact = exact
        self._toolchain = toolchain
        self._replay = replay

    def resolve(self, workload: Workload, program: tvm.IRModule | None = None) -> Resolution:
        """Return the record that applies to a workload, or why there is none.

        Parameters
        ----------
        program:
            The workload's program in one of its forms
            (:meth:`~search_spaces.space.Space.module`, ``plain_module``), on which the record has
            to replay: records of spaces with another form of it are passed over.

        Raises
        ------
        StoreError
            If a store cannot be read.
        ToolchainError
            If TVM is missing, and there is a trace to replay.
        """
        return _Search(self, workload, program).resolution()

    def ranked(self, workload: str, metric: str) -> Iterator[Record]:
        """Yield a workload's records of a metric in the order in which they are looked at.

        Raises
        ------
        StoreError
            If a store cannot be read.
        """
        return self.records.iterate(workload, self.target.name, metric, toolchain=self.toolchain)

    def is_foreign(self, record: Record) -> bool:
        """Whether another toolchain than the one at hand made a record."""
        return not makes_same_code(record.toolchain, self.toolchain)

    def objection(self, record: Record, workload: Workload) -> Passed | None:
        """Return what speaks against a record, as far as is known without its trace.

        This is the place for every further condition.

        Parameters
        ----------
        record:
            Of ``workload``, or of another variant of it.
        workload:
            What is to be compiled.
        """
        space = find_space(record.space)
        if space is None:
            return Verdict.STALE, f"this version has no search space {record.space}"
        if space.operator != workload.operator:
            return Verdict.STALE, f"the search space {record.space} is of another operator"
        if record.workload != str(workload) and not space.applies(workload, self.target):
            return Verdict.OTHER_SPACE, f"this workload has no search space {record.space}"
        worse = worse_than_fixed_rule(record) if self.by_critical_path else None
        if worse is not None:
            return Verdict.WORSE, worse
        return None

    @property
    def by_critical_path(self) -> bool:
        """Whether a record has to stand up to the fixed rule on the critical path."""
        return len(self.metrics) > 1 and self.metrics[0] == QEMU_CRITICAL

    def replayed(self, record: Record, space: Space, program: tvm.IRModule | None) -> Schedule:
        """Apply a record's trace to its own workload's program, or to a form of it.

        Raises
        ------
        StaleRecordError
            If it does not fit.
        ToolchainError
            If TVM is missing.
        """
        from vrmpy_tune.replay import replay_record
        from vrmpy_tune.toolchain.versions import require_toolchain

        require_toolchain()
        workload = parse_workload(record.workload)
        if self._replay is not None:
            module = space.module(workload) if program is None else program
            return self._replay(module, record.trace)
        # Who asks about a program of theirs has TVM apply the trace to it.
        keep = program is not None
        return replay_record(
            space, workload, self.target, record.trace, module=program, keep_trace=keep
        )

    def variants(self, workload: Workload) -> list[Workload]:
        """Return the other workloads with records that have the same anchor, the likest first.

        The stores are asked once which workloads they have.
        """
        same = self._workloads_by_anchor.get(anchor_of(workload), ())
        return likest_first(workload, same)

    @cached_property
    def toolchain(self) -> Mapping[str, str]:
        """The toolchain at hand."""
        from vrmpy_tune.toolchain.codegen import provenance

        return provenance() if self._toolchain is None else self._toolchain

    @cached_property
    def _workloads_by_anchor(self) -> dict[Workload, list[Workload]]:
        found: dict[Workload, list[Workload]] = {}
        for text in self.records.workloads():
            try:
                workload = parse_workload(text)
            except WorkloadError:
                continue  # of a newer version
            found.setdefault(anchor_of(workload), []).append(workload)
        return found


class _Hit(NamedTuple):
    record: Record
    space: Space
    replayed: Schedule


class _Group(NamedTuple):
    workload: str
    metric: str
    rule: str


class _Search:
    """One question to a resolver: its trail grows while it looks."""

    def __init__(
        self, resolver: Resolver, workload: Workload, program: tvm.IRModule | None
    ) -> None:
        self.resolver, self.workload, self.program = resolver, workload, program
        self.trail: list[Step] = []
        self._has_program: dict[str, bool] = {}

    def resolution(self) -> Resolution:
        hit = self._first(self._own())
        if hit is not None:
            is_foreign = self.resolver.is_foreign(hit.record)
            status = Status.OTHER_TOOLCHAIN if is_foreign else Status.APPLIED
            reason = self._hit_reason(hit.record, "")
            return self._ended(status, reason, hit.record, Applied(hit.space, hit.replayed, reason))
        is_stale = any(step.verdict is Verdict.STALE for step in self.trail)
        hit = None if self.resolver.exact else self._first(self._by_anchor())
        if hit is not None:
            where = f" of {hit.record.workload}, which has the same anchor"
            return self._ended(Status.BY_ANCHOR, self._hit_reason(hit.record, where), hit.record)
        if self.program is None:
            left = Step(FIXED_RULE, Verdict.TAKEN, "what compilation takes without a record")
            self.trail.append(left)
        status = Status.STALE if is_stale else Status.MISSING
        if self._passed(Verdict.WORSE, only_own=True):
            status = Status.WORSE
        return self._ended(status, self._miss_reason(is_stale=is_stale))

    def _ended(
        self,
        status: Status,
        reason: str,
        record: Record | None = None,
        replayed: Applied | None = None,
    ) -> Resolution:
        return Resolution(
            self.workload, self.resolver.target, record, status, reason, tuple(self.trail),
            self.program, replayed,
        )  # fmt: skip

    def _own(self) -> Iterator[_Group]:
        for metric in self.resolver.metrics:
            yield _Group(str(self.workload), metric, metric)

    def _by_anchor(self) -> Iterator[_Group]:
        variants = self.resolver.variants(self.workload)
        if not variants:
            self._note("by anchor", Verdict.NONE, "no other variant has a record")
        for metric in self.resolver.metrics:
            for other in variants:
                yield _Group(str(other), metric, f"by anchor: {metric}")

    def _first(self, groups: Iterator[_Group]) -> _Hit | None:
        """Return the first record that nothing speaks against."""
        for group in groups:
            empty = True
            for seen, record in enumerate(self.resolver.ranked(group.workload, group.metric)):
                empty = False
                found = self._looked_at(record)
                if isinstance(found, _Hit):
                    foreign = self.resolver.is_foreign(record)
                    how = "taken, of another toolchain" if foreign else "taken"
                    self._note(group.rule, Verdict.TAKEN, how, record)
                    return found
                if found[0] is Verdict.OTHER_TOOLCHAIN:  # and so are all that follow
                    target = self.resolver.target.name
                    count = self.resolver.records.count(group.workload, target, group.metric)
                    self._note(group.rule, *found, record, max(1, count - seen))
                    break
                self._note(group.rule, *found, record)
            if empty and group.workload == str(self.workload):
                self._note(group.rule, Verdict.NONE, "no record")
        return None

    def _looked_at(self, record: Record) -> _Hit | Passed:
        resolver = self.resolver
        if resolver.exact and resolver.is_foreign(record):
            return Verdict.OTHER_TOOLCHAIN, "of another toolchain, which --exact refuses"
        passed = resolver.objection(record, self.workload)
        if passed is not None:
            return passed
        space = find_space(record.space)
        assert space is not None  # else there was an objection
        if not self._is_asked_for(space):
            return Verdict.OTHER_PROGRAM, f"of another form of the program ({record.space})"
        own = record.workload == str(self.workload)
        try:
            # Another variant's record has to be sound, too: its choices are read from its trace.
            schedule = resolver.replayed(record, space, self.program if own else None)
        except StaleRecordError as error:
            return Verdict.STALE, f"no longer replays: {str(error).rstrip('.')}"
        return _Hit(record, space, schedule)

    def _is_asked_for(self, space: Space) -> bool:
        """Whether the program that was asked about is the workload's in a space."""
        if self.program is None:
            return True
        if space.name not in self._has_program:
            import tvm_ffi

            forms = (space.module, space.plain_module)
            self._has_program[space.name] = any(
                tvm_ffi.structural_equal(form(self.workload), self.program) for form in forms
            )
        return self._has_program[space.name]

    def _note(
        self,
        rule: str,
        verdict: Verdict,
        reason: str,
        record: Record | None = None,
        count: int = 1,
    ) -> None:
        """Add a step; what is passed over for the same reason as the one before joins it."""
        step = Step(rule, verdict, reason, record, count)
        if self.trail and step.joins(self.trail[-1]):
            self.trail[-1] = replace(self.trail[-1], count=self.trail[-1].count + count)
        else:
            self.trail.append(step)

    def _passed(self, verdict: Verdict, *, only_own: bool = False) -> int:
        """Count the records that were passed over for a reason, by default of variants, too."""
        own = str(self.workload)
        return sum(
            step.count
            for step in self.trail
            if step.verdict is verdict and step.record is not None
            if not only_own or step.record.workload == own
        )

    def _hit_reason(self, record: Record, where: str) -> str:
        figure = figure_text(record.value, record.metric)
        reason = f"Record {record.short_id}{where}: {figure} ({record.metric})"
        if where:
            reason += " there"
        differing = differences(record.toolchain, self.resolver.toolchain)
        if differing:
            another = "toolchain" if self.resolver.is_foreign(record) else "simulator"
            reason += f", measured with another {another} ({differing})"
        if worse := self._passed(Verdict.WORSE):
            reason += f"; {worse} better placed are worse than the fixed rule"
        elif worse_here := worse_than_fixed_rule(record):
            reason += f"; {worse_here}"
        elif self.resolver.by_critical_path and not where and is_unknown(record):
            reason += "; what the fixed rule takes is unknown"
        if stale := self._passed(Verdict.STALE):
            reason += f"; {stale} better placed no longer replay"
        if other := self._passed(Verdict.OTHER_PROGRAM):
            reason += f"; {other} better placed are of another form of the program"
        return f"{reason}."

    def _miss_reason(self, *, is_stale: bool) -> str:
        other = self._passed(Verdict.OTHER_PROGRAM)
        before = f"{other} records are of other forms of the program than this. " if other else ""
        return before + self._why_missed(is_stale=is_stale)

    def _why_missed(self, *, is_stale: bool) -> str:
        target = self.resolver.target.name
        what, tune = f"{self.workload} on {target}", f"vrmpy-tune tune '{self.workload}'"
        if worse := self._passed(Verdict.WORSE, only_own=True):
            first = next(step for step in self.trail if step.verdict is Verdict.WORSE)
            metric = first.record.metric if first.record else ""
            return (
                f"{worse} records of {what} are worse than the fixed rule, which is taken: "
                f"{first.reason}. --metric {metric} takes them all the same; "
                f"{tune} --target {target} finds a better one."
            )
        if is_stale:
            return (
                f"{self._passed(Verdict.STALE, only_own=True)} records of {what} no longer replay. "
                f"Tune it again: {tune} --target {target}"
            )
        if foreign := self._passed(Verdict.OTHER_TOOLCHAIN, only_own=True):
            return (
                f"{foreign} records of {what} are from other toolchains, which "
                "--exact refuses. Leave it out, or tune again."
            )
        return (
            f"No record of {what} under {' or '.join(self.resolver.metrics)}. "
            f"Tune it: {tune} --target {target}"
        )
