"""Build, run and verify one candidate, and remember how it ended."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vrmpy_tune.device.protocol import Job, Limits
from vrmpy_tune.errors import BuildError, BuildTimeoutError
from vrmpy_tune.measurement import Measurement, Outcome
from vrmpy_tune.records.outcomes import Failure
from vrmpy_tune.records.record import Identity, Record
from vrmpy_tune.toolchain.assembly import count_multiplies
from vrmpy_tune.toolchain.codegen import provenance, to_object

if TYPE_CHECKING:
    from vrmpy_tune.device.protocol import Device
    from vrmpy_tune.records.store import Store
    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.toolchain.pool import CodegenPool
    from vrmpy_tune.toolchain.zig import Compiled
    from vrmpy_tune.tune.candidate import Candidate
    from vrmpy_tune.verification import Verifier


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
    """

    outcome: Outcome
    record: Record | None = None
    message: str = ""
    cached: bool = False


@dataclass(frozen=True)
class _Run:
    """What running one object file showed; equal objects of a workload are run once."""

    outcome: Outcome
    measurement: Measurement | None
    message: str
    artifact: str
    retryable: bool = False


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
    ) -> None:
        self._device, self._pool, self._store = device, pool, store
        self._target, self._metric, self._seed = target, metric, seed
        self._description = device.info().description
        self._toolchain = provenance()
        self._runs: dict[tuple[str, str], _Run] = {}
        self._locks: dict[tuple[str, str], threading.Lock] = {}
        self._guard = threading.Lock()

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
            return known
        run = self._attempt(candidate, verifier, packets)
        if run.retryable:
            run = self._attempt(candidate, verifier, packets)
        return self._remember(candidate, run)

    def recall(self, candidate: Candidate) -> Evaluation | None:
        """Return how the candidate ended before with this toolchain, if the store knows."""
        identity = Identity(
            str(candidate.workload), self._target.name, self._metric,
            candidate.space.name, candidate.trace,
        )  # fmt: skip
        known = self._store.find(identity)
        if known is None or dict(known.toolchain) != self._toolchain:
            return None
        if isinstance(known, Record):
            return Evaluation(Outcome.OK, known, cached=True)
        return Evaluation(Outcome(known.outcome), message=known.message, cached=True)

    def _attempt(self, candidate: Candidate, verifier: Verifier, packets: int | None) -> _Run:
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
                run = self._runs.get(key)
                if run is None:
                    run = self._run(candidate, verifier, compiled, artifact, packets)
                    if not run.retryable:
                        self._runs[key] = run
                return run

    def _build(self, candidate: Candidate, directory: Path) -> Compiled:
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
    ) -> _Run:
        workload, space = candidate.workload, candidate.space
        job = Job(compiled.object_file, "main", space.inputs(workload), (space.output(workload),))
        inputs = verifier.arguments(space)
        result = self._device.run(job, inputs, self._target, Limits(packets=packets))
        if result.outcome is not Outcome.OK:
            return _Run(result.outcome, None, result.message, artifact, result.retryable)
        if any(counts.packets_total < 1 for counts in result.counts):
            message = "The device counted no packets, which no kernel takes."
            return _Run(Outcome.DEVICE_LOST, None, message, artifact, retryable=True)
        measured = verifier.measure(
            result,
            target=self._target.name,
            metric=self._metric,
            static_vrmpy=count_multiplies(compiled.assembly),
            artifact=artifact,
            device=self._description,
        )
        if isinstance(measured, str):
            return _Run(Outcome.WRONG_RESULT, None, measured, artifact)
        return _Run(Outcome.OK, measured, "", artifact)

    def _remember(self, candidate: Candidate, run: _Run) -> Evaluation:
        if run.measurement is not None:
            record = Record.from_measurement(
                run.measurement,
                space=candidate.space.name,
                trace=candidate.trace,
                seed=self._seed,
                toolchain=self._toolchain,
                structural_hash=candidate.structural_hash,
            )
            self._store.add(record)
            return Evaluation(Outcome.OK, record)
        if run.outcome.is_remembered and not run.retryable:
            self._store.add_failure(
                Failure.of(
                    run.outcome,
                    workload=str(candidate.workload),
                    target=self._target.name,
                    metric=self._metric,
                    space=candidate.space.name,
                    trace=candidate.trace,
                    message=run.message,
                    artifact=run.artifact,
                    toolchain=self._toolchain,
                )
            )
        return Evaluation(run.outcome, message=run.message)

    def _lock_of(self, key: tuple[str, str]) -> threading.Lock:
        with self._guard:
            return self._locks.setdefault(key, threading.Lock())
