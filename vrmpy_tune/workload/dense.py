"""The matrix product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vrmpy_tune.workload.base import MAX_EXTENT, ceildiv
from vrmpy_tune.workload.contraction import FUSED_FIELDS, Contraction, exact_matmul

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Dense(Contraction):
    """A matrix product: ``output[m, n] = sum over k of lhs[m, k] * rhs[n, k]``.

    Attributes
    ----------
    m, n, k:
        Rows of the activations, output features, and depth.  Activations are ``[m, k]``,
        weights ``[n, k]``, the output ``[m, n]``, all row-major.
    """

    m: int
    n: int
    k: int
    lhs: str = "u8"
    rhs: str = "u8"

    operator: ClassVar[str] = "dense"
    fields: ClassVar[dict[str, int | str | None]] = {
        **dict.fromkeys(("m", "n", "k", "lhs", "rhs")),
        **FUSED_FIELDS,
    }

    def __post_init__(self) -> None:
        self.check_range(dict.fromkeys(("m", "n", "k"), (1, MAX_EXTENT)))
        self.check_fused()
        self.check_sizes()

    @property
    def types(self) -> tuple[str, str]:  # noqa: D102
        return self.lhs, self.rhs

    @property
    def macs(self) -> int:  # noqa: D102
        return self.m * self.n * self.k

    @property
    def input_shape(self) -> tuple[int, ...]:  # noqa: D102
        return (self.m, self.k)

    @property
    def weight_shape(self) -> tuple[int, ...]:  # noqa: D102
        return (self.n, self.k)

    @property
    def output_shape(self) -> tuple[int, ...]:  # noqa: D102
        return (self.m, self.n)

    @property
    def packet_bound(self) -> int:  # noqa: D102
        multiplies = ceildiv(self.n, 32) * self.m * ceildiv(self.k, 4)
        return multiplies if self.m == 1 else ceildiv(multiplies, 2)

    def accumulate(self, activations: np.ndarray, weights: np.ndarray) -> np.ndarray:  # noqa: D102
        return exact_matmul(activations, weights.T)
