"""What records of similar workloads say about a workload that nobody tuned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from vrmpy_tune.errors import StaleRecordError, WorkloadError
from vrmpy_tune.records.explain import nearness, parse_workload_text
from vrmpy_tune.records.skipped import skipped
from vrmpy_tune.replay import readable_trace
from vrmpy_tune.target import parse_target
from vrmpy_tune.workload import parse_workload

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from search_spaces.space import Space
    from vrmpy_tune.records.record import Record
    from vrmpy_tune.records.store import RecordReader
    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.tune.draws import Draw, PlainTrace
    from vrmpy_tune.workload import Workload

NEIGHBOURS: Final = 6
"""Similar workloads whose records are looked at."""

SAMPLES: Final = 96
"""Records of one of them that the cost model learns from, the best first."""

LEAST_SAMPLES: Final = 8
"""Records of one workload below which nothing can be learned of how its candidates compare."""

SEEDS: Final = (3, 2, 1, 1, 1, 1)
"""How many of the best records of the nearest, the second nearest, ... workload become seeds."""


@dataclass(frozen=True)
class Similar:
    """What is known of one similar workload in one search space.

    Attributes
    ----------
    workload:
        The similar workload.
    records:
        Its records, best first.
    traces:
        The choices of each.
    """

    workload: Workload
    records: tuple[Record, ...]
    traces: tuple[PlainTrace, ...]

    @property
    def is_instructive(self) -> bool:
        """Whether there are enough records to learn how candidates compare."""
        return len(self.records) >= LEAST_SAMPLES


@dataclass(frozen=True)
class Seed:
    """A choice that was good for a similar workload.

    Attributes
    ----------
    record:
        Where it was good.
    draw:
        The nearest choice that this workload has.
    """

    record: Record
    draw: Draw


def similar_workloads(
    readers: Sequence[RecordReader],
    workload: Workload,
    space: Space,
    *,
    target: str,
    metric: str,
    exclude: Collection[str],
) -> tuple[Similar, ...]:
    """Return the most similar workloads that have records in the same space, nearest first.

    Parameters
    ----------
    readers:
        Stores; of workloads that several know, the first one's records are taken.
    workload, space, target, metric:
        What is to be tuned, and how.
    exclude:
        Texts of workloads that are left out: those tuned in this run, whose records would be there
        when it is resumed, but were not when it began.

    Raises
    ------
    StoreError
        If a store cannot be read.
    """
    known: dict[str, tuple[float, Workload, RecordReader]] = {}
    for reader in readers:
        for text in reader.workloads():
            other = _parse(text)
            if other is None or text in known or text in exclude:
                continue
            if other.operator == workload.operator:
                known[text] = (distance(workload, other), other, reader)
    found: list[Similar] = []
    for _, other, reader in sorted(known.values(), key=lambda one: (one[0], str(one[1]))):
        records = reader.query(str(other), target, metric, space.name, SAMPLES)
        sound = _sound(space, other, parse_target(target), records)
        if sound:
            found.append(Similar(other, tuple(sound), tuple(sound.values())))
        if len(found) == NEIGHBOURS:
            break
    return tuple(found)


def distance(one: Workload, other: Workload) -> float:
    """Return how different two workloads are: an octave between sizes counts as much as a word."""
    fields = (parse_workload_text(str(workload)) for workload in (one, other))
    _, words, doublings = nearness(*fields)
    return words + doublings


def seeds_for(
    workload: Workload,
    space: Space,
    similar: Sequence[Similar],
    draws: Sequence[Draw],
    count: int,
) -> list[Seed]:
    """Return the choices nearest to the best ones of similar workloads, at most ``count``.

    Nearest is meant by the features of the cost model, which say how a kernel uses the machine
    rather than how its loops are split.
    """
    if not similar or not draws:
        return []
    rows = np.log1p(np.array([space.features(workload, draw.plain)[:-1] for draw in draws]))
    scale = np.maximum(rows.std(axis=0), 1e-6)
    seeds: dict[Any, Seed] = {}
    for number, one in zip(SEEDS, similar, strict=False):
        for record, trace in list(zip(one.records, one.traces, strict=True))[:number]:
            wanted = np.log1p(np.array(space.features(one.workload, trace)[:-1]))
            nearest = draws[int(np.abs((rows - wanted) / scale).sum(axis=1).argmin())]
            seeds.setdefault(nearest.key, Seed(record, nearest))
    return list(seeds.values())[:count]


def _sound(
    space: Space, workload: Workload, target: HexagonTarget, records: Sequence[Record]
) -> dict[Record, PlainTrace]:
    """Return the records whose traces are the space's, each with its choices."""
    sound = {}
    for record in records:
        try:
            sound[record] = readable_trace(space, workload, target, record.trace)
        except StaleRecordError as error:
            skipped(record, error)
    return sound


def _parse(text: str) -> Workload | None:
    try:
        return parse_workload(text)
    except WorkloadError:
        return None  # of a newer version, or of operators that this one does not have
