"""Error bars of a sum of estimates, from how far estimates are from measurements."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DEVIATIONS: Final = 1.96
"""Standard deviations on each side: 95% of a normal distribution."""


def log_deviation(ratios: Sequence[float]) -> float:
    """Return the root mean square of the logarithms of estimate / measurement.

    Taken about 0, so that a common bias counts as an error, too.
    """
    return math.sqrt(sum(math.log(one) ** 2 for one in ratios) / len(ratios))


def correlated(terms: Iterable[float], deviation: float) -> tuple[float, float]:
    """Return the interval of a sum if all terms err alike, as with a wrong clock."""
    return _around(sum(terms), deviation)


def independent(terms: Iterable[float], deviation: float) -> tuple[float, float]:
    """Return the interval of a sum if each term errs by itself: log-normal, moments matched.

    Calls of one kernel err alike; they are one term.
    """
    each = list(terms)
    total = sum(each)
    if total == 0:
        return 0.0, 0.0
    share = sum(one**2 for one in each) / total**2
    return _around(total, math.sqrt(math.log1p(share * math.expm1(deviation**2))))


def _around(total: float, deviation: float) -> tuple[float, float]:
    factor = math.exp(DEVIATIONS * deviation)
    return total / factor, total * factor
