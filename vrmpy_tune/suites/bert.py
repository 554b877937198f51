"""BERT base at sequence length 128: Devlin et al., "BERT", section 3; its matrix products.

The two products of attention are those of one head.  Their second operand is an activation, too:
its packing is not part of a kernel's figure, as that of weights is not.
"""

from __future__ import annotations

from typing import Final

from vrmpy_tune.suites.suite import Member, Suite
from vrmpy_tune.workload import Dense

LAYERS: Final = 12
HEADS: Final = 12
HIDDEN: Final = 768
INNER: Final = 3072
SEQUENCE: Final = 128
HEAD: Final = HIDDEN // HEADS

PRODUCTS: Final = (
    ("query, key, value, attention output", 4, HIDDEN, HIDDEN, True),
    ("feed forward, up", 1, INNER, HIDDEN, True),
    ("feed forward, down", 1, HIDDEN, INNER, True),
    ("attention scores", HEADS, SEQUENCE, HEAD, False),
    ("attention context", HEADS, HEAD, SEQUENCE, False),
)
"""Products of one layer: name, how many, columns, depth, and whether they have weights."""


def suite() -> Suite:
    """Return the suite ``bert-base-int8``."""
    members = [
        Member(name, variant, _product(columns, depth, weights, variant), LAYERS * count)
        for variant in ("i32", "u8")
        for name, count, columns, depth, weights in PRODUCTS
    ]
    return Suite(
        "bert-base-int8", f"the matrix products of BERT base, {SEQUENCE} tokens", tuple(members)
    )


def _product(columns: int, depth: int, weights: bool, variant: str) -> str:
    """Return a product; requantized with a scale for each channel where there are weights."""
    if variant == "i32":
        return str(Dense(m=SEQUENCE, n=columns, k=depth, lhs="u8", rhs="i8"))
    requant = "channel" if weights else "tensor"
    return str(
        Dense(
            m=SEQUENCE, n=columns, k=depth, lhs="u8", rhs="i8",
            out="u8", bias=int(weights), requant=requant,
        )
    )  # fmt: skip
