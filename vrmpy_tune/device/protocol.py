"""The protocol that every device implements, and what passes over it.

A device gets an object file (plain TVM ABI: it defines ``__tvm_ffi_<symbol>``), links it
with its own runtime, runs it on each input set, and returns raw outputs and counts.  It never
judges an output: that is :mod:`vrmpy_tune.verification`'s work.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    import numpy as np

    from vrmpy_tune.measurement import Counts, Outcome
    from vrmpy_tune.target import HexagonTarget


@dataclass(frozen=True)
class TensorSpec:
    """Shape and data type (numpy name, for example ``"uint8"``) of one kernel argument."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Job:
    """One kernel to run.

    Attributes
    ----------
    object_file:
        Path of the object file.
    symbol:
        The kernel's name without the ``__tvm_ffi_`` prefix.
    inputs, outputs:
        The kernel's arguments in order: all inputs, then all outputs.
    time_metric:
        Metric of the time that is to be estimated besides, if any; one of the device's metrics.
    """

    object_file: Path
    symbol: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    time_metric: str | None = None


@dataclass(frozen=True)
class Limits:
    """When to stop a run.

    Attributes
    ----------
    packets:
        Packets that one kernel call may execute before it is cut; ``None`` for no limit.  Not
        every device can enforce it.
    cpu_s:
        CPU seconds for the whole run: exceeding it is the candidate's fault, whatever the load.
    wall_s:
        Wall-clock seconds for the whole run: exceeding it may be the machine's fault.
    memory_bytes:
        Address space of the simulator process.
    """

    packets: int | None = None
    cpu_s: float = 60.0
    wall_s: float = 180.0
    memory_bytes: int = 4 << 30


@dataclass(frozen=True)
class RunResult:
    """What a device returns.

    Attributes
    ----------
    outcome:
        ``OK`` when every call returned; ``WRONG_RESULT`` when the device itself saw a violation
        (guard bytes overwritten, misaligned access); else the class of failure.
    message:
        Empty when OK, else a sentence: what happened, and where.
    outputs:
        For each input set the output arrays.
    counts:
        For each input set what was counted during the kernel call.
    alignment_checked:
        Whether scalar accesses were checked for natural alignment.
    retryable:
        Whether the failure may be the machine's rather than the candidate's: wall-clock time ran
        out.
    ran_on:
        Which of the device's parts ran it; empty if the device is but one.
    """

    outcome: Outcome
    message: str = ""
    outputs: tuple[tuple[np.ndarray, ...], ...] = ()
    counts: tuple[Counts, ...] = ()
    alignment_checked: bool = False
    retryable: bool = False
    ran_on: str = ""


@dataclass(frozen=True)
class DeviceInfo:
    """What a device says of itself.

    Attributes
    ----------
    description:
        One line that goes into records as provenance.
    targets:
        Names of the targets it can run.
    metrics:
        Metrics it can measure.
    slots:
        Kernels that it can run at once.
    checks_alignment, limits_packets:
        Whether it checks the addresses of scalar accesses, and can cut a run beyond its packets.
    clock:
        ``"simulated"`` where packets are counted, and nothing depends on a clock; for hardware what
        its clock does while it measures, for example ``"fixed 1190 MHz"``.
    versions:
        What its figures may depend on.
    """

    description: str
    targets: tuple[str, ...]
    metrics: tuple[str, ...]
    slots: int
    checks_alignment: bool = False
    limits_packets: bool = False
    clock: str = "simulated"
    versions: dict[str, str] = field(default_factory=dict)


def why_unverified(info: DeviceInfo, target: HexagonTarget) -> str | None:
    """Return why code for a target that no simulator runs cannot be verified on a device.

    ``None`` if the device runs it, or if there is a simulator that would: then it is an error to
    leave the verification out.
    """
    if target.name in info.targets or target.qemu_cpu:
        return None
    return (
        f"QEMU has no model of {target.name}, and the device ({info.description}) does not run it."
    )


class Device(Protocol):
    """Something that runs kernels.  All methods may be called from several threads at once."""

    def info(self) -> DeviceInfo:
        """Describe the device."""
        ...

    def run(
        self,
        job: Job,
        input_sets: tuple[tuple[np.ndarray, ...], ...],
        target: HexagonTarget,
        limits: Limits,
    ) -> RunResult:
        """Run ``job`` once on each input set.

        Never raises for what a candidate does; raises
        :class:`vrmpy_tune.errors.DeviceError` when the device cannot be used at all (not installed,
        unknown target).
        """
        ...

    def close(self) -> None:
        """Release what the device holds; further calls raise DeviceError."""
        ...

    def __enter__(self) -> Device: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


@runtime_checkable
class Ensemble(Device, Protocol):
    """A device of several parts, any of which may be sick: doubtful results can be checked."""

    def run_elsewhere(
        self,
        job: Job,
        input_sets: tuple[tuple[np.ndarray, ...], ...],
        target: HexagonTarget,
        limits: Limits,
        ran_on: str,
    ) -> RunResult:
        """Run ``job`` on another part than ``ran_on``, if there is one; raises as ``run``."""
        ...

    def report_sick(self, ran_on: str, reason: str) -> None:
        """Say that a part returned what another one shows to be wrong.

        Parts that are reported again and again are taken out of service.
        """
        ...
