"""Run a compiled artifact on a device."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from zipfile import BadZipFile, ZipFile

import numpy as np

from search_spaces import find_space
from vrmpy_tune.compiler.artifact import ONLY, StoredKernel, read_artifact
from vrmpy_tune.device.open import open_device
from vrmpy_tune.device.protocol import Job, Limits
from vrmpy_tune.errors import ArtifactError, DeviceError, UsageError, VerificationError
from vrmpy_tune.measurement import DEFAULT_METRIC, Counts, Outcome, is_time
from vrmpy_tune.regular import check_regular
from vrmpy_tune.target import parse_target
from vrmpy_tune.verification import Verifier
from vrmpy_tune.workload import parse_workload
from vrmpy_tune.workload.inputs import INPUT_SETS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vrmpy_tune.device.protocol import Device
    from vrmpy_tune.workload import Workload

OUTPUT: Final = "output"
"""Name of the array in ``--output`` files; those in ``--input`` are named as the operands."""

_UNREADABLE: Final = (
    OSError, ValueError, TypeError, EOFError, MemoryError, BadZipFile, zlib.error,
)  # fmt: skip
"""What ``numpy.load`` raises for a file that is no archive, is cut short, or is a single array."""


@dataclass(frozen=True)
class RunReport:
    """What running an artifact showed.

    Attributes
    ----------
    layers:
        For each kernel its workload and what was counted.
    """

    layers: tuple[tuple[Workload, Counts], ...]

    def as_json(self) -> dict[str, Any]:
        """Return the document of ``run --json``."""
        total = sum(counts.packets_total for _, counts in self.layers)
        return {
            "packets_total": total,
            "packets_critical": sum(counts.packets_critical for _, counts in self.layers),
            "estimated_us": self._total_us(),
            "layers": [
                {
                    "name": str(workload),
                    "packets_total": counts.packets_total,
                    "packets_critical": counts.packets_critical,
                    "macs": workload.macs,
                    "share": counts.packets_total / total if total else 0.0,
                    "estimated_us": counts.time.nanoseconds / 1e3 if counts.time else None,
                    "time_us": counts.time.as_json() if counts.time else None,
                }
                for workload, counts in self.layers
            ],
        }

    def _total_us(self) -> float | None:
        """Return the estimated time of all kernels, one after the other."""
        times = [counts.time for _, counts in self.layers]
        if not times or None in times:
            return None
        return sum(time.nanoseconds for time in times if time is not None) / 1e3


def run_artifact(
    directory: Path,
    *,
    inputs: Path | None = None,
    output: Path | None = None,
    device: str = "qemu",
    metric: str = DEFAULT_METRIC,
) -> RunReport:
    """Run the kernels of an artifact and verify their outputs.

    Parameters
    ----------
    directory:
        What :func:`~vrmpy_tune.compiler.compile_workloads` wrote.
    inputs:
        An ``.npz`` file with the workload's operands by name (``activations``, ``weights``, ...) in
        plain layouts, for an artifact of one kernel; the verifier's inputs by default.
    output:
        ``.npz`` file that gets ``output`` (one kernel), or an array for each kernel.
    device:
        Where to run.
    metric:
        What is wanted besides packets: an estimated time, or nothing.

    Raises
    ------
    ArtifactError, UsageError
        If the artifact or the inputs do not fit.
    VerificationError
        If an output differs from the reference.
    DeviceError
        If the device cannot run it.
    """
    kernels = read_artifact(directory)
    if inputs is not None and len(kernels) != 1:
        raise UsageError(
            f"--input fits an artifact of one kernel; {directory} has {len(kernels)}. "
            "Compile the workload into a directory of its own."
        )
    layers = []
    results: dict[str, np.ndarray] = {}
    with open_device(device) as opened:
        if metric not in opened.info().metrics:
            raise DeviceError(f"The device ({opened.info().description}) does not give {metric}.")
        for kernel in kernels:
            workload = parse_workload(kernel.workload)
            operands = None if inputs is None else _read_inputs(inputs, workload)
            counts, outcome = _run(kernel, workload, operands, opened, metric)
            layers.append((workload, counts))
            results[OUTPUT if kernel.name == ONLY else kernel.name] = outcome
    if output is not None:
        write_arrays(output, results)
    return RunReport(tuple(layers))


def stored_call(
    kernel: StoredKernel,
    workload: Workload,
    operands: tuple[np.ndarray, ...] | None = None,
    metric: str = DEFAULT_METRIC,
) -> tuple[Job, tuple[np.ndarray, ...], np.ndarray]:
    """Return a stored kernel's job, its arguments, and what it must return.

    Parameters
    ----------
    kernel, workload:
        The kernel, and what it computes.
    operands:
        Plain operands; the verifier's by default.
    metric:
        What is wanted besides packets: an estimated time, or nothing.

    Raises
    ------
    ArtifactError
        If this version does not know the kernel's form.
    """
    space = find_space(kernel.space)
    if space is None:
        raise ArtifactError(
            f"{kernel.object_file} was compiled in the form '{kernel.space}', which this version "
            "does not know; compile again."
        )
    if (kernel.inputs, kernel.output) != (space.inputs(workload), space.output(workload)):
        raise ArtifactError(
            f"{kernel.object_file} takes other arguments than {workload} has in the form "
            f"'{kernel.space}'; compile again."
        )
    if operands is None:
        operands = Verifier(workload, INPUT_SETS[:1]).input_sets[0].operands
    expected = workload.reference(*operands)
    time_metric = metric if is_time(metric) else None
    job = Job(kernel.object_file, "main", kernel.inputs, (kernel.output,), time_metric)
    return job, space.arguments(workload, operands), expected


def _run(
    kernel: StoredKernel,
    workload: Workload,
    operands: tuple[np.ndarray, ...] | None,
    device: Device,
    metric: str,
) -> tuple[Counts, np.ndarray]:
    job, arguments, expected = stored_call(kernel, workload, operands, metric)
    result = device.run(job, (arguments,), parse_target(kernel.target), Limits())
    if result.outcome is Outcome.DEVICE_LOST:
        raise DeviceError(result.message)
    if result.outcome is not Outcome.OK:
        raise VerificationError(f"{workload} did not run ({result.outcome}): {result.message}")
    actual = result.outputs[0][0]
    if not np.array_equal(actual, expected):
        wrong = int(np.count_nonzero(actual != expected))
        raise VerificationError(
            f"{wrong} of {expected.size} outputs of {workload} differ from the reference."
        )
    return result.counts[0], actual


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of an ``--input`` file by name.

    Raises
    ------
    UsageError
        If it is no ``.npz`` file.
    """
    try:
        check_regular(path)
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except _UNREADABLE as error:
        raise UsageError(f"--input {path} is not an .npz file of arrays ({error}).") from error


def _read_inputs(path: Path, workload: Workload) -> tuple[np.ndarray, ...]:
    arrays = read_arrays(path)
    for operand in workload.operands:
        array = arrays.get(operand.name)
        if array is None:
            needed = ", ".join(one.name for one in workload.operands)
            raise UsageError(
                f"--input {path} has no array '{operand.name}'; {workload} needs {needed}."
            )
        if array.shape != operand.shape or array.dtype != operand.numpy_type:
            raise UsageError(
                f"--input {path}: '{operand.name}' is {array.dtype}{list(array.shape)}, but "
                f"{workload} needs {operand.numpy_type}{list(operand.shape)}."
            )
    return tuple(arrays[operand.name] for operand in workload.operands)


def write_arrays(path: Path, results: Mapping[str, np.ndarray]) -> None:
    """Write the arrays of an ``--output`` file, an ``.npz`` archive, by name.

    ``numpy.savez`` takes names as keyword arguments, of which ``file`` is one of its own.

    Raises
    ------
    UsageError
        If it cannot be written.
    """
    try:
        with ZipFile(path, "w") as archive:
            for name, array in results.items():
                # An archive would cut the name where its text ends in C.
                member = f"{name}.npy".replace("\0", "\\0")
                with archive.open(member, "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)
    except OSError as error:
        raise UsageError(f"--output {path} cannot be written ({error.strerror}).") from error
    except (ValueError, struct.error) as error:
        raise UsageError(f"--output {path} cannot hold an array of this name ({error}).") from error
