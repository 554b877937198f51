"""From a network to the executor's tables in C, and its parameters in one file.

The tables say for each layer which kernel runs on which tensors, and for each tensor whether it
lies in the parameters, in the arena, or is an argument.  ``device/network/executor.c`` runs them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from vrmpy_tune.device.protocol import TensorSpec
from vrmpy_tune.errors import ModelError
from vrmpy_tune.model.plan import ALIGNMENT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from search_spaces.space import Space
    from vrmpy_tune.model.network import Layer, Network
    from vrmpy_tune.model.plan import Plan
    from vrmpy_tune.workload import Workload

MAX_OPERANDS: Final = 16
"""Arguments of one kernel; ``NETWORK_MAX_OPERANDS`` of ``device/network/network.h``."""

_CODES: Final = {"i": 0, "u": 1}
"""DLPack's type codes by numpy's kinds."""


class Place(IntEnum):
    """Where a tensor's bytes are; ``network_place`` of ``device/network/network.h``."""

    PARAMETERS = 0
    ARENA = 1
    ARGUMENT = 2


@dataclass(frozen=True)
class Row:
    """One tensor as a kernel sees it.

    Attributes
    ----------
    place, offset:
        Where its bytes are: from the begin of the parameters or the arena, or the number of the
        argument.
    spec:
        Its shape and type.
    """

    place: Place
    offset: int
    spec: TensorSpec


@dataclass(frozen=True)
class Step:
    """A layer's kernel, by its number, and its arguments."""

    kernel: int
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Tables:
    """What the executor needs to run a network.

    Attributes
    ----------
    kernels:
        Distinct workloads; a step's kernel is an index into them.
    steps:
        The layers in order.
    parameters:
        All constants, arranged for the kernels, as bytes.
    arena_bytes:
        Size of the arena.
    inputs, outputs:
        Arguments of the network's function: the parameters come first of the inputs, the counters
        last of the outputs.
    """

    kernels: tuple[Workload, ...]
    steps: tuple[Step, ...]
    parameters: np.ndarray = field(repr=False)
    arena_bytes: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def as_c(self) -> str:
        """Return the C source that defines ``__tvm_ffi_main``."""
        extents: list[int] = []
        rows: list[str] = []
        layers: list[str] = []
        for step in self.steps:
            layers.append(f"{{{kernel_symbol(step.kernel)}, {len(rows)}u, {len(step.rows)}u}},")
            for row in step.rows:
                dtype = np.dtype(row.spec.dtype)
                kind = f"{_CODES[dtype.kind]}, {8 * dtype.itemsize}, {len(row.spec.shape)}"
                rows.append(f"{{{row.place:d}, {kind}, {len(extents)}u, {row.offset}u}},")
                extents.extend(row.spec.shape)
        signature = "void *self, const TVMFFIAny *arguments, int32_t count, TVMFFIAny *result"
        declared = [
            f"int {kernel_symbol(number)}({signature});" for number in range(len(self.kernels))
        ]
        numbers = ", ".join(map(str, extents))
        return "\n".join([
            '#include "network.h"',
            *declared,
            f"static const int64_t extents[] = {{{numbers}}};",
            "static const struct network_tensor tensors[] = {", *rows, "};",
            "static const struct network_layer layers[] = {", *layers, "};",
            "static const struct network network = {",
            f"layers, {len(layers)}u, tensors, extents,",
            f"{len(self.inputs) + len(self.outputs)}u,",
            f"{self.parameters.size}u, {self.arena_bytes}u}};",
            f"int __tvm_ffi_main({signature}) {{",
            "(void)self, (void)result;",
            "return network_run(&network, arguments, count);",
            "}",
            "",
        ])  # fmt: skip


def kernel_symbol(number: int) -> str:
    """Return the symbol of a kernel in the network's object."""
    return f"network_kernel_{number}"


def build_tables(network: Network, plan: Plan, spaces: Mapping[Workload, Space]) -> Tables:
    """Arrange the constants and say where every tensor is.

    Parameters
    ----------
    plan:
        Where intermediate tensors lie.
    spaces:
        The form that each workload is compiled in, which says how its constants are packed.

    Raises
    ------
    ModelError
        If a kernel takes more arguments than the executor passes.
    """
    return _Builder(network, plan, spaces).tables()


class _Builder:
    def __init__(self, network: Network, plan: Plan, spaces: Mapping[Workload, Space]) -> None:
        self.network, self.plan, self.spaces = network, plan, spaces
        self.pieces: list[np.ndarray] = []
        self.parameter_bytes = 0
        self.kernels: dict[Workload, int] = {}
        self.arguments: dict[str, int] = {}

    def tables(self) -> Tables:
        network = self.network
        for port in (*network.inputs, *network.outputs):
            self.arguments[port.tensor] = 1 + len(self.arguments)
        steps = tuple(self._step(layer) for layer in network.layers)
        parameters = np.zeros(max(1, self.parameter_bytes), np.uint8)
        at = 0
        for piece in self.pieces:
            parameters[at : at + piece.size] = piece
            at += _rounded(piece.size)
        inputs = [TensorSpec((parameters.size,), "uint8")]
        inputs += [TensorSpec(port.integer_shape, port.integer_dtype) for port in network.inputs]
        outputs = [TensorSpec(port.integer_shape, port.integer_dtype) for port in network.outputs]
        outputs.append(TensorSpec((len(steps), 2), "int64"))
        return Tables(
            tuple(self.kernels), steps, parameters, self.plan.arena_bytes,
            tuple(inputs), tuple(outputs),
        )  # fmt: skip

    def _step(self, layer: Layer) -> Step:
        workload = layer.workload
        space = self.spaces[workload]
        kernel = self.kernels.setdefault(workload, len(self.kernels))
        # Spaces pass what they do not pack on as it is, which tells tensors from constants.
        tensors: dict[int, str] = {}
        operands = []
        for operand, tensor in layer.operands():
            if tensor is None:
                operands.append(layer.constants[operand.name])
            else:
                empty = np.broadcast_to(np.zeros((), operand.numpy_type), operand.shape)
                tensors[id(empty)] = tensor
                operands.append(empty)
        rows = []
        arguments = space.arguments(workload, tuple(operands))
        for array, spec in zip(arguments, space.inputs(workload), strict=True):
            tensor = tensors.get(id(array))
            rows.append(self._constant(array, spec) if tensor is None else self._row(tensor, spec))
        rows.append(self._row(layer.output, space.output(workload)))
        if len(rows) > MAX_OPERANDS:
            raise ModelError(f"The layer {layer.name} has more than {MAX_OPERANDS} arguments.")
        return Step(kernel, tuple(rows))

    def _row(self, tensor: str, spec: TensorSpec) -> Row:
        if tensor in self.arguments:
            return Row(Place.ARGUMENT, self.arguments[tensor], spec)
        return Row(Place.ARENA, self.plan.offsets[tensor], spec)

    def _constant(self, array: np.ndarray, spec: TensorSpec) -> Row:
        row = Row(Place.PARAMETERS, self.parameter_bytes, spec)
        raw = np.ascontiguousarray(array, spec.dtype).reshape(-1).view(np.uint8)
        self.pieces.append(raw)
        self.parameter_bytes += _rounded(raw.size)
        return row


def _rounded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
