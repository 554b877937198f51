"""Compile a network with the records that apply, verify it, and say what each layer uses."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from search_spaces import spaces_for
from vrmpy_tune.compiler.choice import choose
from vrmpy_tune.compiler.compile import STATUS
from vrmpy_tune.device.open import open_device
from vrmpy_tune.device.protocol import why_unverified
from vrmpy_tune.errors import MissingRecordError
from vrmpy_tune.measurement import METRICS
from vrmpy_tune.model.agreement import NOT_COMPARED
from vrmpy_tune.model.artifact import OBJECT, write_network
from vrmpy_tune.model.executable import build_executable
from vrmpy_tune.model.execution import Program, execute
from vrmpy_tune.model.tasks import tasks_of
from vrmpy_tune.model.verification import check_outputs, drawn_inputs
from vrmpy_tune.records.location import open_stores
from vrmpy_tune.records.resolver import Resolver
from vrmpy_tune.toolchain.codegen import provenance
from vrmpy_tune.toolchain.versions import require_toolchain
from vrmpy_tune.tune.draws import plain_trace
from vrmpy_tune.workload.inputs import INPUT_SETS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tvm.s_tir import Trace

    from vrmpy_tune.device.protocol import Device
    from vrmpy_tune.model.agreement import Agreement
    from vrmpy_tune.model.building import BuiltKernel
    from vrmpy_tune.model.executable import Executable
    from vrmpy_tune.model.execution import Execution
    from vrmpy_tune.model.network import Network
    from vrmpy_tune.model.tasks import NetworkTask
    from vrmpy_tune.records.resolution import Resolution
    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.tune.draws import PlainTrace

TENSORIZED: Final = ("conv2d", "dense")
"""Operators every layer of which should hold vrmpy instructions."""


@dataclass(frozen=True)
class CompiledNetworkTask:
    """One distinct workload of a compiled network.

    Attributes
    ----------
    task, built:
        The workload with its layers, and its kernel.
    tunable:
        Whether a search space covers it.
    packets:
        Packets of each of its layers in all, and on the critical path, if the network was run.
    """

    task: NetworkTask
    built: BuiltKernel
    tunable: bool
    packets: tuple[tuple[int, int], ...] | None

    def as_json(self) -> dict[str, Any]:
        """Return the entry of ``compile --json``; packets are those of all its layers.

        What a missing record costs is at most what was measured, or else estimated, over the bound.
        """
        workload, found = self.task.workload, self.built.choice.found
        bound = workload.packet_bound * self.task.count
        total = critical = None
        if self.packets is not None:
            total, critical = (sum(column) for column in zip(*self.packets, strict=True))
        estimate = round(self._estimate()) * self.task.count
        reached = total or max(bound, estimate)
        return {
            "name": self.task.layers[0],
            "layers": list(self.task.layers),
            "workload": str(workload),
            "count": self.task.count,
            "space": self.built.choice.space.name,
            "record": found.record.id if found.record else None,
            "metric": found.record.metric if found.record else None,
            "status": STATUS[found.status] if self.tunable else "not-tunable",
            "lookup": str(found.status),
            "reason": self.built.choice.reason if self.tunable else _not_tunable(self.task),
            "vrmpy": self.built.kernel.multiplies,
            "codegen": self.built.kernel.generator,
            "codegen_fallback": self.built.kernel.fallback or None,
            "packets": total,
            "packets_critical": critical,
            "packets_estimated": estimate,
            "packet_bound": bound,
            "macs": workload.macs * self.task.count,
            "ceiling_fraction": bound / total if total else None,
            "missing_costs_at_most": None if found.status.is_hit else reached - bound,
        }

    def _estimate(self) -> float:
        """Return the packet arithmetic's estimate for one layer."""
        choice = self.built.choice
        trace: Trace | PlainTrace = choice.schedule.trace
        if not len(trace.insts) and choice.found.record is not None:
            # A trace of an older version was replayed in another process, which keeps none.
            trace = plain_trace(choice.found.record.trace)
        return choice.space.estimate(self.task.workload, trace)


@dataclass(frozen=True)
class NetworkReport:
    """What was compiled, from what.

    Attributes
    ----------
    artifact, target:
        The artifact directory and the target's name.
    tasks:
        One for each distinct workload.
    packets_total, packets_critical:
        Of the whole network, the most of its verification's inputs; ``None`` if it was not run.
    seconds:
        Wall-clock seconds of each step.
    agreement:
        How the interpreter compares with another runtime of the model's file.
    unverified:
        Why nothing was run although that was asked for: no simulator runs the target.
    """

    artifact: Path
    target: str
    tasks: tuple[CompiledNetworkTask, ...]
    packets_total: int | None
    packets_critical: int | None
    seconds: Mapping[str, float]
    agreement: Agreement = NOT_COMPARED
    unverified: str | None = None

    @property
    def tensorized(self) -> dict[str, list[int]]:
        """For each operator its layers whose kernel holds vrmpy instructions, and all."""
        return tensorized(tuple((one.task, one.built) for one in self.tasks))

    def as_json(self) -> dict[str, Any]:
        """Return the document of ``compile --json``."""
        return {
            "artifact": str(self.artifact),
            "target": self.target,
            "tasks": [task.as_json() for task in self.tasks],
            "tensorized": self.tensorized,
            "packets_total": self.packets_total,
            "packets_critical": self.packets_critical,
            "verified": self.packets_total is not None,
            "reference": self.agreement.as_json(),
            "unverified": self.unverified,
            "seconds": {name: round(value, 2) for name, value in self.seconds.items()},
        }


def tensorized(
    tasks: Sequence[tuple[NetworkTask, BuiltKernel]],
) -> dict[str, list[int]]:
    """Return for each of :data:`TENSORIZED` the layers with vrmpy instructions, and all."""
    found = {}
    for operator in TENSORIZED:
        own = [one for one in tasks if one[0].workload.operator == operator]
        done = sum(task.count for task, built in own if built.kernel.multiplies)
        found[operator] = [done, sum(task.count for task, _ in own)]
    return found


def compile_network(
    network: Network,
    *,
    target: HexagonTarget,
    records: Sequence[str],
    output: Path,
    metric: str | None = None,
    device: str | None = "qemu",
    strict: bool = False,
    exact: bool = False,
    source: Mapping[str, str] | None = None,
    agreement: Agreement = NOT_COMPARED,
    progress: Callable[[str], None] = lambda _: None,
) -> NetworkReport:
    """Compile a network, verify it on the device against the interpreter, write the artifact.

    Where a workload has no record, that of another fused variant with the same anchor is taken;
    with ``exact`` it is not.

    Parameters
    ----------
    network, target:
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
        Fail if a task has no record that applies, before anything is built.  One by anchor does
        apply.
    exact:
        Accept no record of another toolchain, nor of another variant.
    source:
        What the manifest says of the model's file.
    agreement:
        What it says of the interpreter and another runtime of the file, as
        :func:`~vrmpy_tune.model.agreement.compare_with_runtime` found it.
    progress:
        Gets a sentence at the begin of each step.

    Raises
    ------
    MissingRecordError
        If ``strict`` and a task has no record that applies; the message lists them all.
    VerificationError
        If an output is wrong; nothing of it is written.
    ModelError, BuildError, DeviceError, StoreError, ArtifactError
        If a step cannot be done at all.
    """
    require_toolchain()
    clock = _Clock(progress)
    tasks = tasks_of(network)
    clock.begin("records", f"Looking up the records of {len(tasks)} tasks")
    metrics = METRICS if metric is None else (metric,)
    with open_stores(records) as reader:
        resolver = Resolver(reader, target, metrics, exact=exact)
        found = [resolver.resolve(task.workload) for task in tasks]
    if strict:
        _require_records(tasks, found)
    choices = [choose(one) for one in found]
    clock.begin("kernels", f"Building {len(tasks)} kernels")
    executable = build_executable(network, choices, target)
    executions: tuple[Execution, ...] = ()
    unverified = None
    if device is not None:
        clock.begin("verification", "Comparing the device with the interpreter")
        with open_device(device) as opened:
            unverified = why_unverified(opened.info(), target)
            if unverified is None:
                executions = _verify(network, executable, target, opened)
    clock.begin("artifact", f"Writing {output}")
    slowest = max(executions, key=lambda one: one.counts.packets_total, default=None)
    built = dict(zip(executable.tables.kernels, executable.kernels, strict=True))
    compiled = tuple(
        CompiledNetworkTask(
            task,
            built[task.workload],
            bool(spaces_for(task.workload, target)),
            None if slowest is None else _packets(network, task, slowest),
        )
        for task in tasks
    )
    manifest = _manifest(compiled, target, source, bool(executions))
    manifest["reference"] = agreement.as_json()
    write_network(output, network, executable, manifest)
    return NetworkReport(
        output,
        target.name,
        compiled,
        None if slowest is None else slowest.counts.packets_total,
        None if slowest is None else slowest.counts.packets_critical,
        clock.end(),
        agreement,
        unverified,
    )


class _Clock:
    """Wall-clock seconds of each step, told of when it begins."""

    def __init__(self, progress: Callable[[str], None]) -> None:
        self._progress = progress
        self._seconds: dict[str, float] = {}
        self._step = ""
        self._since = self._start = time.monotonic()

    def begin(self, step: str, sentence: str) -> None:
        self._finish()
        self._step = step
        self._progress(sentence)

    def end(self) -> dict[str, float]:
        self._finish()
        return {**self._seconds, "all": time.monotonic() - self._start}

    def _finish(self) -> None:
        now = time.monotonic()
        if self._step:
            self._seconds[self._step] = now - self._since
        self._since = now


def _require_records(tasks: Sequence[NetworkTask], lookups: Sequence[Resolution]) -> None:
    missed = [
        f"{task.layers[0]}{f' (and {task.count - 1} more)' * (task.count > 1)}: {found.reason}"
        for task, found in zip(tasks, lookups, strict=True)
        if not found.status.is_hit
    ]
    if missed:
        raise MissingRecordError(
            f"{len(missed)} of {len(tasks)} tasks have no record that applies.\n"
            + "\n".join(missed)
        )


def _verify(
    network: Network, executable: Executable, target: HexagonTarget, opened: Device
) -> tuple[Execution, ...]:
    tables = executable.tables
    inputs = drawn_inputs(network)
    with tempfile.TemporaryDirectory(prefix="vrmpy-tune-") as place:
        path = Path(place) / OBJECT
        path.write_bytes(executable.code)
        program = Program(path, tables.inputs, tables.outputs, tables.parameters)
        executions = execute(program, inputs, opened, target)
    for kind, given, execution in zip(INPUT_SETS, inputs, executions, strict=True):
        check_outputs(network, given, execution.outputs, f"the inputs '{kind}'")
    return executions


def _packets(
    network: Network, task: NetworkTask, execution: Execution
) -> tuple[tuple[int, int], ...]:
    return tuple(
        (int(total), int(critical))
        for layer, (total, critical) in zip(network.layers, execution.layers, strict=True)
        if layer.workload == task.workload
    )


def _manifest(
    compiled: Sequence[CompiledNetworkTask],
    target: HexagonTarget,
    source: Mapping[str, str] | None,
    verified: bool,
) -> dict[str, Any]:
    kept = (
        "workload", "count", "space", "record", "metric", "status", "lookup", "reason", "vrmpy",
        "codegen",
    )  # fmt: skip
    entries = [task.as_json() for task in compiled]
    return {
        "target": target.name,
        "toolchain": provenance(),
        "model": dict(source or {}),
        "kernels": [{name: entry[name] for name in kept} for entry in entries],
        "tensorized": tensorized(tuple((one.task, one.built) for one in compiled)),
        "verified": list(INPUT_SETS) if verified else [],
    }


def _not_tunable(task: NetworkTask) -> str:
    return f"No search space covers {task.workload.operator}; it is compiled as it stands."
