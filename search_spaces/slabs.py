"""Weights on their way through VTCM.

Each task brings the weights of its next output vectors into VTCM, a slab at a time, and uses it for
all its rows.  Slabs follow one another in the packed weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from search_spaces.memory import Memory
from vrmpy_tune.intrin.slab import Mover, slab_load
from vrmpy_tune.target import LANES, REDUCE, VECTOR_BYTES
from vrmpy_tune.toolchain.transfers import ASYNC_STAGES, PIPELINE_ORDER, PIPELINE_STAGE

if TYPE_CHECKING:
    from tvm.s_tir import Schedule

    from search_spaces.geometry import Geometry
    from vrmpy_tune.target import HexagonTarget

VECTOR_PACKETS: Final = {Memory.COPIED: 15.0, Memory.DMA: 10.0, Memory.PIPELINED: 10.0}
"""What bringing a vector into VTCM costs, in packets of all contexts together: four of them wait
for what moves at 3 to 6 ns a vector (``device/timing/profiles``)."""

STEP_DEPTH: Final = 2
"""Loops round a slab: the parallel one, and that over the task's slabs."""


def slab_shape(geometry: Geometry, vectors: int) -> tuple[int, ...]:
    """Return the extents of the packed weights of some output vectors."""
    return (vectors, *geometry.kernel, geometry.words, LANES, REDUCE)


def slab_bytes(geometry: Geometry, vectors: int) -> int:
    """Return the bytes of the packed weights of some output vectors."""
    height, width = geometry.kernel
    return vectors * height * width * geometry.words * VECTOR_BYTES


def fits(memory: Memory, geometry: Geometry, vectors: int, target: HexagonTarget) -> bool:
    """Whether all contexts have room in VTCM for their slabs of so many output vectors."""
    needed = memory.slabs * target.contexts * slab_bytes(geometry, vectors)
    return needed <= target.vtcm_bytes


def stage_slabs(
    sch: Schedule, memory: Memory, slab: Any, step: Any, *, shape: tuple[int, ...], dtype: str
) -> None:
    """Bring each slab into VTCM when its step of the task begins, or one step before.

    Parameters
    ----------
    slab:
        The block that copies weights into VTCM.
    step:
        The loop over the task's slabs.
    shape:
        What :func:`slab_shape` says.
    dtype:
        Data type of the packed weights.
    """
    sch.compute_at(slab, step)
    inner = sch.get_loops(slab)[STEP_DEPTH:]
    if memory is Memory.PIPELINED:
        sch.fuse(*inner)
        sch.annotate(step, PIPELINE_STAGE, [0, 1])
        sch.annotate(step, PIPELINE_ORDER, [0, 1])
        sch.annotate(step, ASYNC_STAGES, [0])
        return
    mover = Mover.DMA if memory is Memory.DMA else Mover.VECTORS
    while shape[0] == 1:
        shape = shape[1:]
    sch.tensorize(inner[0], slab_load(mover, shape, dtype))


def moving_packets(memory: Memory, geometry: Geometry, chunks: int, steps: int) -> float:
    """Return what bringing all weights into VTCM costs, about, in packets of all contexts together.

    Parameters
    ----------
    chunks:
        How often each weight is brought.
    steps:
        Slabs of a task; where they are brought one ahead, the first is waited for.
    """
    vectors = slab_bytes(geometry, geometry.vectors) * geometry.groups // VECTOR_BYTES
    exposed = 1 / steps if memory is Memory.PIPELINED else 1.0
    return VECTOR_PACKETS[memory] * chunks * vectors * exposed
