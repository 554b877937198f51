"""The static memory plan: where in one arena each intermediate tensor lies.

A tensor lives from the layer that makes it to the last one that reads it.  Tensors are placed
largest first, each at the lowest offset where it overlaps no tensor that lives at the same time
("greedy by size": Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference",
2020).  TVM's ``StaticPlanBlockMemory`` reuses whole blocks only, and would need the kernels as
Relax calls once more; offsets in one arena are fewer bytes and this one function.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from vrmpy_tune.target import VECTOR_BYTES
from vrmpy_tune.workload.base import product

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vrmpy_tune.model.network import Layer, Network

ALIGNMENT: Final = VECTOR_BYTES


@dataclass(frozen=True)
class Lifetime:
    """A tensor's size, and when it is needed.

    Attributes
    ----------
    name:
        The tensor.
    size:
        Bytes.
    first, last:
        Numbers of the layer that makes it, and of the last one that reads it.
    """

    name: str
    size: int
    first: int
    last: int

    def meets(self, other: Lifetime) -> bool:
        """Whether both live at the same time."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Plan:
    """Offsets of the intermediate tensors.

    Attributes
    ----------
    offsets:
        Bytes from the arena's begin by tensor name, multiples of :data:`ALIGNMENT`.
    arena_bytes:
        Size of the arena.
    """

    offsets: Mapping[str, int]
    arena_bytes: int


def lifetimes(network: Network) -> tuple[Lifetime, ...]:
    """Return the intermediate tensors: what layers make, but for the network's outputs."""
    outside = {port.tensor for port in network.outputs}
    last = {
        tensor: number for number, layer in enumerate(network.layers) for tensor in layer.inputs
    }
    return tuple(
        Lifetime(layer.output, tensor_bytes(layer), number, last.get(layer.output, number))
        for number, layer in enumerate(network.layers)
        if layer.output not in outside
    )


def tensor_bytes(layer: Layer) -> int:
    """Return the bytes of a layer's output."""
    output = layer.workload.output
    return product(output.shape) * np.dtype(output.numpy_type).itemsize


def plan_memory(tensors: Iterable[Lifetime]) -> Plan:
    """Place the tensors."""
    placed: list[tuple[int, Lifetime]] = []
    for tensor in sorted(tensors, key=lambda one: (-one.size, one.first, one.name)):
        taken = sorted(
            (offset, offset + _rounded(other.size))
            for offset, other in placed
            if other.meets(tensor)
        )
        at = 0
        for begin, end in taken:
            if begin - at >= tensor.size:
                break
            at = max(at, end)
        placed.append((at, tensor))
    ends = [offset + _rounded(tensor.size) for offset, tensor in placed]
    return Plan({tensor.name: offset for offset, tensor in placed}, max(ends, default=0))


def _rounded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
