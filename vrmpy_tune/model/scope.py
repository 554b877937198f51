"""What the rules of the integer rewrite share: the float graph, and the integers made so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from tvm import ir, relax

from vrmpy_tune.errors import ModelError
from vrmpy_tune.model.kernels import bind, emit_kernel, shape_of
from vrmpy_tune.model.weights import Quantization, quantization

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vrmpy_tune.model.reading import Graph, Step
    from vrmpy_tune.workload import Workload


@dataclass(frozen=True)
class Quantized:
    """A tensor of the integer function.

    Attributes
    ----------
    value:
        The expression: u8, images with the channels last.
    shape:
        The tensor's shape in the float graph, images with the channels first.
    scale, zero_point:
        What its elements mean.
    off:
        By how much of a unit elements are moved where a bound of an activation lies between two.
    """

    value: Any
    shape: tuple[int, ...]
    scale: float
    zero_point: int
    off: float = 0.0

    def same_quantization(self, other: Quantized | Target) -> bool:
        """Whether elements of both mean the same."""
        return (self.scale, self.zero_point) == (other.scale, other.zero_point)


@dataclass(frozen=True)
class Target:
    """How a result is to be quantized.

    Attributes
    ----------
    scale, zero_point:
        Of the result.
    bounds:
        Smallest and largest element that activations leave.
    """

    scale: float
    zero_point: int
    bounds: tuple[int, int]

    @property
    def activation(self) -> str:
        """The workload's ``act``.

        Quantizers leave out a ReLU that clipping at the lowest element does as well.  It is
        written nevertheless, so that the same layer is the same workload whoever quantized it.
        """
        low, high = self.bounds
        if high < _HIGHEST:
            return "clip"
        return "relu" if low == self.zero_point or low > 0 else "none"


@dataclass
class Scope:
    """The rewrite's state.

    Attributes
    ----------
    graph:
        The float graph.
    builder:
        Writes the integer function.
    move:
        Finds the integers behind a float value that is only moved; set by the rewrite.
    """

    graph: Graph
    builder: relax.BlockBuilder
    move: Callable[[Any], Quantized | None]
    entries: dict[Any, Quantized] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)

    def emit(self, name: str, workload: Workload, operands: Sequence[Any]) -> Any:
        """Write a kernel; operands as :func:`~vrmpy_tune.model.kernels.emit_kernel` takes them.

        Its name is one that no other kernel and no input has.
        """
        return emit_kernel(self.builder, self.unique(name), workload, operands)

    def unique(self, hint: str) -> str:
        """Return a name that nothing has yet, and take it."""
        name, number = hint, 1
        while name in self.names:
            number += 1
            name = f"{hint}_{number}"
        self.names.add(name)
        return name

    def bytes_of(self, value: Any) -> Any:
        """Return the kernel's result, or the input, whose bytes a value has in some shape."""
        before = self.builder.lookup_binding(value) if isinstance(value, relax.Var) else None
        if isinstance(before, relax.Call) and before.op == ir.Op.get("relax.reshape"):
            return before.args[0]
        return value

    def view(self, value: Any, shape: tuple[int, ...]) -> Any:
        """Return a tensor in another shape of as many elements, whose bytes stay in place."""
        value = self.bytes_of(value)
        if shape_of(value) == shape:
            return value
        return bind(self.builder, "view", relax.op.reshape(value, shape))

    def activations(self, step: Step, index: int, target: Target | None = None) -> Quantized:
        """Return an argument of a step as integers.

        Parameters
        ----------
        target:
            How the result is quantized, if its values are at most as far off as the argument's.

        Raises
        ------
        ModelError
            If it is not quantized, or clipped at a bound that no element is; the message names the
            node.
        """
        found = self.move(step.arguments[index])
        if found is None:
            before = self.graph.step(step.arguments[index])
            source = f"the result of {before.describe()}" if before else "a float tensor"
            raise ModelError(
                f"{step.describe()} takes {source}, which is not quantized; "
                "quantize the model with QuantizeLinear and DequantizeLinear around every operator."
            )
        self.check_bounds(step, found, target)
        return found

    def check_bounds(self, step: Step, source: Quantized, target: Target | None = None) -> None:
        """Refuse what an activation clipped at a bound that is no element of its tensor.

        Parameters
        ----------
        target:
            As :meth:`activations` has it: half a unit of the result is rounding.
        """
        rounding = target is not None and source.off * source.scale / target.scale <= HALF
        if source.off and not rounding:
            raise ModelError(
                f"{step.describe()} takes a tensor that is clipped at a bound between two of its "
                f"elements, {source.off:.2g} units of its scale of {source.scale:g} from the "
                "nearest; quantize it again behind the activation, or choose a scale that has the "
                "bound."
            )

    def quantization(self, step: Step) -> Quantization:
        """Return scale and zero point of a ``quantize`` or ``dequantize`` step."""
        return quantization(self.graph, step)


HALF: Final = 0.5
"""What rounding moves a result by at most, in units of its scale."""

_HIGHEST = np.iinfo(np.uint8).max
