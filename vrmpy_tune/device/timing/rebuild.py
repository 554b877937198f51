"""From measurements to traces: the kernels that were measured, built again and traced."""

from __future__ import annotations

import os
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from vrmpy_tune.device.protocol import Job
from vrmpy_tune.device.timing.published import (
    ALIGNMENT,
    PublishedKernel,
    convolution,
    dense,
    stream,
)
from vrmpy_tune.target import TARGETS
from vrmpy_tune.toolchain import codegen, zig
from vrmpy_tune.toolchain.link import link_relocatable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import tvm

    from vrmpy_tune.device.qemu import QemuDevice
    from vrmpy_tune.device.timing.points import Point
    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.toolchain.pool import CodegenPool

TARGET: Final = TARGETS["hexagon-v68"]

GENERATORS: Final = {one.name: one for one in codegen.CODE_GENERATORS}

WORKERS: Final = len(os.sched_getaffinity(0))
"""Kernels that are built and run at once."""

AS_PUBLISHED: Final = next(one.name for one in codegen.CODE_GENERATORS if one.by_tvm)
"""The code generator that the kernels were measured with: TVM's own, in an older version."""

_STREAM: Final = re.compile(r"(vrmpy|vmpy|vadd) stream n=(\d+)")
_CONVOLUTION: Final = re.compile(r"conv-approx (\d+) rows, w=(\d+)")

_MEMSET: Final = Path(__file__).parent / "published_memset.c"


@dataclass(frozen=True)
class TracedPoint:
    """A measurement and the trace of its kernel.

    Attributes
    ----------
    point:
        The measurement.
    trace:
        The trace's file.
    packets:
        Packets on its critical path.
    """

    point: Point
    trace: Path
    packets: int


@dataclass(frozen=True)
class OwnCall:
    """A call that the user measured.

    Attributes
    ----------
    job, operands, target:
        What was called, with what, and what it was compiled for.
    """

    job: Job
    operands: tuple[np.ndarray, ...]
    target: HexagonTarget


def published_kernel(point: Point, alignment: int = ALIGNMENT) -> PublishedKernel | None:
    """Return the program that a published measurement ran, or ``None`` if it is not known.

    Parameters
    ----------
    point:
        The measurement.
    alignment:
        Alignment of the program's buffers, in bytes.
    """
    if found := _STREAM.fullmatch(point.workload):
        return stream(found[1], int(found[2]), point.threads or 1, alignment)
    if found := _CONVOLUTION.fullmatch(point.workload):
        return convolution(int(found[1]), int(found[2]), alignment)
    if point.source == "TVM PR 12854":
        return dense(alignment)
    return None


def trace_points(
    points: Iterable[Point],
    device: QemuDevice,
    pool: CodegenPool,
    directory: Path,
    *,
    generator: str = AS_PUBLISHED,
    alignment: int = ALIGNMENT,
    scalar_memset: bool = True,
    own: Callable[[Point], OwnCall | None] = lambda _: None,
) -> Iterator[TracedPoint]:
    """Build, run and trace the kernels of those measurements whose programs are known.

    Parameters
    ----------
    points:
        Measurements.
    device, pool:
        Where kernels run, and where code is generated.
    directory:
        Gets the traces.
    generator:
        Name of the code generator.
    alignment:
        Alignment of the kernels' buffers, in bytes.
    scalar_memset:
        Whether kernels clear memory with the phone's memset, else with our runtime's.
    own:
        Returns the call behind a measurement of the user's own.

    Raises
    ------
    DeviceError
        If the device cannot write traces.
    BuildError
        If a kernel does not build.
    """

    def trace_one(numbered: tuple[int, Point]) -> TracedPoint | None:
        number, point = numbered
        trace = directory / f"{number}.trace"
        if call := own(point):
            counts = device.trace(call.job, call.operands, call.target, trace)
            return TracedPoint(point, trace, counts.packets_critical)
        kernel = published_kernel(point, alignment)
        if kernel is None:
            return None
        with tempfile.TemporaryDirectory(prefix="vrmpy-tune-") as scratch:
            job = build(
                kernel, pool, GENERATORS[generator], Path(scratch), scalar_memset=scalar_memset
            )
            counts = device.trace(job, _operands(kernel), TARGET, trace)
        return TracedPoint(point, trace, counts.packets_critical)

    with ThreadPoolExecutor(WORKERS, "trace") as threads:
        for traced in threads.map(trace_one, enumerate(points)):
            if traced is not None:
                yield traced


def _operands(kernel: PublishedKernel) -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(0)
    return tuple(random.integers(0, 16, one.shape).astype(one.dtype) for one in kernel.inputs)


def build(
    kernel: PublishedKernel,
    pool: CodegenPool,
    generator: codegen.CodeGenerator,
    directory: Path,
    *,
    scalar_memset: bool = True,
) -> Job:
    """Return the call of a published program, built in ``directory``.

    Its memset is the phone's, or with ``scalar_memset=False`` that of our runtime.

    Raises
    ------
    BuildError
        If it does not build.
    """
    text = pool.generate(_json(kernel.module), TARGET, by_tvm=generator.by_tvm)
    compiled = codegen.to_object(text, generator, TARGET, directory)
    if not scalar_memset:
        return Job(compiled.object_file, "main", kernel.inputs, (kernel.output,))
    assembly = re.sub(r"\bcall memset\b", "call published_memset", compiled.assembly)
    called = zig.assemble(assembly, TARGET, directory, name="called")
    memset = directory / "memset.o"
    zig.compile_c(_MEMSET, TARGET, memset, ["-fno-builtin", "-fno-strict-aliasing"])
    merged = directory / "merged.o"
    link_relocatable([called.object_file, memset], merged)
    return Job(merged, "main", kernel.inputs, (kernel.output,))


def _json(module: tvm.IRModule) -> str:
    import tvm

    return str(tvm.ir.save_json(module))
