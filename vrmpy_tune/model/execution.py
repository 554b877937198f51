"""Running a network's object on a device."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from vrmpy_tune.device.protocol import Job, Limits
from vrmpy_tune.errors import DeviceError, VerificationError
from vrmpy_tune.measurement import DEFAULT_METRIC, Outcome, is_time

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from vrmpy_tune.device.protocol import Device, TensorSpec
    from vrmpy_tune.measurement import Counts
    from vrmpy_tune.target import HexagonTarget

LIMITS: Final = Limits(cpu_s=1800.0, wall_s=5400.0)
"""For all input sets of one run; a tuned ResNet-50 takes 2 s a set in QEMU."""


@dataclass(frozen=True)
class Program:
    """A network that a device can run.

    Attributes
    ----------
    object_file:
        Defines ``__tvm_ffi_main``.
    inputs, outputs:
        Its arguments: the parameters come first of the inputs, the counters last of the outputs.
    parameters:
        The first argument.
    """

    object_file: Path
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameters: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class Execution:
    """What one run left.

    Attributes
    ----------
    outputs:
        The network's integer outputs.
    layers:
        For each layer its packets in all and on the critical path, int64 ``[layers, 2]``.
    counts:
        What was counted in the whole call.
    """

    outputs: tuple[np.ndarray, ...]
    layers: np.ndarray
    counts: Counts


def execute(
    program: Program,
    input_sets: tuple[tuple[np.ndarray, ...], ...],
    device: Device,
    target: HexagonTarget,
    metric: str = DEFAULT_METRIC,
) -> tuple[Execution, ...]:
    """Run the network once on each input set, and estimate its time if ``metric`` is one.

    Raises
    ------
    VerificationError
        If it does not run to its end.
    DeviceError
        If the device cannot run it at all, or is gone.
    """
    time_metric = metric if is_time(metric) else None
    job = Job(program.object_file, "main", program.inputs, program.outputs, time_metric)
    sets = tuple((program.parameters, *arrays) for arrays in input_sets)
    result = device.run(job, sets, target, LIMITS)
    if result.outcome is Outcome.DEVICE_LOST:
        raise DeviceError(f"The network did not run: {result.message}")
    if result.outcome is not Outcome.OK:
        raise VerificationError(f"The network did not run ({result.outcome}): {result.message}")
    return tuple(
        Execution(tuple(outputs[:-1]), outputs[-1], counts)
        for outputs, counts in zip(result.outputs, result.counts, strict=True)
    )
