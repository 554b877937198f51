"""Contractions whose sizes leave every remainder, in every pair of size, type and epilogue.

Kernels go wrong at remainders: of rows by the pixels of a tile, of channels by the 32 lanes of a
vector or the 128 bytes of four, of depths by the 4 bytes of a word.  Which sizes meet which
epilogue matters, and all combinations are far too many; but hardly a defect needs more than two
values to meet.  A covering design holds every pair of values of any two factors in one workload.
"""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.workload import Conv2d, Dense, DepthwiseConv2d

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vrmpy_tune.workload import Workload

Row = dict[str, Any]
"""A value of each factor."""

SIZES: Final = (1, 3, 5, 7, 31, 32, 33, 63, 64, 65, 129)

EPILOGUES: Final[dict[str, Sequence[Any]]] = {
    "lhs": ("u8", "i8"),
    "rhs": ("u8", "i8"),
    "out": ("i32", "u8", "i8"),
    "requant": ("none", "tensor", "channel"),
    "act": ("none", "relu", "clip"),
    "bias": (0, 1),
    "residual": (0, 1),
    "lzp": (0, 1),
    "rzp": (0, 1),
}
"""Types and fields of the epilogue; of a zero point, whether there is one."""

ZERO_POINTS: Final = {"u8": 129, "i8": -5}

DENSE: Final[dict[str, Sequence[Any]]] = {
    "kind": ("dense",),
    "pixels": (*SIZES, 2, 4, 14),
    "outputs": (*SIZES, 2, 96, 128, 160),
    "depth": (*SIZES, 2, 4, 70, 132),
    **EPILOGUES,
}
"""Factors: rows of the matrix or pixels of a row of the output, channels out and in."""

CONV2D: Final[dict[str, Sequence[Any]]] = DENSE | {
    "kind": (
        "1x1", "1x1 stride 2", "3x3", "3x3 stride 2", "3x3 valid", "1x1 groups", "3x3 groups",
        "1x1 nchw", "3x3 nchw",
    ),
    "rows": (1, 2, 3),
}  # fmt: skip

DEPTHWISE: Final[dict[str, Sequence[Any]]] = {
    "kind": ("depthwise 3x3", "depthwise 3x3 stride 2", "depthwise 3x3 valid"),
    **{name: values for name, values in CONV2D.items() if name not in ("kind", "depth")},
}

FEW_DENSE: Final[dict[str, Sequence[Any]]] = EPILOGUES | {
    "kind": ("dense",),
    "pixels": (1, 5, 14),
    "outputs": (32, 64, 65),
    "depth": (3, 33),
    "out": ("u8", "i8"),
    "requant": ("tensor", "channel"),
}
FEW_CONV2D: Final[dict[str, Sequence[Any]]] = FEW_DENSE | {
    "kind": ("3x3", "1x1 groups", "depthwise 3x3"),
    "pixels": (1, 5),
    "outputs": (32, 65),
    "rows": (1, 2),
}
"""One size of each way to store bytes: remainders of rows by 4, and of vectors by 4."""


def residue_workloads(seed: int = 0) -> tuple[Workload, ...]:
    """Return contractions in which every pair of two factors' values meets.

    Parameters
    ----------
    seed:
        Of the design: another one has the same pairs in other workloads.
    """
    designs = [_design(factors, seed) for factors in (DENSE, CONV2D, DEPTHWISE)]
    mixed = itertools.chain.from_iterable(itertools.zip_longest(*designs))
    return tuple(dict.fromkeys(one for one in mixed if one is not None))


def few_residue_workloads(seed: int = 0) -> tuple[Workload, ...]:
    """Return a small design of requantized outputs, for tests that always run."""
    return tuple(dict.fromkeys(_design(FEW_DENSE, seed) + _design(FEW_CONV2D, seed)))


def _design(factors: Mapping[str, Sequence[Any]], seed: int) -> list[Workload]:
    return [_workload(row) for row in covering(factors, random.Random(seed))]


def covering(factors: Mapping[str, Sequence[Any]], generator: random.Random) -> list[Row]:
    """Return rows in which every allowed pair of values occurs, made greedily."""
    pairs = [pair for pair in _pairs(factors) if _is_allowed(dict(pair))]
    generator.shuffle(pairs)
    left, rows = set(pairs), []
    for pair in pairs:
        if pair not in left:
            continue
        row = dict(pair)
        others = [name for name in factors if name not in row]
        generator.shuffle(others)
        for name in others:
            values = [one for one in factors[name] if _is_allowed(row | {name: one})]
            generator.shuffle(values)
            news = [_new(row, name, one, left) for one in values]
            row[name] = values[news.index(max(news))]
        rows.append(row)
        left -= {frozenset(pair) for pair in itertools.combinations(row.items(), 2)}
    return rows


def _pairs(factors: Mapping[str, Sequence[Any]]) -> Iterator[frozenset[tuple[str, Any]]]:
    for one, other in itertools.combinations(factors, 2):
        for values in itertools.product(factors[one], factors[other]):
            yield frozenset(zip((one, other), values, strict=True))


def _new(row: Row, name: str, value: Any, left: set[frozenset[tuple[str, Any]]]) -> int:
    """Return how many of the pairs in ``left`` a further value makes with a row."""
    return sum(frozenset((one, (name, value))) in left for one in row.items())


def _is_allowed(row: Row) -> bool:
    """Whether a part of a row may become a workload: int32 outputs have no epilogue but a bias."""
    plain = {"out": "i32", "requant": "none"}
    is_plain = {row[name] == value for name, value in plain.items() if name in row}
    epilogue = row.get("act", "none") != "none" or row.get("residual", 0) == 1
    return is_plain in (set(), {False}) or (is_plain == {True} and not epilogue)


def _fused(row: Row) -> dict[str, Any]:
    fused = {name: row[name] for name in EPILOGUES}
    return fused | {
        point: fused[point] * ZERO_POINTS[fused[side]]
        for point, side in (("lzp", "lhs"), ("rzp", "rhs"))
    }


def _window(row: Row) -> dict[str, Any]:
    """Return the window that a kind has, and the input that makes ``rows`` x ``pixels`` of it."""
    kernel = 3 if "3x3" in row["kind"] else 1
    stride = 2 if "stride 2" in row["kind"] else 1
    pad = kernel // 2 if "valid" not in row["kind"] else 0
    h, w = ((row[name] - 1) * stride + kernel - 2 * pad for name in ("rows", "pixels"))
    window = {"h": h, "w": w, "kh": kernel, "kw": kernel}
    return {"n": 1, **window, "stride": (stride, stride), "pad": (pad,) * 4}


def _workload(row: Row) -> Workload:
    kind = row["kind"].split()
    if "dense" in kind:
        return Dense(m=row["pixels"], n=row["outputs"], k=row["depth"], **_fused(row))
    if "depthwise" in kind:
        return DepthwiseConv2d(c=row["outputs"], **_window(row), **_fused(row))
    groups = 2 if "groups" in kind else 1
    channels = {"ci": groups * row["depth"], "co": groups * row["outputs"], "groups": groups}
    layout = "nchw" if "nchw" in kind else "nhwc"
    return Conv2d(**channels, layout=layout, **_window(row), **_fused(row))
