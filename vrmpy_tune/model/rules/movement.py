"""Operators that only move elements: their results have the quantization of their inputs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.model.interface import IMAGE_RANK
from vrmpy_tune.model.kernels import shape_of
from vrmpy_tune.model.rules.pooling import max_pool
from vrmpy_tune.workload import Layout

if TYPE_CHECKING:
    from collections.abc import Callable

    from vrmpy_tune.model.reading import Graph, Step
    from vrmpy_tune.model.scope import Quantized, Scope


CHANNELS_LAST: Final = (0, 2, 3, 1)
"""Order of the axes of an image whose channels come first, to have them last."""


def moved(scope: Scope, step: Step, source: Quantized, shape: tuple[int, ...]) -> Quantized:
    """Write an operator of :data:`MOVES`.

    Parameters
    ----------
    source:
        Its input.
    shape:
        Shape of its result in the float graph.
    """
    return replace(source, value=MOVES[step.operator](scope, step, source, shape), shape=shape)


def image_in_channels_last(graph: Graph, step: Step) -> Any | None:
    """Return the image whose elements, channels last, a reshape takes; else ``None``."""
    before = graph.step(step.arguments[0]) if step.operator == "reshape" else None
    if before is None or before.operator != "permute_dims":
        return None
    axes = tuple(int(axis) for axis in before.attributes.axes or ())
    return before.arguments[0] if axes == CHANNELS_LAST else None


def flattened(scope: Scope, step: Step, source: Quantized, shape: tuple[int, ...]) -> Quantized:
    """Write the reshape of an image in channels last, as it lies: a view.

    What becomes an image by it has its channels first in the float graph, and is brought to
    channels last.
    """
    value = scope.view(source.value, shape)
    if len(shape) == IMAGE_RANK:
        value = _image(scope, f"{step.name}_nhwc", "nhwc", value)
    return replace(source, value=value, shape=shape)


def _reshape(scope: Scope, step: Step, source: Quantized, shape: tuple[int, ...]) -> Any:
    """Keep the float graph's order of elements, in which images have their channels first."""
    value = source.value
    if len(source.shape) == IMAGE_RANK:
        value = _image(scope, f"{step.name}_nchw", "nchw", value)
    value = scope.view(value, shape)
    return _image(scope, f"{step.name}_nhwc", "nhwc", value) if len(shape) == IMAGE_RANK else value


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
        return scope.view(value, target)
    workload = Layout(n=batch, h=height, w=width, c=channels, to=layout)
    return scope.emit(name, workload, [value])


MOVES: Final[dict[str, Callable[..., Any]]] = {
    "reshape": _reshape,
    "squeeze": _reshape,
    "expand_dims": _reshape,
    "nn.max_pool2d": _max_pool,
}
"""Rules by operator.  All of them commute with quantization."""
