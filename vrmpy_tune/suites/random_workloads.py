"""Workloads that nobody chose: matrix products and convolutions of random sizes and types."""

from __future__ import annotations

import math
import random
from typing import Final

from vrmpy_tune.errors import WorkloadError
from vrmpy_tune.suites.suite import Member, Suite
from vrmpy_tune.workload import OPERAND_TYPES, Conv2d, Dense, Workload

RANDOM: Final = "random"
"""Their variant."""

LEAST_MACS: Final = 1_000_000
MOST_MACS: Final = 500_000_000
"""Bounds of the sizes, between which they are uniform on a logarithmic scale."""

KERNELS: Final = (1, 1, 3, 3, 5, 7)
ONE_ROW: Final = 0.3
MOST_OF_ONE_ROW: Final = 10_000_000
"""Share of matrix products of at most that size that have a single row."""

_SMALL: Final = 8
_LARGEST: Final = 4096


def random_suite(number: int, seed: int) -> Suite:
    """Return ``number`` distinct random workloads; the same seed gives the same ones."""
    generator = random.Random(seed)
    texts: dict[str, None] = {}
    while len(texts) < number:
        texts.setdefault(str(_draw(generator)))
    members = tuple(
        Member(f"random {index}", RANDOM, text) for index, text in enumerate(texts, start=1)
    )
    return Suite("random", f"{number} random workloads of seed {seed}", members)


def _draw(generator: random.Random) -> Workload:
    """Draw until a workload has about the size that was drawn for it."""
    macs = math.exp(generator.uniform(math.log(LEAST_MACS), math.log(MOST_MACS)))
    lhs, rhs = generator.choice(OPERAND_TYPES), generator.choice(OPERAND_TYPES)
    make = generator.choice((_dense, _conv2d))
    if make is _dense and macs <= MOST_OF_ONE_ROW and generator.random() < ONE_ROW:
        make = _row
    while True:
        try:
            found = make(generator, macs, lhs, rhs)
        except WorkloadError:
            continue
        if LEAST_MACS <= found.macs <= MOST_MACS and 0.8 <= found.macs / macs <= 1.25:
            return found


def _row(generator: random.Random, macs: float, lhs: str, rhs: str) -> Dense:
    n = _log_uniform(generator, _SMALL, _LARGEST)
    return Dense(m=1, n=n, k=_fitting(macs / n, _LARGEST), lhs=lhs, rhs=rhs)


def _dense(generator: random.Random, macs: float, lhs: str, rhs: str) -> Dense:
    m = _log_uniform(generator, 2, 1024)
    n = _log_uniform(generator, _SMALL, _LARGEST)
    k = _fitting(macs / (m * n), _LARGEST)
    return Dense(m=m, n=n, k=k, lhs=lhs, rhs=rhs)


def _conv2d(generator: random.Random, macs: float, lhs: str, rhs: str) -> Conv2d:
    kernel, stride = generator.choice(KERNELS), generator.choice((1, 1, 2))
    pad = generator.choice((0, kernel // 2))
    h, w = (_log_uniform(generator, 5, 160) for _ in range(2))
    ci = _log_uniform(generator, 3, 1024)
    pixels = math.prod((size + 2 * pad - kernel) // stride + 1 for size in (h, w))
    co = _fitting(macs / (max(pixels, 1) * kernel * kernel * ci), 2048)
    return Conv2d(
        n=1, h=h, w=w, ci=ci, co=co, kh=kernel, kw=kernel, stride=(stride, stride),
        pad=(pad,) * 4, lhs=lhs, rhs=rhs,
    )  # fmt: skip


def _fitting(extent: float, most: int) -> int:
    """Return the extent that gives the size, if it is a sensible one; else none that can be."""
    return round(extent) if _SMALL <= extent <= most else 0


def _log_uniform(generator: random.Random, least: int, most: int) -> int:
    """Draw a whole number, odd or even, uniform on a logarithmic scale."""
    return round(math.exp(generator.uniform(math.log(least), math.log(most))))
