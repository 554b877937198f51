"""The integer rewrite: from dequantized operators between quantizations to integer kernels.

At each ``quantize`` of the float graph the operators behind it, back to the ``dequantize`` of its
inputs, are an island; a rule writes it as one kernel with its epilogue.  Activations are unsigned
throughout (signed ones move up by 128, as do their zero points), images have their channels last,
and nothing of the float graph is left.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import tvm
from tvm import relax
from tvm_ffi.error import register_error

from vrmpy_tune.errors import ModelError
from vrmpy_tune.model.interface import UserTensor, interface_text
from vrmpy_tune.model.kernels import shape_of
from vrmpy_tune.model.network import INTERFACE, TENSORS
from vrmpy_tune.model.reading import Graph, Step, plain_name
from vrmpy_tune.model.rules.concat import concat
from vrmpy_tune.model.rules.contraction import contraction
from vrmpy_tune.model.rules.elementwise import add, copied, multiply, requantized
from vrmpy_tune.model.rules.movement import (
    MOVES,
    flattened,
    image_in_channels_last,
    moved,
)
from vrmpy_tune.model.rules.pooling import average_pool, mean
from vrmpy_tune.model.scope import HALF, Quantized, Scope, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vrmpy_tune.model.frontend.softmax import Endings
    from vrmpy_tune.model.interface import Images


# Else TVM would hand errors of passes on as RuntimeError.
register_error(ModelError.__name__, ModelError)


@tvm.transform.module_pass(opt_level=0, name="IntegerKernels")
class IntegerKernels:
    """The pass.

    Parameters
    ----------
    inputs, outputs:
        Names of the model's inputs and outputs.
    images:
        The layout that its file has images in.
    endings:
        What the host computes of outputs.
    tensors:
        The tensor that each ``quantize`` makes in the model file, by the node's name.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        outputs: Sequence[str],
        images: Images = "nchw",
        endings: Endings | None = None,
        tensors: Mapping[str, str] | None = None,
    ) -> None:
        self._tensors = tensors or {}
        self._names = (tuple(inputs), tuple(outputs))
        self._images = images
        self._endings = endings or {}

    def transform_module(
        self, module: tvm.IRModule, _context: tvm.transform.PassContext
    ) -> tvm.IRModule:
        """Return the module whose ``main`` calls integer kernels only.

        Raises
        ------
        ModelError
            If an operator has no integer kernel; the message names the node.
        """
        rewrite = _Rewrite(module, *self._names, self._images, self._endings)
        made = rewrite.module()
        tensors = {
            name: [self._tensors.get(one, one) for one in nodes]
            for name, nodes in rewrite.quantizations.items()
        }
        made["main"] = made["main"].with_attr(TENSORS, json.dumps(tensors))
        return made


class _Rewrite:
    def __init__(
        self,
        module: tvm.IRModule,
        inputs: tuple[str, ...],
        outputs: tuple[str, ...],
        images: Images,
        endings: Endings,
    ) -> None:
        self._graph = Graph(module)
        self._images = images
        self._names = dict(zip(self._graph.main.params, inputs, strict=True))
        self._outputs = outputs
        self._endings = endings
        self._scope = Scope(self._graph, relax.BlockBuilder(), self._integers)
        self._made: dict[Any, Quantized] = {}
        """Integer tensors by the variable of the float graph that has their elements."""
        self._moved: dict[Any, Quantized | None] = {}
        self._inputs: dict[Any, UserTensor] = {}
        """Inputs by parameter of the integer function."""
        self.quantizations: dict[str, list[str]] = {}
        """Names of the ``quantize`` nodes whose results each kernel makes, or each input is."""

    def module(self) -> tvm.IRModule:
        """Return the integer module."""
        parameters = self._parameters()
        builder = self._scope.builder
        try:
            results = self._write(parameters)
        except Exception:
            # A block left open has TVM print a warning beside the error.
            builder._end_block()
            raise
        module = builder.get()
        text = interface_text(
            (self._inputs[one] for one in parameters),
            map(self._output, self._outputs, results),
        )
        module["main"] = module["main"].with_attr(INTERFACE, text)
        return relax.transform.DeadCodeElimination(["main"])(module)

    def _output(self, name: str, result: tuple[Quantized, str]) -> UserTensor:
        made, dtype = result
        softmax, dtype = self._endings.get(name, (None, dtype))
        return UserTensor(
            name, made.shape, dtype, made.scale, made.zero_point, self._images, softmax
        )

    def _write(self, parameters: list[Any]) -> list[tuple[Quantized, str]]:
        """Write ``main``; return its results, and their types in the model."""
        builder = self._scope.builder
        with builder.function("main", parameters):
            with builder.dataflow():
                for binding in self._graph.bindings:
                    step = self._graph.step(binding.var)
                    if step is not None and step.operator == "quantize":
                        self._island(binding.var, step)
                results = [self._result(one) for one in self._returned()]
                values: list[Any] = []
                for name, (one, _) in zip(self._outputs, results, strict=True):
                    # The device writes each output to a place of its own.
                    again = any(one.value.same_as(other) for other in values)
                    values.append(copied(self._scope, name, one) if again else one.value)
                output = builder.emit_output(values[0] if len(values) == 1 else values)
            builder.emit_func_output(output)
        return results

    def _parameters(self) -> list[Any]:
        """Return the integer function's parameters: the model's inputs, quantized."""
        found = []
        for old, name in self._names.items():
            dtype = str(old.ty.dtype.dtype) if hasattr(old.ty.dtype, "dtype") else str(old.ty.dtype)
            user = self._first_user(old, name, dtype)
            scale, zero_point = self._scope.quantization(user).of_activations(user)
            shape = shape_of(old)
            held = (shape[0], *shape[2:], shape[1]) if len(shape) == 4 else shape
            new = relax.Var(name, relax.TensorType(held, "uint8"))
            self._inputs[new] = UserTensor(name, shape, dtype, scale, zero_point, self._images)
            made = Quantized(new, shape, scale, zero_point)
            self._scope.unique(name)
            if user.operator == "quantize":
                self._scope.entries[old] = made
            else:
                self._made[old] = made
                self.quantizations[name] = [name]
            found.append(new)
        return found

    def _first_user(self, parameter: Any, name: str, dtype: str) -> Step:
        """Return the step that quantizes an input, or dequantizes one that is quantized."""
        wanted = "quantize" if dtype.startswith("float") else "dequantize"
        for binding in self._graph.bindings:
            step = self._graph.step(binding.var)
            if step is not None and any(parameter.same_as(one) for one in step.arguments):
                if step.operator == wanted:
                    return step
                raise ModelError(
                    f"The input '{name}' goes into {step.describe()} before it is quantized; "
                    "quantize the model's inputs, too."
                )
        raise ModelError(f"Nothing uses the model's input '{name}'; export the model without it.")

    def _returned(self) -> list[Any]:
        """Return the float graph's results."""
        body = self._graph.main.body.body
        value = self._graph.resolved(body)
        return list(value.fields) if isinstance(value, relax.Tuple) else [body]

    def _result(self, value: Any) -> tuple[Quantized, str]:
        """Return a result as integers, and its type in the model."""
        made = self._made.get(self._graph.variable(value))
        if made is not None:
            step = self._graph.step(value)
            assert step is not None
            return made, self._scope.quantization(step).dtype
        moved_result = self._integers(value)
        if moved_result is not None and moved_result.off > HALF:
            step = self._graph.step(value)
            assert step is not None
            self._scope.check_bounds(step, moved_result)
        if moved_result is None:
            step = self._graph.step(value)
            last = step.describe() if step else "an input"
            raise ModelError(
                f"The model's output comes from {last} in floating point; quantize it, "
                "or cut the model before it and compute the rest on the host."
            )
        return moved_result, "float32"

    def _island(self, variable: Any, quantize: Step) -> None:
        """Write the kernel of the operators behind a ``quantize``."""
        if self._graph.constant(quantize.arguments[0]) is not None:
            return
        scale, zero_point = self._scope.quantization(quantize).of_activations(quantize)
        source = self._graph.variable(quantize.arguments[0])
        shape = shape_of(quantize.arguments[0])
        entry = self._scope.entries.get(source)
        if entry is not None:
            if (entry.scale, entry.zero_point) != (scale, zero_point):
                raise ModelError(
                    f"{quantize.describe()} quantizes an input that is quantized differently "
                    "elsewhere; quantize each input once."
                )
            self._made[variable] = entry
            self._remember(entry.value, variable)
            return
        target = Target(scale, zero_point, EVERYTHING)
        value = self._kernel(quantize.arguments[0], target)
        self._made[variable] = Quantized(value, shape, scale, zero_point)
        self._remember(value, variable)

    def _remember(self, value: Any, quantized: Any) -> None:
        """Remember which kernel or input has the bytes of a ``quantize``."""
        name = self._scope.bytes_of(value).name
        self.quantizations.setdefault(name, []).append(self._graph.variable(quantized).name)

    def _kernel(self, value: Any, target: Target) -> Any:
        step = self._graph.step(value)
        if step is not None and step.operator in ACTIVATIONS:
            inner = step.arguments[0]
            clipped = _clipped(step, target)
            source = self._integers(inner)
            if source is not None and not source.off:
                return requantized(self._scope, step.name, source, clipped)
            return self._kernel(inner, clipped)
        source = self._integers(value)
        # Bounds between two elements are rounded to the target's scale, not to the source's.
        if source is not None and (not source.off or source.same_quantization(target)):
            name = step.name if step is not None else "requantize"
            return requantized(self._scope, name, source, target)
        if step is None:
            raise ModelError("A quantized value is neither computed nor an input.")
        if step.operator in MOVES:
            inner = step.arguments[0]
            made = self._kernel(inner, target)
            before = Quantized(made, shape_of(inner), target.scale, target.zero_point)
            return moved(self._scope, step, before, shape_of(value)).value
        return self._operator(step, target)

    def _operator(self, step: Step, target: Target) -> Any:
        value = contraction(self._scope, step, target)
        rule = RULES.get(step.operator)
        if value is None and rule is not None:
            value = rule(self._scope, step, target)
        if value is None:
            known = sorted((*RULES, *CONTRACTIONS))
            raise ModelError(
                f"{step.describe()} has no integer kernel; the model can be used if it is "
                f"replaced by one of {', '.join(plain_name(one) for one in known)}."
            )
        return value

    def _integers(self, value: Any) -> Quantized | None:
        """Return the integers behind a value that is dequantized, moved and clipped only."""
        key = self._graph.variable(value)
        if key not in self._moved:
            self._moved[key] = self._find_integers(value)
        return self._moved[key]

    def _find_integers(self, value: Any) -> Quantized | None:
        step = self._graph.step(value)
        made = self._made.get(self._graph.variable(value))
        if made is not None or step is None or step.operator not in PASSING:
            return made
        ordered = image_in_channels_last(self._graph, step)
        source = self._integers(step.arguments[0] if ordered is None else ordered)
        if source is None:
            return None
        if ordered is not None:
            return flattened(self._scope, step, source, shape_of(value))
        if step.operator in MOVES:
            return moved(self._scope, step, source, shape_of(value))
        if step.operator in ACTIVATIONS:
            clipped = _clipped(step, Target(source.scale, source.zero_point, EVERYTHING))
            value = requantized(self._scope, step.name, source, clipped)
            return replace(source, value=value, off=max(source.off, _off(step, source)))
        scale, zero_point = self._scope.quantization(step).of_activations(step)
        return replace(source, scale=scale, zero_point=zero_point)


def _bounds(step: Step) -> tuple[float, float]:
    """Return the smallest and the largest value that an activation leaves."""
    if step.operator == "clip":
        smallest, largest = (float(one.value) for one in step.arguments[1:3])
        return smallest, largest
    return 0.0, np.inf


def _off(step: Step, source: Quantized) -> float:
    """Return how far, in units, the bounds that an activation sets are from elements at most."""
    lowest, highest = EVERYTHING
    low, high = (one / source.scale + source.zero_point for one in _bounds(step))
    effective = [one for one, some in ((low, low > lowest), (high, high < highest)) if some]
    furthest = max(
        (abs(float(np.clip(np.rint(one), *EVERYTHING)) - one) for one in effective), default=0
    )
    # Scales and bounds are floats of 32 bits, which seldom divide without a rest.
    return furthest if furthest > FLOAT_REST else 0.0


def _clipped(step: Step, target: Target) -> Target:
    """Return the target with the bounds that an activation leaves."""
    low, high = target.bounds
    smallest, largest = _bounds(step)
    lowest, highest = (
        int(np.clip(np.rint(one / target.scale) + target.zero_point, *EVERYTHING))
        for one in (smallest, largest)
    )
    # The target's own bounds are those of what stands behind, and are applied last.
    return replace(target, bounds=(min(max(low, lowest), high), max(min(high, highest), low)))


EVERYTHING: Final = (0, 255)
"""Bounds of unsigned bytes."""

FLOAT_REST: Final = EVERYTHING[1] * 2.0**-22
"""What two roundings to floats of 32 bits move a quotient of up to 255 by, and some more."""

ACTIVATIONS: Final = ("nn.relu", "clip")
PASSING: Final = ("dequantize", *ACTIVATIONS, *MOVES)
"""Operators behind quantized tensors that do not change the scale."""

CONTRACTIONS: Final = ("nn.conv2d", "matmul")
RULES: Final[dict[str, Callable[[Scope, Step, Target], Any]]] = {
    "add": add,
    "multiply": multiply,
    "nn.avg_pool2d": average_pool,
    "mean": mean,
    "concat": concat,
}
"""Rules by operator, of those that contractions do not take."""
