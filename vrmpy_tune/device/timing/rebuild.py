"""From measurements to traces: the kernels that were measured, built again and traced."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from vrmpy_tune.device.protocol import Job
from vrmpy_tune.device.timing.published import PublishedKernel, convolution, stream
from vrmpy_tune.errors import BuildError
from vrmpy_tune.target import TARGETS
from vrmpy_tune.toolchain import codegen, zig
from vrmpy_tune.toolchain.link import link_relocatable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import tvm

    from vrmpy_tune.device.qemu import QemuDevice
    from vrmpy_tune.device.timing.points import Point
    from vrmpy_tune.toolchain.pool import CodegenPool

_TARGET: Final = TARGETS["hexagon-v68"]

_GENERATOR: Final = next(one for one in codegen.CODE_GENERATORS if one.by_tvm)
"""TVM's own, as it was then."""

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


def published_kernel(point: Point) -> PublishedKernel | None:
    """Return the program that a published measurement ran, or ``None`` if it is not known."""
    if found := _STREAM.fullmatch(point.workload):
        return stream(found[1], int(found[2]), point.threads or 1)
    if point.source == "TVM PR 13005" and (found := _CONVOLUTION.fullmatch(point.workload)):
        return convolution(int(found[1]), int(found[2]))
    return None


def trace_points(
    points: Iterable[Point], device: QemuDevice, pool: CodegenPool, directory: Path
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

    Raises
    ------
    DeviceError
        If the device cannot write traces.
    BuildError
        If a kernel does not build.
    """
    for number, point in enumerate(points):
        kernel = published_kernel(point)
        if kernel is None:
            continue
        with tempfile.TemporaryDirectory(prefix="vrmpy-tune-") as scratch:
            job = _build(kernel, pool, Path(scratch))
            trace = directory / f"{number}.trace"
            counts = device.trace(job, _operands(kernel), _TARGET, trace)
        yield TracedPoint(point, trace, counts.packets_critical)


def _operands(kernel: PublishedKernel) -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(0)
    return tuple(random.integers(0, 16, one.shape).astype(one.dtype) for one in kernel.inputs)


def _build(kernel: PublishedKernel, pool: CodegenPool, directory: Path) -> Job:
    text = pool.generate(_json(kernel.module), _TARGET, by_tvm=_GENERATOR.by_tvm)
    compiled = codegen.to_object(text, _GENERATOR, _TARGET, directory)
    assembly = compiled.assembly.replace("call memset\n", "call published_memset\n")
    if re.search(r"\bcall mem(set|cpy|move)\b", assembly):
        raise BuildError("A published kernel calls a memory function that has not been rebuilt.")
    called = zig.assemble(assembly, _TARGET, directory, name="called")
    memset = directory / "memset.o"
    zig.compile_c(_MEMSET, _TARGET, memset, ["-fno-builtin", "-fno-strict-aliasing"])
    merged = directory / "merged.o"
    link_relocatable([called.object_file, memset], merged)
    return Job(merged, "main", kernel.inputs, (kernel.output,))


def _json(module: tvm.IRModule) -> str:
    import tvm

    return str(tvm.ir.save_json(module))
