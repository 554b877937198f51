"""Make the tensorization rules known to TVM."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Final

from vrmpy_tune.intrin.table import ACCUMULATOR_SCOPES, SCOPES, TABLE, Scopes, instruction


@functools.cache
def rule(name: str, scopes: Scopes | None = None) -> str:
    """Register one row of the table with TVM, once, and return the rule's name.

    Parameters
    ----------
    name:
        Name of the row, for example ``"vrmpy.u8_u8"``.
    scopes:
        Where the operands are; by default all in memory and the accumulators in registers.

    Raises
    ------
    KeyError
        If the table has no such row.
    """
    from vrmpy_tune.intrin.registration import register
    from vrmpy_tune.intrin.rules import description, implementation

    scopes = scopes or Scopes()
    row = instruction(name)
    register(row.rule(scopes), description(row, scopes), implementation(row, scopes))
    return row.rule(scopes)


def all_rules() -> list[tuple[str, Scopes]]:
    """Return every row with every combination of scopes."""
    combinations = itertools.product(TABLE, SCOPES, SCOPES, ACCUMULATOR_SCOPES)
    return [(row.name, Scopes(*scopes)) for row, *scopes in combinations]


def ensure(name: str) -> None:
    """Register the rule that a trace names, if it is one of this package's.

    A rule's name says all that it is made from: its kind and parameters, joined by ``/``.

    Raises
    ------
    KeyError
        If there is no rule of that kind.
    ValueError, TypeError
        If the parameters do not fit it.
    """
    kind, *parameters = name.split("/")
    if kind in _KINDS:
        made = _KINDS[kind](*parameters)
    else:
        made = rule(kind, Scopes(*parameters))
    if made != name:
        raise ValueError(f"{name} is not written as {made}")


def _scalar_sum(dtype: str, scope: str) -> str:
    from vrmpy_tune.intrin.scalar_sum import scalar_sum

    return scalar_sum(dtype, scope)


def _word_sum(dtype: str, scope: str, row: str, alignment: str = "") -> str:
    from vrmpy_tune.intrin.lane_sum import word_sum

    shape = tuple(int(extent) for extent in row.split("x"))
    return word_sum(dtype, scope, shape, aligned=alignment != "unaligned")


def _lane_sum(pixels: str) -> str:
    from vrmpy_tune.intrin.lane_sum import lane_sum

    return lane_sum(int(pixels))


def _pixel_sum(dtype: str, scope: str, depth: str) -> str:
    from vrmpy_tune.intrin.lane_sum import pixel_sum

    return pixel_sum(dtype, scope, int(depth))


def _join_blocks(*parts: str) -> str:
    from vrmpy_tune.intrin.join_blocks import Blocks, join_blocks

    return join_blocks(Blocks.parse(*parts))


def _restride(*parts: str) -> str:
    from vrmpy_tune.intrin.restride import Rows, restride

    return restride(Rows.parse(*parts))


def _row_copy(width: str, depth: str, dtype: str, scope: str) -> str:
    from vrmpy_tune.intrin.rows import row_copy

    return row_copy(int(width), int(depth), dtype, scope)


def _row_clear(width: str, depth: str, dtype: str, scope: str, fill: str = "0") -> str:
    from vrmpy_tune.intrin.rows import row_clear

    return row_clear(int(width), int(depth), dtype, scope, int(fill))


def _row_widen(width: str, dtype: str, scope: str) -> str:
    from vrmpy_tune.intrin.rows import row_widen

    return row_widen(int(width), dtype, scope)


def _slab_load(mover: str, shape: str, dtype: str) -> str:
    from vrmpy_tune.intrin.slab import Mover, slab_load

    return slab_load(Mover(mover), tuple(int(extent) for extent in shape.split("x")), dtype)


def _requantize(*parameters: str) -> str:
    from vrmpy_tune.intrin.requantize import Epilogue, requantize

    return requantize(Epilogue.parse(*parameters))


_KINDS: Final[dict[str, Callable[..., str]]] = {
    "scalar_sum": _scalar_sum,
    "word_sum": _word_sum,
    "lane_sum": _lane_sum,
    "requantize": _requantize,
    "row_copy": _row_copy,
    "row_clear": _row_clear,
    "row_widen": _row_widen,
    "restride": _restride,
    "join_blocks": _join_blocks,
    "pixel_sum": _pixel_sum,
    "slab_load": _slab_load,
}
"""Makers of the rules that are not rows of the table, by kind."""
