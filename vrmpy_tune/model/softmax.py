"""A softmax at the model's end, which the host computes behind the last dequantization.

The device has integers only; the values that the softmax takes are bit for bit the device's.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Grid:
    """8-bit integers that values are rounded to.

    Attributes
    ----------
    dtype:
        ``"uint8"`` or ``"int8"``.
    scale, zero_point:
        ``value = scale * (integer - zero_point)``.
    """

    dtype: str
    scale: float
    zero_point: int


@dataclass(frozen=True)
class Softmax:
    """The softmax over the last axis, and the quantization that the model has behind it.

    Attributes
    ----------
    grid:
        What the model quantizes the result to, if it does; also where it dequantizes it again.
    """

    grid: Grid | None = None

    def of(self, values: np.ndarray, dtype: str) -> np.ndarray:
        """Return the model's output of that type: float32, or that of the grid.

        Parameters
        ----------
        values:
            float32 of any shape with at least one axis.
        """
        wide = values.astype(np.float64)
        powers = np.exp(wide - wide.max(axis=-1, keepdims=True))
        shares: np.ndarray = (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)
        if self.grid is None:
            return shares
        limits = np.iinfo(self.grid.dtype)
        scale = np.float32(self.grid.scale)
        rounded = np.rint(shares / scale) + self.grid.zero_point
        integers: np.ndarray = np.clip(rounded, limits.min, limits.max)
        if dtype != self.grid.dtype:
            integers = (integers - self.grid.zero_point) * scale
        return integers.astype(dtype)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON data; :meth:`of_json` reads it."""
        return {"softmax": {} if self.grid is None else {"grid": asdict(self.grid)}}

    @staticmethod
    def of_json(data: dict[str, Any], dtype: str) -> Softmax:
        """Read what :meth:`as_json` wrote of an output of that type.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it is something else, or does not make such an output.
        """
        ((kind, described),) = data.items()
        if kind != "softmax":
            raise ValueError(f"the host computes no {kind}")
        given = described.get("grid")
        grid = None
        if given is not None:
            grid = Grid(str(given["dtype"]), float(given["scale"]), int(given["zero_point"]))
            if grid.dtype not in ("uint8", "int8") or not grid.scale > 0:
                raise ValueError(f"a softmax has no grid of {grid.dtype} and scale {grid.scale}")
        if dtype not in ("float32", grid.dtype if grid else ""):
            raise ValueError(f"an output of type {dtype} is not that of its softmax")
        return Softmax(grid)

    def describe(self) -> str:
        """Return what reports call it."""
        behind = f", quantized to {self.grid.dtype}" if self.grid else ""
        return f"softmax on the host behind the last dequantization{behind}"


def lines_after(outputs: Mapping[str, dict[str, Any]]) -> list[str]:
    """Return a line for each output of which the host computes something.

    Parameters
    ----------
    outputs:
        ``dtype`` and ``after`` as JSON data by the output's name, as documents have them.
    """
    return [
        f"{name}: {Softmax.of_json(one['after'], one['dtype']).describe()}"
        for name, one in outputs.items()
        if one["after"] is not None
    ]
