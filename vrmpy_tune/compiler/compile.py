"""Compile workloads with the records that apply, verify them, and say what was applied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.compiler.artifact import (
    ONLY,
    kernel_directory,
    write_kernel,
    write_manifest,
)
from vrmpy_tune.device.open import open_device
from vrmpy_tune.device.protocol import why_unverified
from vrmpy_tune.errors import MissingRecordError
from vrmpy_tune.measurement import DEFAULT_METRIC, METRICS
from vrmpy_tune.records.location import open_stores
from vrmpy_tune.records.resolution import Status
from vrmpy_tune.toolchain.pool import CodegenPool
from vrmpy_tune.toolchain.versions import require_toolchain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vrmpy_tune.compiler.choice import Choice
    from vrmpy_tune.compiler.kernel import Kernel
    from vrmpy_tune.device.protocol import Device
    from vrmpy_tune.measurement import Counts, Measurement
    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.workload import Workload

STATUS: Final = {
    Status.APPLIED: "applied",
    Status.OTHER_TOOLCHAIN: "applied",
    Status.BY_ANCHOR: "applied",
    Status.STALE: "stale",
    Status.WORSE: "worse",
    Status.MISSING: "missing",
}
"""Status of a task in ``compile --json`` by how the lookup ended."""


@dataclass(frozen=True)
class CompiledTask:
    """One compiled workload.

    Attributes
    ----------
    choice, kernel:
        What was applied, and what it became.
    measurement:
        The verified run, if a device was there.
    untuned:
        What the same workload takes as TVM compiles it unscheduled, if asked for.
    """

    choice: Choice
    kernel: Kernel
    measurement: Measurement | None
    untuned: Counts | None

    def as_json(self) -> dict[str, Any]:
        """Return the entry of ``compile --json``.

        MACs a packet and the share of the ceiling are about the packets of all contexts.
        """
        workload, found = self.choice.workload, self.choice.found
        measured = self.measurement
        packets = measured.counts.packets_total if measured else None
        time = measured.counts.time if measured else None
        return {
            "name": workload.operator,
            "workload": str(workload),
            "count": 1,
            "space": self.choice.space.name,
            "record": found.record.id if found.record else None,
            "status": STATUS[found.status],
            "lookup": str(found.status),
            "reason": self.choice.reason,
            "fixed_rule": (
                found.record.fixed_rule.to_json()
                if found.record and found.record.fixed_rule
                else None
            ),
            "vrmpy": self.kernel.multiplies,
            "codegen": self.kernel.generator,
            "codegen_fallback": self.kernel.fallback or None,
            "packets": packets,
            "packets_critical": measured.counts.packets_critical if measured else None,
            "untuned_packets": self.untuned.packets_total if self.untuned else None,
            "untuned_packets_critical": self.untuned.packets_critical if self.untuned else None,
            "estimated_us": time.nanoseconds / 1e3 if time else None,
            "macs": workload.macs,
            "macs_per_packet": workload.macs / packets if packets else None,
            "ceiling_fraction": workload.packet_bound / packets if packets else None,
            "verified": self.measurement is not None,
        }


@dataclass(frozen=True)
class CompileReport:
    """What was compiled, from what.

    Attributes
    ----------
    artifact, target:
        The artifact directory and the target's name.
    tasks:
        One for each workload.
    unverified:
        Why nothing was run although that was asked for: no simulator runs the target.
    """

    artifact: Path
    target: str
    tasks: tuple[CompiledTask, ...]
    unverified: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the document of ``compile --json``."""
        tensorized = {}
        for operator in ("conv2d", "dense"):
            own = [task for task in self.tasks if task.choice.workload.operator == operator]
            tensorized[operator] = [sum(bool(task.kernel.multiplies) for task in own), len(own)]
        return {
            "artifact": str(self.artifact),
            "target": self.target,
            "unverified": self.unverified,
            "tasks": [task.as_json() for task in self.tasks],
            "tensorized": tensorized,
        }


def compile_workloads(
    workloads: Sequence[Workload],
    *,
    target: HexagonTarget,
    records: Sequence[str],
    output: Path,
    metric: str | None = None,
    device: str | None = "qemu",
    strict: bool = False,
    exact: bool = False,
    compare_untuned: bool = False,
) -> CompileReport:
    """Compile each workload with its best record; verify it; write the artifact.

    Parameters
    ----------
    workloads, target:
        What to compile.
    records:
        Stores to look in, in order.
    output:
        The artifact directory.
    metric:
        The only metric whose records count; all, in order, by default.
    device:
        Where to verify; ``None`` to compile only.  Code for a target that no simulator runs is
        compiled only, and the report says so.
    strict:
        Fail if a workload has no record that applies, before anything is built.  One by anchor
        does apply.
    exact:
        Accept no record of another toolchain, nor of another variant.
    compare_untuned:
        Also run each workload as TVM compiles it unscheduled.

    Raises
    ------
    MissingRecordError
        If ``strict`` and a workload has no record that applies; the message lists them all.
    VerificationError
        If a kernel's output is wrong; nothing of it is written.
    BuildError, DeviceError, StoreError, ArtifactError
        If a step cannot be done at all.
    """
    require_toolchain()
    from vrmpy_tune.compiler.choice import choose
    from vrmpy_tune.records.resolver import Resolver

    metrics = METRICS if metric is None else (metric,)
    with open_stores(records) as reader:
        resolver = Resolver(reader, target, metrics, exact=exact)
        found = [resolver.resolve(workload) for workload in workloads]
    missed = [one.reason for one in found if not one.status.is_hit]
    if strict and missed:
        raise MissingRecordError(" ".join(missed))
    choices = [choose(one) for one in found]
    opened = None if device is None else open_device(device)
    unverified = None if opened is None else why_unverified(opened.info(), target)
    try:
        with CodegenPool(1) as pool:
            tasks = tuple(
                _compile(
                    choice,
                    target,
                    pool,
                    None if unverified else opened,
                    metric=metric or DEFAULT_METRIC,
                    compare_untuned=compare_untuned,
                )
                for choice in choices
            )
    finally:
        if opened is not None:
            opened.close()
    _write(output, target, tasks)
    return CompileReport(output, target.name, tasks, unverified)


def _compile(
    choice: Choice,
    target: HexagonTarget,
    pool: CodegenPool,
    device: Device | None,
    *,
    metric: str,
    compare_untuned: bool,
) -> CompiledTask:
    from vrmpy_tune.compiler.kernel import build_kernel, run_kernel
    from vrmpy_tune.verification import Verifier

    workload, space = choice.workload, choice.space
    kernel = build_kernel(
        choice.schedule.mod, space.inputs(workload), space.output(workload), target, pool
    )
    if device is None:
        return CompiledTask(choice, kernel, None, None)
    verifier = Verifier(workload)
    arguments = verifier.arguments(space)
    measurement = run_kernel(kernel, arguments, verifier, device, target, metric=metric)
    untuned = untuned_counts(workload, target, pool, device) if compare_untuned else None
    return CompiledTask(choice, kernel, measurement, untuned)


def untuned_counts(
    workload: Workload, target: HexagonTarget, pool: CodegenPool, device: Device
) -> Counts:
    """Return what the unscheduled program takes; one input set, for it takes seconds."""
    from vrmpy_tune.compiler.kernel import build_kernel, run_kernel
    from vrmpy_tune.compiler.naive import naive_inputs, naive_module, naive_output
    from vrmpy_tune.verification import Verifier

    verifier = Verifier(workload, ("random",))
    inputs, output = naive_inputs(workload), naive_output(workload)
    kernel = build_kernel(naive_module(workload), inputs, output, target, pool)
    arguments = tuple(one.operands for one in verifier.input_sets)
    return run_kernel(kernel, arguments, verifier, device, target).counts


def _write(output: Path, target: HexagonTarget, tasks: tuple[CompiledTask, ...]) -> None:
    from vrmpy_tune.toolchain.codegen import provenance

    kernels = [
        write_kernel(
            output,
            ONLY if len(tasks) == 1 else kernel_directory(str(task.choice.workload)),
            task.kernel,
            {
                "workload": str(task.choice.workload),
                "space": task.choice.space.name,
                "target": target.name,
                "record": task.choice.found.record.id if task.choice.found.record else None,
                "metric": task.choice.found.record.metric if task.choice.found.record else None,
                "status": str(task.choice.found.status),
                "reason": task.choice.reason,
                "vrmpy": task.kernel.multiplies,
                "codegen": task.kernel.generator,
                "verified": task.measurement is not None,
            },
        )
        for task in tasks
    ]
    write_manifest(output, {"target": target.name, "toolchain": provenance(), "kernels": kernels})
