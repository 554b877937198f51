"""Build, run and verify one candidate, and remember how it ended."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vrmpy_tune.device.protocol import Ensemble, Job, Limits
from vrmpy_tune.errors import BuildError, BuildTimeoutError
from vrmpy_tune.measurement import Measurement, Outcome, is_time
from vrmpy_tune.records.outcomes import Failure
from vrmpy_tune.records.record import FixedRule, Identity, Record
from vrmpy_tune.toolchain.assembly import count_multiplies
from vrmpy_tune.toolchain.codegen import provenance, to_object

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from vrmpy_tune.device.protocol import Device, RunResult
    from vrmpy_tune.records.store import Store
    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.toolchain.codegen import Generated
    from vrmpy_tune.toolchain.pool import CodegenPool
    from vrmpy_tune.toolchain.zig import Compiled
    from vrmpy_tune.tune.candidate import Candidate
    from vrmpy_tune.verification import Verifier
    from vrmpy_tune.workload import Workload


DOUBTFUL: Final = frozenset({Outcome.CRASH, Outcome.WRONG_RESULT})
"""Outcomes that may be a sick device's doing, where there are several to compare."""

RECENT: Final = 16
"""Measurements of one part of a device that are repeated when it turns out to be sick."""


@dataclass(frozen=True)
class Evaluation:
    """How the evaluation of a candidate ended.

    Attributes
    ----------
    outcome:
        ``OK`` if there is a record.
    record:
        The verified record, on success.
    message:
        What went wrong, else empty.
    cached:
        Whether an earlier evaluation, of this run or a stored one, answered.
    generator:
        Name of the code generator that made the code; empty if there was no code, or a stored
        failure answered, which does not say.
    fallback:
        Why that was not the one that the trace asks for, where it was just found.
    """

    outcome: Outcome
    record: Record | None = None
    message: str = ""
    cached: bool = False
    generator: str = ""
    fallback: str = ""


@dataclass(frozen=True)
class _Run:
    """What running one object file showed; equal objects of a workload are run once."""

    outcome: Outcome
    measurement: Measurement | None
    message: str
    artifact: str
    retryable: bool = False
    ran_on: str = ""
    sick: str = ""
    """A part of the device that returned something else, which another showed to be wrong."""
    sickness: str = ""
    generator: str = ""
    fallback: str = ""


@dataclass(frozen=True)
class _Asked:
    """What was evaluated, to be evaluated again."""

    candidate: Candidate
    verifier: Verifier
    packets: int | None


class Evaluator:
    """Evaluates candidates; used from several threads at once.

    Parameters
    ----------
    device, pool:
        Where kernels run and code is generated.
    store:
        Gets every record and every failure worth remembering as soon as it is known.
    target, metric, seed:
        What records are made for.
    corrected:
        Told each record that changed: because the device that measured it turned out to be sick, or
        because it is known now what the fixed rule takes.
    """

    def __init__(
        self,
        device: Device,
        pool: CodegenPool,
        store: Store,
        target: HexagonTarget,
        metric: str,
        *,
        seed: int | None,
        corrected: Callable[[Record], None] = lambda _: None,
    ) -> None:
        self._device, self._pool, self._store = device, pool, store
        self._target, self.metric, self._seed = target, metric, seed
        info = device.info()
        self._description = info.description
        self._toolchain = provenance(info.versions)
        self._runs: dict[tuple[str, str], _Run] = {}
        self._locks: dict[tuple[str, str], threading.Lock] = {}
        self._guard = threading.Lock()
        self._corrected = corrected
        self._storing = threading.Lock()
        self._fixed_rules: dict[str, FixedRule] = {}
        self._recent: dict[str, deque[_Asked]] = {}

    def evaluate(
        self, candidate: Candidate, verifier: Verifier, packets: int | None = None
    ) -> Evaluation:
        """Evaluate a candidate, or recall how it ended before.

        Parameters
        ----------
        candidate, verifier:
            The candidate, and the verifier of its workload.
        packets:
            Packets in one call after which it cannot win any more.

        Raises
        ------
        StoreError
            If the outcome cannot be stored.
        DeviceError
            If the device cannot be used at all.
        """
        known = self.recall(candidate)
        if known is not None:
            if candidate.is_fixed_rule and known.record is not None:
                return replace(known, record=self._learn_fixed_rule(known.record))
            return known
        run = self._attempt(candidate, verifier, packets)
        if run.retryable:
            run = self._attempt(candidate, verifier, packets)
        if run.sick:
            self._doubt(run.sick, run.sickness)
        if run.ran_on and run.outcome is Outcome.OK:
            with self._guard:
                recent = self._recent.setdefault(run.ran_on, deque(maxlen=RECENT))
                recent.append(_Asked(candidate, verifier, packets))
        return self._remember(candidate, run)

    def fixed_rule(self, workload: Workload) -> FixedRule | None:
        """Return what the fixed rule takes of a workload, if this run measured or recalled it."""
        return self._fixed_rules.get(str(workload))

    def _learn_fixed_rule(self, record: Record) -> Record:
        """Note what the fixed rule takes in all records of the workload of this toolchain.

        Returns the record of the fixed rule's choice as it is then.
        """
        rule = FixedRule(record.counts.packets_total, record.counts.packets_critical)
        with self._storing:
            self._fixed_rules[record.workload] = rule
            noted = [
                replace(one, fixed_rule=rule)
                for one in self._store.query(record.workload, record.target)
                if one.fixed_rule != rule and dict(one.toolchain) == self._toolchain
            ]
            if noted:
                self._store.add_many(noted)
        for one in noted:
            self._corrected(one)
        return replace(record, fixed_rule=rule)

    def recall(self, candidate: Candidate) -> Evaluation | None:
        """Return how the candidate ended before with this toolchain, if the store knows."""
        identity = Identity(
            str(candidate.workload), self._target.name, self.metric,
            candidate.space.name, candidate.trace,
        )  # fmt: skip
        known = self._store.find(identity)
        if known is None or dict(known.toolchain) != self._toolchain:
            return None
        if isinstance(known, Record):
            return Evaluation(Outcome.OK, known, cached=True, generator=known.generator)
        return Evaluation(Outcome(known.outcome), message=known.message, cached=True)

    def _attempt(
        self,
        candidate: Candidate,
        verifier: Verifier,
        packets: int | None,
        *,
        again_but_not_on: str = "",
    ) -> _Run:
        with tempfile.TemporaryDirectory(prefix="vrmpy-tune-") as directory:
            try:
                compiled = self._build(candidate, Path(directory))
            except BuildTimeoutError as error:
                return _Run(Outcome.BUILD_TIMEOUT, None, str(error), "", error.retryable)
            except BuildError as error:
                return _Run(Outcome.BUILD_ERROR, None, str(error), "")
            artifact = hashlib.sha256(compiled.object_file.read_bytes()).hexdigest()
            # Different workloads may have the same code, but not the same measurement.
            key = (str(candidate.workload), artifact)
            with self._lock_of(key):
                run = None if again_but_not_on else self._runs.get(key)
                if run is None:
                    run = self._run(
                        candidate,
                        verifier,
                        compiled,
                        artifact,
                        packets,
                        but_not_on=again_but_not_on,
                    )
                    if not run.retryable:
                        self._runs[key] = run
                # Several code generators may make the same object, of which one is run.
                return replace(run, generator=compiled.generator, fallback=compiled.fallback)

    def _build(self, candidate: Candidate, directory: Path) -> Generated:
        text = self._pool.generate(
            candidate.module, self._target, by_tvm=candidate.generator.by_tvm
        )
        return to_object(text, candidate.generator, self._target, directory)

    def _run(
        self,
        candidate: Candidate,
        verifier: Verifier,
        compiled: Compiled,
        artifact: str,
        packets: int | None,
        *,
        but_not_on: str,
    ) -> _Run:
        workload, space = candidate.workload, candidate.space
        job = Job(
            compiled.object_file,
            "main",
            space.inputs(workload),
            (space.output(workload),),
            self.metric if is_time(self.metric) else None,
        )
        inputs = verifier.arguments(space)

        def judge(result: RunResult) -> _Run:
            return self._judge(result, verifier, compiled, artifact)

        run = judge(self._run_job(job, inputs, packets, but_not_on))
        if run.outcome in DOUBTFUL and run.ran_on:
            other = judge(self._run_job(job, inputs, packets, run.ran_on))
            if other.outcome is Outcome.OK and other.ran_on != run.ran_on:
                sickness = f"{run.outcome} where another is right: {run.message}"
                return replace(other, sick=run.ran_on, sickness=sickness)
        return run

    def _run_job(
        self,
        job: Job,
        inputs: tuple[tuple[np.ndarray, ...], ...],
        packets: int | None,
        but_not_on: str,
    ) -> RunResult:
        limits = Limits(packets=packets)
        if but_not_on and isinstance(self._device, Ensemble):
            return self._device.run_elsewhere(job, inputs, self._target, limits, but_not_on)
        return self._device.run(job, inputs, self._target, limits)

    def _doubt(self, part: str, reason: str) -> None:
        """Report a sick part of the device, and measure again what it measured lately."""
        if isinstance(self._device, Ensemble):
            self._device.report_sick(part, reason)
        with self._guard:
            recent = self._recent.pop(part, ())
        for asked in recent:
            run = self._attempt(
                asked.candidate, asked.verifier, asked.packets, again_but_not_on=part
            )
            evaluation = self._remember(asked.candidate, run)
            if evaluation.record is not None:
                self._corrected(evaluation.record)

    def _judge(
        self, result: RunResult, verifier: Verifier, compiled: Compiled, artifact: str
    ) -> _Run:
        if result.outcome is not Outcome.OK:
            return _Run(
                result.outcome, None, result.message, artifact, result.retryable, result.ran_on
            )
        if any(counts.packets_total < 1 for counts in result.counts):
            message = "The device counted no packets, which no kernel takes."
            return _Run(Outcome.DEVICE_LOST, None, message, artifact, retryable=True)
        measured = verifier.measure(
            result,
            target=self._target.name,
            metric=self.metric,
            static_vrmpy=count_multiplies(compiled.assembly),
            artifact=artifact,
            device=self._description,
        )
        if isinstance(measured, str):
            return _Run(Outcome.WRONG_RESULT, None, measured, artifact, ran_on=result.ran_on)
        return _Run(Outcome.OK, measured, "", artifact, ran_on=result.ran_on)

    def _remember(self, candidate: Candidate, run: _Run) -> Evaluation:
        if run.measurement is not None:
            # One at a time: what is stored before the fixed rule is known is completed then.
            with self._storing:
                record = Record.from_measurement(
                    run.measurement,
                    space=candidate.space.name,
                    trace=candidate.trace,
                    seed=self._seed,
                    generator=run.generator,
                    toolchain=self._toolchain,
                    structural_hash=candidate.structural_hash,
                    fixed_rule=self.fixed_rule(candidate.workload),
                )
                self._store.add(record)
            if candidate.is_fixed_rule:
                record = self._learn_fixed_rule(record)
            return Evaluation(Outcome.OK, record, generator=run.generator, fallback=run.fallback)
        if run.outcome.is_remembered and not run.retryable:
            self._store.add_failure(
                Failure.of(
                    run.outcome,
                    workload=str(candidate.workload),
                    target=self._target.name,
                    metric=self.metric,
                    space=candidate.space.name,
                    trace=candidate.trace,
                    message=run.message,
                    artifact=run.artifact,
                    toolchain=self._toolchain,
                )
            )
        return Evaluation(
            run.outcome, message=run.message, generator=run.generator, fallback=run.fallback
        )

    def _lock_of(self, key: tuple[str, str]) -> threading.Lock:
        with self._guard:
            return self._locks.setdefault(key, threading.Lock())
