"""Rebuild, rerun and recheck what a store holds."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from vrmpy_tune.closing import ClosedOnExit
from vrmpy_tune.device.open import open_device
from vrmpy_tune.errors import (
    BuildError,
    StaleRecordError,
    UsageError,
    VerificationError,
    VrmpyTuneError,
)
from vrmpy_tune.measurement import figure_text, is_time
from vrmpy_tune.records.record import FixedRule, Record
from vrmpy_tune.records.same_toolchain import differences
from vrmpy_tune.replay import named_in, replay_record
from vrmpy_tune.target import parse_target
from vrmpy_tune.toolchain.codegen import provenance
from vrmpy_tune.toolchain.pool import CodegenPool
from vrmpy_tune.toolchain.versions import require_toolchain
from vrmpy_tune.verification import Verifier
from vrmpy_tune.workload import parse_workload

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vrmpy_tune.compiler.kernel import Kernel
    from vrmpy_tune.device.protocol import RunResult
    from vrmpy_tune.records.imported import ImportedTrace
    from vrmpy_tune.records.record import Identity

_OF_THE_RECORD = (StaleRecordError, BuildError, VerificationError, UsageError)
"""Errors that say something of one record, and nothing of the others."""


class Verdict(StrEnum):
    """What became of a record that was measured again."""

    HOLDS = "holds"
    """Its output is right and its figure is as stored."""
    OTHER_FIGURE = "other figure"
    """Its output is right, but its figure is another."""
    FAILS = "fails"
    """It does not replay, build or run, or its output is wrong."""


@dataclass(frozen=True)
class Finding:
    """A record, and what measuring it again showed.

    Attributes
    ----------
    record:
        As it is stored.
    verdict, message:
        What became of it, and a sentence that says why.
    measured:
        The record as it is today, unless it fails.
    """

    record: Record
    verdict: Verdict
    message: str
    measured: Record | None = None


@dataclass(frozen=True)
class _Rerun:
    """A kernel that was built again and run."""

    kernel: Kernel
    result: RunResult
    structural_hash: str


_Attempt: TypeAlias = _Rerun | VrmpyTuneError
_RunKey: TypeAlias = tuple[str, str, str | None]


class Reverifier(ClosedOnExit):
    """Measures records again, all with one device and one pool of workers.

    Parameters
    ----------
    device:
        Where to run, as after ``--device``.

    Attributes
    ----------
    toolchain:
        What decides code and figures here, as new records carry it.

    Raises
    ------
    DeviceError, ToolchainError
        If the device or the toolchain cannot be used.
    """

    def __init__(self, device: str) -> None:
        require_toolchain()
        self._device = open_device(device)
        self._info = self._device.info()
        self._workers = max(1, min(self._info.slots, len(os.sched_getaffinity(0))))
        self._pool = CodegenPool(self._workers)
        self.toolchain = provenance(self._info.versions)
        # Schedules share nodes, and Python's lock lets no two be made at once anyway.
        self._scheduling = threading.Lock()

    def close(self) -> None:
        """End the workers and close the device."""
        self._pool.close()
        self._device.close()

    def findings(
        self, records: Sequence[Record], *, fixed_rules: bool = False
    ) -> Iterator[Finding]:
        """Measure records again, several workloads at once; yield what was found, in order.

        Records of one workload come together, for they share its inputs and references; those that
        differ in their metric alone are built and run once.

        Parameters
        ----------
        records:
            What to measure again.
        fixed_rules:
            Whether to measure the fixed rule's schedule of each workload too, for the new records.

        Raises
        ------
        DeviceError, ToolchainError
            If nothing more can be measured.
        """
        groups: dict[tuple[str, str], list[Record]] = {}
        for record in records:
            groups.setdefault((record.workload, record.target), []).append(record)
        threads = ThreadPoolExecutor(self._workers, "reverify")
        try:
            for found in threads.map(lambda own: self._group(own, fixed_rules), groups.values()):
                yield from found
        finally:
            threads.shutdown(cancel_futures=True)

    def measure(self, trace: ImportedTrace) -> Record:
        """Measure an imported trace and return it as a record.

        Raises
        ------
        StaleRecordError, BuildError, VerificationError, UsageError
            If it cannot be replayed, built, or verified.
        DeviceError, ToolchainError
            If nothing can be measured.
        """
        identity = trace.identity
        verifier = Verifier(parse_workload(identity.workload))
        return self._record(identity, verifier, self._rerun(identity, verifier), seed=None)

    def _group(self, records: Sequence[Record], with_fixed_rule: bool) -> list[Finding]:
        try:
            verifier = Verifier(parse_workload(records[0].workload))
        except UsageError as error:
            return [Finding(record, Verdict.FAILS, str(error)) for record in records]
        attempts: dict[_RunKey, _Attempt] = {}
        for record in records:
            key = _run_key(record.identity)
            if key not in attempts:
                attempts[key] = self._attempt(record.identity, verifier)
        fixed_rule = None
        if with_fixed_rule and any(isinstance(one, _Rerun) for one in attempts.values()):
            fixed_rule = self._fixed_rule(verifier, records[0].target)
        return [
            self._judge(record, verifier, attempts[_run_key(record.identity)], fixed_rule)
            for record in records
        ]

    def _attempt(self, identity: Identity, verifier: Verifier) -> _Attempt:
        try:
            return self._rerun(identity, verifier)
        except _OF_THE_RECORD as error:
            return error

    def _rerun(self, identity: Identity, verifier: Verifier) -> _Rerun:
        from vrmpy_tune.compiler.kernel import build_kernel, run_once
        from vrmpy_tune.tune.candidate import hash_of

        space, workload, target = named_in(identity)
        if target.name not in self._info.targets:
            raise VerificationError(
                f"The device ({self._info.description}) cannot run {target.name}; it runs "
                f"{', '.join(self._info.targets)}."
            )
        with self._scheduling:
            unscheduled = space.module(workload)
            schedule = replay_record(space, workload, target, identity.trace, module=unscheduled)
            module, structural_hash = schedule.mod, hash_of(unscheduled)
        inputs, output = space.inputs(workload), space.output(workload)
        kernel = build_kernel(module, inputs, output, target, self._pool)
        result = run_once(
            kernel,
            verifier.arguments(space),
            self._device,
            target,
            time_metric=identity.metric if is_time(identity.metric) else None,
        )
        return _Rerun(kernel, result, structural_hash)

    def _fixed_rule(self, verifier: Verifier, target: str) -> FixedRule | None:
        from vrmpy_tune.compiler.fixed_rule import measure_fixed_rule

        try:
            return measure_fixed_rule(
                verifier,
                parse_target(target),
                self._pool,
                self._device,
                scheduling=self._scheduling,
            )
        except (BuildError, VerificationError):
            return None  # the record stands for itself

    def _record(
        self,
        identity: Identity,
        verifier: Verifier,
        rerun: _Rerun,
        *,
        seed: int | None,
        fixed_rule: FixedRule | None = None,
    ) -> Record:
        from vrmpy_tune.compiler.kernel import measurement_of

        target = parse_target(identity.target)
        return Record.from_measurement(
            measurement_of(
                rerun.kernel,
                rerun.result,
                verifier,
                self._device,
                target=target,
                metric=identity.metric,
            ),
            space=identity.space,
            trace=identity.trace,
            seed=seed,
            generator=rerun.kernel.generator,
            toolchain=self.toolchain,
            structural_hash=rerun.structural_hash,
            fixed_rule=fixed_rule,
        )

    def _judge(
        self,
        record: Record,
        verifier: Verifier,
        attempt: _Attempt,
        fixed_rule: FixedRule | None,
    ) -> Finding:
        if isinstance(attempt, VrmpyTuneError):
            return Finding(record, Verdict.FAILS, str(attempt))
        try:
            measured = self._record(
                record.identity, verifier, attempt, seed=record.seed, fixed_rule=fixed_rule
            )
        except VerificationError as error:
            return Finding(record, Verdict.FAILS, str(error))
        verdict, message = compare(record, measured)
        return Finding(record, verdict, message, measured)


def compare(stored: Record, measured: Record) -> tuple[Verdict, str]:
    """Compare a record with what it was measured to be today, its output being right.

    Returns
    -------
    verdict, sentence:
        Whether the figure is the same, and in what the figures and what made them differ.
    """
    figure = figure_text(measured.value, measured.metric)
    differing = differences(stored.toolchain, measured.toolchain)
    if measured.value == stored.value:
        note = f" The toolchain is another one: {differing}." if differing else ""
        return Verdict.HOLDS, f"{figure}, as stored; the output is right.{note}"
    causes = [f"toolchain: {differing}"] if differing else []
    if stored.device != measured.device:
        causes.append(f"device: '{stored.device}', here '{measured.device}'")
    if stored.artifact == measured.artifact:
        causes.append("the code is the same to the byte")
    elif not differing:
        causes.append("the code is another one, although no part of the toolchain differs")
    return Verdict.OTHER_FIGURE, (
        f"{figure} instead of {figure_text(stored.value, stored.metric)} "
        f"({'; '.join(causes)}); the output is right."
    )


def _run_key(identity: Identity) -> _RunKey:
    """Return what records have in common that one run answers."""
    return identity.space, identity.trace, identity.metric if is_time(identity.metric) else None
