"""Running a compiled network on the arrays of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vrmpy_tune.compiler.run import read_arrays, write_arrays
from vrmpy_tune.measurement import DEFAULT_METRIC
from vrmpy_tune.model.compiled import CompiledModel
from vrmpy_tune.model.verification import SEED

if TYPE_CHECKING:
    from pathlib import Path

    from vrmpy_tune.model.compiled import ModelRun
    from vrmpy_tune.model.network import Port


def run_files(
    directory: Path,
    *,
    inputs: Path | None = None,
    output: Path | None = None,
    device: str = "qemu",
    verify: bool = True,
    metric: str = DEFAULT_METRIC,
) -> ModelRun:
    """Run a network on a device.

    Parameters
    ----------
    directory:
        Its artifact directory.
    inputs:
        ``.npz`` file with the arrays by the inputs' names; random ones by default.
    output:
        ``.npz`` file that gets the outputs by name.
    device:
        Where to run.
    verify:
        Compare the outputs with the interpreter's.
    metric:
        What is wanted besides packets: an estimated time, or nothing.

    Raises
    ------
    ArtifactError, UsageError
        If the artifact or the inputs do not fit.
    VerificationError
        If an output is wrong.
    DeviceError
        If the device cannot run it.
    """
    model = CompiledModel(directory)
    if inputs is None:
        source, arrays = "the random inputs", {port.name: _random(port) for port in model.inputs}
    else:
        source, arrays = f"--input {inputs}", read_arrays(inputs)
    run = model.profile(arrays, device=device, verify=verify, source=source, metric=metric)
    if output is not None:
        write_arrays(output, run.outputs)
    return run


def _random(port: Port) -> np.ndarray:
    """Return values of the whole range of an input."""
    generator = np.random.default_rng(SEED)
    limits = np.iinfo(port.integer_dtype if port.dtype == "float32" else port.dtype)
    integers = generator.integers(limits.min, limits.max + 1, port.shape)
    if port.dtype != "float32":
        return integers.astype(port.dtype)
    values: np.ndarray = ((integers - port.zero_point) * port.scale).astype(np.float32)
    return values
