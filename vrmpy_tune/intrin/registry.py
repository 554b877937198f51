"""Make the tensorization rules known to TVM."""

from __future__ import annotations

import functools
import itertools

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
    from tvm.s_tir import TensorIntrin

    from vrmpy_tune.intrin.rules import description, implementation

    scopes = scopes or Scopes()
    row = instruction(name)
    TensorIntrin.register(row.rule(scopes), description(row, scopes), implementation(row, scopes))
    return row.rule(scopes)


def all_rules() -> list[tuple[str, Scopes]]:
    """Return every row with every combination of scopes."""
    combinations = itertools.product(TABLE, SCOPES, SCOPES, ACCUMULATOR_SCOPES)
    return [(row.name, Scopes(*scopes)) for row, *scopes in combinations]


def register_defaults() -> None:
    """Register the rules that traces of this package name, so that they replay."""
    from vrmpy_tune.intrin.lane_sum import lane_sum, word_sum
    from vrmpy_tune.intrin.scalar_sum import INTRINSICS, scalar_sum

    for row in TABLE:
        for scope in SCOPES:
            rule(row.name, Scopes(scalar=scope))
    lane_sum()
    for dtype, scope in itertools.product(INTRINSICS, SCOPES):
        scalar_sum(dtype, scope)
        word_sum(dtype, scope)
