"""Search space of concatenation: parts copied, a vector or a row at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from search_spaces.blocks import argument
from search_spaces.nests import Nest, NestSpace, block, function, module
from vrmpy_tune.intrin import hvx
from vrmpy_tune.target import VECTOR_BYTES
from vrmpy_tune.workload import Concat

if TYPE_CHECKING:
    import tvm

    from vrmpy_tune.workload import Workload

TILES: Final = (2, 16)
"""Most rows and vectors of a part in an unrolled body."""

LOOP_PACKETS: Final = 6
"""Packets that an unrolled body adds, as in :mod:`search_spaces.pad`."""

COPY_PACKETS: Final = 25
"""Packets of a call that copies a few bytes, as in :mod:`search_spaces.layout`."""


@dataclass(frozen=True)
class ConcatSpace(NestSpace):
    """Vectors loaded and stored where all parts are made of whole ones, else the runtime's copy."""

    def module(self, workload: Workload) -> tvm.IRModule:  # noqa: D102
        concat = _concat(workload)
        nests = iter(self.nests(workload))
        with function(concat) as builder:
            parts = [argument(one.name, one.shape, one.numpy_type) for one in concat.operands]
            output = argument("C", concat.output.shape, concat.output.numpy_type)
            total = concat.output.shape[1]
            placed = list(zip(parts, concat.parts, concat.offsets, strict=True))
            if _whole(concat):
                for part, size, offset in placed:
                    with block(next(nests), [part], output) as (row, vector):
                        within = vector * VECTOR_BYTES
                        value = hvx.load(part, row * size + within)
                        hvx.store(output, row * total + offset + within, value)
            else:
                with block(next(nests), parts, output) as (row,):
                    for part, size, offset in placed:
                        hvx.copy_bytes(output, row * total + offset, part, row * size, size)
        return module(builder)

    def nests(self, workload: Workload) -> tuple[Nest, ...]:  # noqa: D102
        concat = _concat(workload)
        if not _whole(concat):
            return (Nest("rows", (concat.rows,), (1,)),)
        return tuple(
            Nest(f"part{index}", (concat.rows, size // VECTOR_BYTES), TILES)
            for index, size in enumerate(concat.parts)
        )

    def cost(self, workload: Workload, tile: tuple[int, ...]) -> float:  # noqa: D102
        concat = _concat(workload)
        vectors = concat.macs / VECTOR_BYTES
        if not _whole(concat):
            return 2 * vectors + concat.rows * len(concat.parts) * COPY_PACKETS
        return vectors * (1 + LOOP_PACKETS / (tile[0] * tile[1]))


def _whole(concat: Concat) -> bool:
    return all(size % VECTOR_BYTES == 0 for size in concat.parts)


def _concat(workload: Workload) -> Concat:
    assert isinstance(workload, Concat)  # what ``applies`` accepts is one
    return workload


SPACES: Final = (ConcatSpace("concat", 1, "parts copied by vectors or by rows"),)
