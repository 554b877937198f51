"""How much effort a tuning run spends: one table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vrmpy_tune.errors import UsageError


@dataclass(frozen=True)
class Effort:
    """Budget and search settings.

    Attributes
    ----------
    trials:
        Candidates a workload.
    batch:
        Candidates measured between two searches.
    population:
        Candidates that the evolutionary search keeps.
    generations:
        Generations between two batches.
    explored:
        Share of a batch that tries tiles which no candidate had yet.
    patience:
        Candidates without a gain after which a search ends.
    gain:
        What counts as one, as a fraction of the best figure.
    """

    trials: int
    batch: int
    population: int
    generations: int
    explored: float
    patience: int
    gain: float = 0.002


EFFORTS: Final = {
    "quick": Effort(trials=32, batch=16, population=24, generations=2, explored=0.375, patience=16),
    "normal": Effort(
        trials=128, batch=16, population=32, generations=2, explored=0.375, patience=32
    ),
    "max": Effort(trials=512, batch=32, population=96, generations=3, explored=0.375, patience=96),
}


def effort(name: str) -> Effort:
    """Return the effort called ``name``; raises ``UsageError`` naming those that exist."""
    try:
        return EFFORTS[name]
    except KeyError:
        known = ", ".join(EFFORTS)
        raise UsageError(f"There is no effort '{name}'; use one of {known}.") from None
