"""Concatenation, of tensors that are brought to one scale before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from vrmpy_tune.errors import ModelError
from vrmpy_tune.model.rules.elementwise import requantized
from vrmpy_tune.model.rules.movement import CHANNELS_LAST
from vrmpy_tune.workload import Concat

if TYPE_CHECKING:
    from vrmpy_tune.model.reading import Step
    from vrmpy_tune.model.scope import Scope, Target

IMAGE_AXES: Final = (0, 3, 1, 2)
"""Where the axes of the float graph's images are in those with their channels last."""


def concat(scope: Scope, step: Step, target: Target) -> Any:
    """Write the concatenation of any number of tensors along any axis."""
    parts = scope.graph.fields(step.arguments[0])
    values, shapes = [], []
    for index, part in enumerate(parts):
        source = scope.move(part)
        if source is None:
            raise ModelError(
                f"{step.describe()} takes a tensor that is not quantized, its input {index}; "
                "quantize the model with QuantizeLinear and DequantizeLinear around every operator."
            )
        scope.check_bounds(step, source, target)
        value = requantized(scope, f"{step.name}.part{index}", source, target)
        values.append(value)
        shapes.append(_held(source.shape))
    rank = len(shapes[0])
    axis = int(step.attributes.axis) % rank
    axis = IMAGE_AXES[axis] if rank == len(IMAGE_AXES) else axis
    rows = int(np.prod(shapes[0][:axis]))
    workload = Concat(rows, tuple(int(np.prod(shape[axis:])) for shape in shapes))
    joined = scope.emit(step.name, workload, values)
    extents = [*shapes[0]]
    extents[axis] = sum(shape[axis] for shape in shapes)
    return scope.view(joined, tuple(extents))


def _held(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a tensor's shape on the device, whose kernels may have written it in another one."""
    return tuple(shape[axis] for axis in CHANNELS_LAST) if len(shape) == len(IMAGE_AXES) else shape
