"""Operators that only move elements: their results have the quantization of their inputs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tvm import ir, relax

from vrmpy_tune.model.kernels import shape_of
from vrmpy_tune.model.rules.pooling import max_pool
from vrmpy_tune.workload import Layout

if TYPE_CHECKING:
    from collections.abc import Callable

    from vrmpy_tune.model.reading import Step
    from vrmpy_tune.model.scope import Quantized, Scope


def moved(scope: Scope, step: Step, shape: tuple[int, ...]) -> Quantized | None:
    """Write an operator that moves quantized elements.

    Parameters
    ----------
    shape:
        Shape of its result in the float graph.

    Returns
    -------
    result:
        ``None`` if it is not such an operator, or its input is not quantized.
    """
    rule = _RULES.get(step.operator)
    source = scope.move(step.arguments[0]) if rule else None
    if rule is None or source is None:
        return None
    return replace(source, value=rule(scope, step, source, shape), shape=shape)


def _reshape(scope: Scope, step: Step, source: Quantized, shape: tuple[int, ...]) -> Any:
    """Keep the float graph's order of elements, in which images have their channels first."""
    value = source.value
    if len(source.shape) == 4:
        value = _image(scope, f"{step.name}_nchw", "nchw", value)
    value = _view(scope, value, shape)
    return _image(scope, f"{step.name}_nhwc", "nhwc", value) if len(shape) == 4 else value


def _max_pool(scope: Scope, step: Step, source: Quantized, _shape: tuple[int, ...]) -> Any:
    return max_pool(scope, step, source)


def _image(scope: Scope, name: str, layout: str, value: Any) -> Any:
    """Return an image in another layout; a view if its elements keep their order."""
    batch, *extents = shape_of(value)
    if layout == "nchw":
        height, width, channels = extents
        target = (batch, channels, height, width)
    else:
        channels, height, width = extents
        target = (batch, height, width, channels)
    if height * width == 1 or channels == 1:
        return _view(scope, value, target)
    workload = Layout(n=batch, h=height, w=width, c=channels, to=layout)
    return scope.emit(name, workload, [value])


def _view(scope: Scope, value: Any, shape: tuple[int, ...]) -> Any:
    before = scope.builder.lookup_binding(value)
    if isinstance(before, relax.Call) and before.op == ir.Op.get("relax.reshape"):
        value = before.args[0]
    if shape_of(value) == shape:
        return value
    return scope.builder.emit(relax.op.reshape(value, shape), name_hint="view")


_RULES: dict[str, Callable[..., Any]] = {
    "reshape": _reshape,
    "squeeze": _reshape,
    "expand_dims": _reshape,
    "nn.max_pool2d": _max_pool,
}
