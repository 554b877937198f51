"""Building one kernel and running it, outside a search."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tvm

from vrmpy_tune.device.protocol import Job, Limits, TensorSpec
from vrmpy_tune.errors import BuildError, BuildTimeoutError, DeviceError, VerificationError
from vrmpy_tune.measurement import DEFAULT_METRIC, Measurement, Outcome, is_time
from vrmpy_tune.toolchain.assembly import count_multiplies
from vrmpy_tune.toolchain.codegen import to_object
from vrmpy_tune.tune.candidate import code_generator

if TYPE_CHECKING:
    import numpy as np

    from vrmpy_tune.device.protocol import Device, RunResult
    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.toolchain.codegen import CodeGenerator
    from vrmpy_tune.toolchain.pool import CodegenPool
    from vrmpy_tune.verification import Verifier


@dataclass(frozen=True)
class Kernel:
    """A compiled kernel.

    Attributes
    ----------
    inputs, output:
        Its arguments.
    code:
        The object file's bytes.
    assembly:
        The assembly text it was made from.
    tir:
        The scheduled program as TVMScript.
    generator:
        Name of the code generator that was used.
    fallback:
        Why that is not the one that the module asks for; empty where it is.
    """

    inputs: tuple[TensorSpec, ...]
    output: TensorSpec
    code: bytes
    assembly: str
    tir: str
    generator: str
    fallback: str = ""

    @property
    def multiplies(self) -> int:
        """Instructions of the vrmpy family in the assembly."""
        return count_multiplies(self.assembly)


def build_kernel(
    module: tvm.IRModule,
    inputs: tuple[TensorSpec, ...],
    output: TensorSpec,
    target: HexagonTarget,
    pool: CodegenPool,
    *,
    generator: CodeGenerator | None = None,
) -> Kernel:
    """Lower, compile and assemble a scheduled module.

    Parameters
    ----------
    module, inputs, output, target, pool:
        What to build, for what, and where.
    generator:
        The code generator, if not the one that the module asks for.

    Raises
    ------
    BuildError
        If it cannot be compiled; a time-out that may be the machine's is retried once.
    """
    generator = generator or code_generator(module)
    text = tvm.ir.save_json(module)
    for attempt in (1, 2):
        with tempfile.TemporaryDirectory(prefix="vrmpy-tune-") as directory:
            try:
                source = pool.generate(text, target, by_tvm=generator.by_tvm)
                compiled = to_object(source, generator, target, Path(directory))
            except BuildTimeoutError as error:
                if attempt == 1 and error.retryable:
                    continue
                raise
            code = compiled.object_file.read_bytes()
            return Kernel(
                inputs,
                output,
                code,
                compiled.assembly,
                module.script(),
                compiled.generator,
                compiled.fallback,
            )
    raise BuildError("The compiler timed out twice.")


def run_kernel(
    kernel: Kernel,
    input_sets: tuple[tuple[np.ndarray, ...], ...],
    verifier: Verifier,
    device: Device,
    target: HexagonTarget,
    *,
    metric: str = DEFAULT_METRIC,
    limits: Limits | None = None,
) -> Measurement:
    """Run a kernel on the verifier's inputs, in the layouts it wants, and check its output.

    Parameters
    ----------
    input_sets:
        For each of the verifier's input sets the arguments of the kernel.

    Raises
    ------
    VerificationError
        If the run fails or an output differs from the reference.
    DeviceError
        If the device cannot run it at all, or is gone.
    """
    time_metric = metric if is_time(metric) else None
    result = run_once(kernel, input_sets, device, target, time_metric=time_metric, limits=limits)
    return measurement_of(kernel, result, verifier, device, target=target, metric=metric)


def run_once(
    kernel: Kernel,
    input_sets: tuple[tuple[np.ndarray, ...], ...],
    device: Device,
    target: HexagonTarget,
    *,
    time_metric: str | None = None,
    limits: Limits | None = None,
) -> RunResult:
    """Run a kernel and return what the device says, unjudged.

    Parameters
    ----------
    time_metric:
        Metric of the time that is to be estimated besides.

    Raises
    ------
    DeviceError
        If the device cannot run it at all, or is gone.
    """
    with tempfile.TemporaryDirectory(prefix="vrmpy-tune-") as directory:
        path = Path(directory) / "kernel.o"
        path.write_bytes(kernel.code)
        job = Job(path, "main", kernel.inputs, (kernel.output,), time_metric)
        result = device.run(job, input_sets, target, limits or Limits())
    if result.outcome is Outcome.DEVICE_LOST:
        raise DeviceError(f"The device did not run a kernel: {result.message}")
    return result


def measurement_of(
    kernel: Kernel,
    result: RunResult,
    verifier: Verifier,
    device: Device,
    *,
    target: HexagonTarget,
    metric: str,
) -> Measurement:
    """Return what a run of a kernel says by a metric, if its output is right.

    Raises
    ------
    VerificationError
        If the run failed or an output differs from the reference.
    """
    measured = verifier.measure(
        result,
        target=target.name,
        metric=metric,
        static_vrmpy=kernel.multiplies,
        artifact=hashlib.sha256(kernel.code).hexdigest(),
        device=device.info().description,
    )
    if isinstance(measured, str):
        raise VerificationError(f"The kernel of {verifier.workload} is not right: {measured}")
    return measured
